"""What holds for every page: it is whole, it loads nothing, it has no script, and its names are its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta"}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.referred: list[str] = []
        self.text: list[str] = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self._look(tag, attrs)

    def _look(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "img", "link", "iframe", "object", "use", "image")
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.names.append(value or "")
            if name in ("src", "href", "xlink:href"):
                self.links.append(value or "")
            if name == "aria-labelledby":
                self.referred += (value or "").split()
            if name in ("d", "x", "y", "cx", "cy", "viewbox", "points"):
                assert not re.search(r"nan|inf", value or "", re.IGNORECASE), (tag, name, value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def _read(page: str) -> _Tags:
    tags = _Tags()
    tags.feed(page)
    return tags


def check_page(page: str) -> None:
    """Raises AssertionError where the page is not whole and on its own."""
    tags = _read(page)
    assert tags.open == []
    assert len(tags.names) == len(set(tags.names))
    assert set(tags.referred) <= set(tags.names)
    assert all(link.startswith("#") and link[1:] in tags.names for link in tags.links)
    assert "url(" not in page
    assert "@import" not in page


def text_of(page: str) -> str:
    """What is read, with single blanks."""
    return re.sub(r"\s+", " ", "".join(_read(page).text))
