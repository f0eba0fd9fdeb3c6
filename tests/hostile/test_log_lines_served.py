"""What a stranger can write into the log, on real servers."""

import re
from collections.abc import Callable
from urllib.parse import quote

from attacked import Attacked
from raw_client import TEXT, frame, upgrade

Record = Callable[[str, object], None]

#: Characters that end a line, or that a terminal obeys.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]")
FORGED = "ERROR forged line"
ENDS = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")


def check(site: Attacked, said: str) -> None:
    lines = said.split("\n")
    # What a server writes about its own reading is its own.
    ours = [
        line for line in lines if not re.match(r"INFO: |WARNING: |[\d.]+:\d+ - - |None - -", line)
    ]
    assert not [line for line in ours if CONTROL.search(line)]
    assert not [line for line in lines if line.startswith(FORGED)]
    # A line says what it has to say in some hundred characters.
    assert not [line[:200] for line in ours if len(line) > 2000]


def test_a_path_writes_no_line_of_its_own(site: Attacked, record_property: Record) -> None:
    paths = [f"/nowhere{end}{FORGED}{end}" for end in ENDS]
    paths += ["/nowhere\x1b[31m\x1b]0;title\x07/", "/nowhere\u202e/", "/nowhere\x00/", "/\x9b31m/"]
    record_property("inputs", 3 * len(paths))
    for path in paths:
        quoted = quote(path)
        site.handshake(quoted)
        site.handshake(quote(f"/room/{path[8:]}/"), origin="http://evil.example")
        site.request(f"GET {quoted} HTTP/1.1", f"Host: {site.host}", "Connection: close")
    check(site, site.news())


def test_headers_write_no_line_of_their_own(site: Attacked, record_property: Record) -> None:
    values = [
        b"\x1b[31m" + FORGED.encode(),
        b"\xc2\x85" + FORGED.encode(),
        b"\xe2\x80\xa8" + FORGED.encode(),
        b"a" * 8000,
        b"a, " * 4000,
        b"%0a" + FORGED.encode(),
        b"\\n" + FORGED.encode(),
    ]
    names = (b"Origin", b"Sec-WebSocket-Protocol", b"Cookie", b"Authorization", b"Last-Event-ID")
    record_property("inputs", len(values) * len(names))
    for value in values:
        for name in names:
            line = name + b": " + value
            origin = "" if name == b"Origin" else None
            for path in ("/token/", "/versions/"):
                with site.client(upgrade(site.host, path, line, origin=origin)) as client:
                    client.answered(0.1)
    check(site, site.news())


def test_secrets_are_not_logged(site: Attacked) -> None:
    for path, line in (
        ("/token/", "Authorization: Bearer s3cret"),
        ("/token/", "Sec-WebSocket-Protocol: token, s3cret"),
        ("/parsed/", "Cookie: sessionid=s3cret"),
        ("/private/", "Cookie: sessionid=s3cret"),
    ):
        site.handshake(path, line)
    for path in ("/echo/", "/sync/", "/first/"):
        for text in (b"s3cret", b'{"password": "s3cret"', b'"s3cret\xff"', b"s3cret" * 20_000):
            with site.websocket(path) as client:
                client.send(frame(TEXT, text))
                client.finish()
                client.rest()
    assert "s3cret" not in site.news()
