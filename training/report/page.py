"""The paper that reports are printed on: one file without scripts that loads nothing, as the campaign page is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from service.report.parts import HEAD, joined, paragraph, section

_STYLE = Markup(files("service.report").joinpath("page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
_CHARTS = Markup(files("training.report").joinpath("charts.css").read_text(encoding="utf-8"))  # noqa: S704 - the same

_PAGE = HEAD + Markup(
    '<body><a class="skip" href="#{first}">To the report</a><header>{top}</header>'
    '<nav aria-label="Contents"><ul>{links}</ul></nav><main>{sections}</main><footer>{foot}</footer></body></html>\n'
)

Section = tuple[str, str, Sequence[Markup]]  # where links lead, title, content; without content it is left out


def page(title: str, top: Markup, sections: Sequence[Section], foot: str) -> str:
    """The page's text. The same arguments give the same bytes."""
    shown = [one for one in sections if one[2]]
    links = [Markup('<li><a href="#{}">{}</a></li>').format(name, words) for name, words, _ in shown]
    return str(
        _PAGE.format(
            title=title,
            style=_STYLE + _CHARTS,
            first=shown[0][0] if shown else "",
            top=top,
            links=joined(links),
            sections=joined([section(name, words, *parts) for name, words, parts in shown], "\n"),
            foot=paragraph(foot),
        )
    )


def write(directory: Path, report: Mapping[str, Any], html: str) -> None:
    """Writes ``report.json`` and ``report.html`` into ``directory``, which is made where it is missing.

    Raises ValueError where the report has numbers that JSON does not (infinite, not a number).
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (directory / "report.html").write_text(html, encoding="utf-8")


def tiles(entries: Sequence[tuple[str, str, str]]) -> Markup:
    """Figures at a glance: name, value, and what it is compared with."""
    rows = [
        Markup("<div><dt>{}</dt><dd><b>{}</b><small>{}</small></dd></div>").format(
            name, value.replace(" ", "\u00a0"), more
        )
        for name, value, more in entries
    ]
    return Markup('<dl class="tiles n{}" aria-label="At a glance">{}</dl>').format(len(rows), joined(rows))


def terms(entries: Sequence[tuple[str, str]]) -> Markup:
    """Names and what they stand for; what is markup already stays."""
    rows = [Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, text) for name, text in entries]
    return Markup('<dl class="terms">{}</dl>').format(joined(rows))


def items(entries: Sequence[str], kind: str = "") -> Markup:
    """A list; what is markup already stays."""
    return Markup('<ul class="{}">{}</ul>').format(
        kind, joined([Markup("<li>{}</li>").format(entry) for entry in entries])
    )


def folded(words: str, content: Markup) -> Markup:
    """Content behind its name until somebody asks for it; browsers need no script for that."""
    return Markup("<details><summary>{}</summary>{}</details>").format(words, content)


def missing(what: str = "not measured") -> Markup:
    """A part that this report has nothing for."""
    return paragraph(what[:1].upper() + what[1:] + ".", "none")
