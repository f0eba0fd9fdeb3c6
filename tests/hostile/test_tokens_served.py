"""Hostile tokens on real servers."""

import json
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacked import Attacked
from raw_client import BINARY, CONTINUATION, PING, TEXT, RawClient, frame, upgrade

#: Pairs of a query and a header, each without a valid token. The only token is "anna".
WITHOUT: list[tuple[str, str | bytes]] = [
    ("", ""),
    ("token=", ""),
    ("token", ""),
    ("token=Anna", ""),
    ("token=anna%00", ""),
    ("token=%00anna", ""),
    ("token=anna%20", ""),
    ("token=anna+", ""),
    ("token=anna%0a", ""),
    ("token=ann%c3%a0", ""),
    ("token=%ff", ""),
    ("token[]=anna", ""),
    ("TOKEN=anna", ""),
    ("token=anna&token=anna", ""),
    ("token=anna&token=evil", ""),
    ("token=evil&token=anna", ""),
    ("token=' OR 1=1 --", ""),
    ("token=" + "a" * 8000, ""),
    ("a;token=anna", ""),
    ("a%26token=anna", ""),
    ("&" * 8000, ""),
    ("a=b&" * 2000, ""),
    ("token=%", ""),
    ("token=%zz", ""),
    ("", "Authorization:"),
    ("", "Authorization: Bearer"),
    ("", "Authorization: Bearer "),
    ("", "Authorization: Basic anna"),
    ("", "Authorization: anna"),
    ("", "Authorization: Bearer Bearer anna"),
    ("", "Authorization: Bearer anna anna"),
    ("", "Authorization: Bearer anna,"),
    ("", "Authorization: Bearer\xa0anna"),
    ("", "Authorization: Bearer \t\x0banna"),
    ("", b"Authorization: Bearer ann\xe0"),
    ("", "Authorization: Bearer anna\r\nAuthorization: Bearer anna"),
    ("", "Authorization: Bearer " + "a" * 8000),
    ("token=anna", "Authorization: Bearer anna"),
    ("", "Sec-WebSocket-Protocol: token"),
    ("", "Sec-WebSocket-Protocol: anna, token"),
    ("", "Sec-WebSocket-Protocol: token, token"),
    ("", "Sec-WebSocket-Protocol: token, anna, token, anna"),
    ("", "Sec-WebSocket-Protocol: Token, anna"),
    ("token=anna", "Sec-WebSocket-Protocol: token, anna"),
]


def test_what_is_no_token_is_refused(
    site: Attacked, record_property: Callable[[str, object], None]
) -> None:
    record_property("inputs", len(WITHOUT))
    for query, line in WITHOUT:
        path = f"/token/?{query}".replace(" ", "%20")
        with site.client(upgrade(site.host, path, *([line] if line else []))) as client:
            assert client.answered() in {401, 403, 400, None}, (query, line)


def test_a_token_is_accepted(site: Attacked) -> None:
    """Otherwise the test above would prove nothing."""
    ways = [("?token=anna", ""), ("", "Authorization: Bearer anna")]
    ways.append(("", "Sec-WebSocket-Protocol: token, anna"))
    for query, line in ways:
        with site.websocket(f"/token/{query}", *([line] if line else [])) as client:
            assert json.loads(client.text() or "")["user"] == "anna"


@given(st.binary(max_size=40).filter(lambda value: value.strip() != b"anna"))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_as_a_token(site: Attacked, value: bytes) -> None:
    value = value.translate(None, b"\r\n\x00")
    line = b"Authorization: Bearer " + value
    with site.client(upgrade(site.host, "/token/", line)) as client:
        assert client.answered(0.05) in {401, 403, 400, None}


class TestTheFirstMessage:
    def refused(self, site: Attacked, *frames: bytes) -> None:
        with site.websocket("/first/") as client:
            client.send(b"".join(frames))
            assert client.close_code() in {4401, 1007, None}, frames

    def test_what_is_no_token_closes(
        self, site: Attacked, record_property: Callable[[str, object], None]
    ) -> None:
        first = [
            frame(TEXT, b""),
            frame(TEXT, b"Anna"),
            frame(TEXT, b"anna\x00"),
            frame(TEXT, b"anna\n"),
            frame(TEXT, b'{"token": "anna"}'),
            frame(TEXT, "ànna".encode()),
            frame(TEXT, b"\xff"),
            frame(TEXT, b"a" * 5000),
            frame(TEXT, b"a" * 500_000),
            frame(BINARY, b"anna"),
            frame(BINARY, b""),
            frame(PING, b"anna") + frame(TEXT, b"evil"),
            frame(TEXT, b"an", fin=False) + frame(CONTINUATION, b"nb"),
        ]
        record_property("inputs", len(first))
        for data in first:
            self.refused(site, data)

    def test_silence_closes(self, site: Attacked) -> None:
        clients = [site.websocket("/first/") for _ in range(20)]
        for client in clients:
            assert client.close_code() == 4401
            client.close()

    def test_frames_before_the_answer_do_not_reach_the_application(self, site: Attacked) -> None:
        with site.websocket("/first/") as client:
            client.send(frame(TEXT, b"evil") + frame(TEXT, b'"evil"') * 100)
            assert texts(client) == []


def texts(client: RawClient) -> list[bytes]:
    """Return all messages of text up to the end."""
    found = []
    while (one := client.frame()) and one[0] != 8:
        found.append(one[1])
    return found
