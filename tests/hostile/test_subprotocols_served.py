"""Hostile offers of subprotocols on real servers."""

import json
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacked import Attacked
from raw_client import TEXT, upgrade

#: Values of the header `Sec-WebSocket-Protocol`.
OFFERS: list[str | bytes] = [
    "",
    ",",
    ",,,v1",
    "v1,",
    " v1 , v2 ",
    "v1, v1, v1",
    "v1" * 6000,
    ", ".join(f"v{number}" for number in range(1, 2000)),
    "V1",
    "v1\tv2",
    "v1 v2",
    "v1;v2",
    "v1/..",
    '"v1"',
    "v1\x0b",
    b"v1\x00",
    b"v1\xff",
    b"\xffv1, v2",
    b"v1\x1b[31m, v2",
    b"v1\nSet-Cookie: a=b",
    b"v1\rSet-Cookie: a=b",
    "v1%0d%0aSet-Cookie: a=b",
    "é",
    "\u2028v1",
    "token, " + "a" * 9000,
    "token",
    "token, token, token",
]


def check(site: Attacked, offer: bytes, seconds: float = 0.3) -> None:
    """Offer this, and check that the answer chooses what was offered, or nothing."""
    with site.client(
        upgrade(site.host, "/versions/", b"Sec-WebSocket-Protocol: " + offer)
    ) as client:
        client.finish_if_silent(seconds)
        head = client.head()
        if head is None or head.status != 101:
            return
        assert not head.all("set-cookie")
        chosen = head.all("sec-websocket-protocol")
        assert chosen in ([], ["v1"], ["v2"])
        found = client.frame()
        assert found is not None
        assert found[0] == TEXT
        offered = json.loads(found[1])
        assert all(one in offered for one in chosen)


def test_hostile_offers(site: Attacked, record_property: Callable[[str, object], None]) -> None:
    record_property("inputs", len(OFFERS))
    for offer in OFFERS:
        check(site, offer if isinstance(offer, bytes) else offer.encode())


@given(st.binary(max_size=60))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_as_an_offer(site: Attacked, offer: bytes) -> None:
    check(site, offer.translate(None, b"\r\n\x00"), 0.05)
