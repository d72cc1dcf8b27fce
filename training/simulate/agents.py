"""Browsers and tools that sign up, as their User-Agent headers say, with how common each is."""

from __future__ import annotations

_WINDOWS, _MAC, _LINUX = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"


def _chrome(system: str, version: int, kind: str = "Safari", tail: str = "") -> str:
    engine = "AppleWebKit/537.36 (KHTML, like Gecko)"
    return f"Mozilla/5.0 ({system}) {engine} Chrome/{version}.0.0.0 {kind}/537.36{tail}"


def _edge(version: int) -> str:
    return _chrome(_WINDOWS, version, tail=f" Edg/{version}.0.0.0")


def _firefox(system: str, version: int) -> str:
    return f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"


def _safari(version: str) -> str:
    return f"Mozilla/5.0 ({_MAC}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version} Safari/605.1.15"


def _phone(system: str, version: str) -> str:
    engine = f"AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version} Mobile/15E148 Safari/604.1"
    return f"Mozilla/5.0 (iPhone; CPU iPhone OS {system} like Mac OS X) {engine}"


AGENTS: dict[str, float] = {
    **{_chrome(_WINDOWS, v): w for v, w in ((147, 20), (146, 10), (145, 3), (141, 1), (131, 0.6))},
    **{_chrome(_MAC, v): w for v, w in ((147, 12), (146, 6), (144, 1))},
    **{_chrome(_LINUX, v): w for v, w in ((147, 3), (146, 2), (140, 0.7))},
    **{_chrome("Linux; Android 10; K", v, "Mobile Safari"): w for v, w in ((147, 7), (146, 3))},
    **{_edge(v): w for v, w in ((147, 6), (146, 3))},
    **{_firefox(_WINDOWS, v): w for v, w in ((149, 3), (140, 1))},
    **{_firefox(_LINUX, v): w for v, w in ((149, 2), (140, 0.6))},
    _firefox("Macintosh; Intel Mac OS X 10.15", 149): 1,
    **{_safari(v): w for v, w in (("26.3", 6), ("18.6", 3), ("17.6", 1))},
    **{_phone(s, v): w for s, v, w in (("18_7", "26.3", 5), ("18_5", "18.5", 3))},
    "python-requests/2.32.3": 0.5,
    "curl/8.5.0": 0.3,
}
