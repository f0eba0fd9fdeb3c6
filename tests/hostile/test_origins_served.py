"""Origins of other sites on real servers."""

from collections.abc import Callable

import pytest

from attacked import Attacked

#: Origins that are not those of a page of this site.
FOREIGN: list[str | bytes] = [
    "http://evil.example",
    "http://127.0.0.1.evil.example",
    "http://evil.example/127.0.0.1",
    "http://evil.example#127.0.0.1",
    "http://evil.example?127.0.0.1",
    "http://127.0.0.1\\.evil.example",
    "http://127.0.0.1@evil.example",
    "http://evil.example@127.0.0.1",
    "http://evil.example\\@127.0.0.1",
    "http://user:password@127.0.0.1",
    "http://evil.example[127.0.0.1]",
    "http://127.0.0.1:evil",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:-1",
    "http://[::1]",
    "http://[127.0.0.1]",
    "http://[",
    "http://127.1",
    "http://0x7f000001",
    "http://2130706433",
    "http://0177.0.0.1",
    "http://localhost",
    "http://①②⑦.0.0.1",
    "http://127。0。0。1",
    b"http://127.0.0.1\xff",
    b"http://\xff\xfe127.0.0.1",
    "http://127.0.0.1%00.evil.example",
    "http://127.0.0.1%2eevil.example",
    "http://127.0.0.1, http://evil.example",
    "http://evil.example, http://127.0.0.1",
    "http://127.0.0.1 http://evil.example",
    "null",
    "NULL",
    "127.0.0.1",
    "http:127.0.0.1",
    "http:/127.0.0.1",
    "http:///127.0.0.1",
    "javascript:127.0.0.1",
    "data:text/html,127.0.0.1",
    "*",
    ".",
    "http://" + "a" * 4000,
    "http://" + "a." * 2000 + "127.0.0.1",
    "http://" + "[" * 2000,
    "http://127.0.0.1:" + "9" * 4000,
]


def test_pages_of_other_sites_are_refused(
    site: Attacked, record_property: Callable[[str, object], None]
) -> None:
    record_property("inputs", len(FOREIGN))
    for origin in FOREIGN:
        # A server may also refuse what is not a header by itself, or close without a word.
        assert site.handshake("/echo/", origin=origin) in (403, 400, None), origin


@pytest.mark.parametrize("first", [True, False])
def test_a_second_origin_does_not_help(site: Attacked, first: bool) -> None:
    good, evil = f"Origin: {site.origin}", "Origin: http://evil.example"
    lines = (good, evil) if first else (evil, good)
    assert site.handshake("/echo/", *lines, origin="") in (403, 400)


def test_no_origin_is_refused(site: Attacked) -> None:
    assert site.handshake("/echo/", origin="") == 403
    assert site.handshake("/echo/", "Origin:", origin="") in (403, 400)
    assert site.handshake("/echo/", "X-Origin: " + site.origin, origin="") == 403
