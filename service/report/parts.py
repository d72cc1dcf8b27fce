"""The parts that a page is made of. All text goes through ``Markup.format``, which escapes what is not markup yet."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from service.report.words import visible

NONE = Markup("")
_SHORT = 12  # rows; a table of so few is not broken over two sheets

# The head of every page that we write: nothing is loaded, nothing runs, and nobody is told where a reader came from.
HEAD = Markup(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">'
    "<title>{title}</title><style>{style}</style></head>\n"
)


def said(text: str) -> Markup:
    """Text that somebody else chose: escaped, unseen characters written out, its direction kept to itself."""
    return Markup("<bdi>{}</bdi>").format(visible(text))


def joined(parts: Sequence[Markup], between: str = "") -> Markup:
    """All of ``parts`` as one."""
    return Markup(between).join(parts)  # noqa: S704 - join escapes nothing that is markup, and `between` is ours


def number(text: str) -> Markup:
    """A cell of a table for a number."""
    return Markup('<td class="number">{}</td>').format(text)


def cell(content: str) -> Markup:
    """A cell of a table; ``content`` is escaped unless it is markup."""
    return Markup("<td>{}</td>").format(content)


def head(content: str) -> Markup:
    """The cell that names its row."""
    return Markup('<th scope="row">{}</th>').format(content)


def table(caption: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Markup]], name: str = "") -> Markup:
    """A table. ``columns`` are titles and their class (``number`` or empty); ``rows`` are cells.

    It scrolls by itself where the screen is narrow, which a keyboard can do, too.
    """
    top = joined(
        [
            Markup('<th scope="col" class="{}">{}</th>').format(kind, title)
            if kind
            else Markup('<th scope="col">{}</th>').format(title)
            for title, kind in columns
        ]
    )
    body = joined([Markup("<tr>{}</tr>").format(joined(row)) for row in rows], "\n")
    return Markup(
        '<div class="wide" role="region" aria-label="{caption}" tabindex="0"><table class="{name}{short}">'
        "<caption>{caption}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    ).format(caption=caption, name=name, short=" short" if len(rows) <= _SHORT else "", top=top, body=body)


def section(name: str, title: str, *content: Markup) -> Markup:
    """A section; ``name`` is where links lead."""
    return Markup('<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>{content}</section>').format(
        name=name, title=title, content=joined(content, "\n")
    )


def paragraph(text: str, kind: str = "") -> Markup:
    """A paragraph; ``text`` is escaped unless it is markup."""
    return Markup('<p class="{}">{}</p>').format(kind, text) if kind else Markup("<p>{}</p>").format(text)
