"""Sessions that a stranger makes up, on real servers."""

import json

from attacked import Attacked


def user(site: Attacked, cookie: str) -> str:
    """Return the user of a WebSocket with this cookie."""
    with site.websocket("/parsed/", f"Cookie: {cookie}") as client:
        told: dict[str, str] = json.loads(client.text() or "")
        return told["user"]


def test_a_login_does_not_adopt_the_session_that_a_stranger_has_chosen(site: Attacked) -> None:
    chosen = "sessionid=abcdefghijklmnopqrstuvwxyz012345"
    _, headers, _ = site.get("/log-in/?as=anna", Cookie=chosen)
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert cookie != chosen
    assert user(site, cookie) == "anna"
    assert user(site, chosen) == "AnonymousUser"


def test_a_key_is_not_found_by_a_part_of_it(site: Attacked) -> None:
    cookie = site.session()
    for other in (cookie[:-1], cookie + "a", cookie.upper(), f"{cookie}%00", cookie + "\t"):
        # White space at the ends does not belong to a value.
        expected = "anna" if other.strip() == cookie else "AnonymousUser"
        assert user(site, other) == expected
