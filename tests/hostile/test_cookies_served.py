"""Hostile cookies on real servers."""

import json
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacked import Attacked
from raw_client import upgrade

#: Values of the header `Cookie`.
COOKIES: list[str | bytes] = [
    "",
    ";",
    "=",
    ";=;=;",
    "a",
    "a=",
    "=a",
    "a=b" + ";" * 4000,
    "; ".join(f"a{number}=b" for number in range(1000)),
    "a=b; " * 2000,
    "a=" + "b" * 12_000,
    "a" * 12_000 + "=b",
    'a="b',
    'a="\\',
    'a="\\"',
    'a="\\400\\377\\000"',
    'a="' + "\\101" * 200 + '"',
    "$Version=1; a=b; $Path=/; $Domain=evil.example",
    "sessionid=a; sessionid=b; sessionid=c",
    "__Host-sessionid=a; sessionid=__Host-sessionid",
    "sessionid=",
    "sessionid=../../../../etc/passwd",
    "sessionid=' OR 1=1 --",
    "sessionid=%00",
    "sessionid=" + "a" * 40,
    "sessionid=" + "A" * 12_000,
    "sessionid={}; csrftoken={}",
    "sessionid=éé",
    b"sessionid=\xff\xfe\xfd",
    b"a=\x80; b=c",
    b"\xe2\x80\xa8=\xe2\x80\xa9",
    b"a=b\tc; d=\t",
    b"a=b\x1b[31m",
    "a=<script>alert(1)</script>",
    "a=b,c=d",
    "a=b c=d",
]


def test_nobody_is_logged_in_by_a_hostile_cookie(
    site: Attacked, record_property: Callable[[str, object], None]
) -> None:
    record_property("inputs", len(COOKIES))
    for cookie in COOKIES:
        line = b"Cookie: " + (cookie if isinstance(cookie, bytes) else cookie.encode())
        with site.client(upgrade(site.host, "/parsed/", line)) as client:
            if client.answered() == 101:
                told = json.loads(client.text() or "")
                assert told["user"] == "AnonymousUser", cookie
        with site.client(upgrade(site.host, "/private/", line)) as client:
            assert client.answered() != 101, cookie


def test_a_cookie_beside_hostile_ones_is_still_read(site: Attacked) -> None:
    cookie = site.session().encode()
    for line in (b"a=\xff; %b", b"%b; a=\xff", b'a="b; %b', b"=; %b; ;;=", b"a=%%; %b"):
        with site.websocket("/parsed/", b"Cookie: " + line % cookie) as client:
            assert json.loads(client.text() or "")["user"] == "anna", line


@given(st.binary(max_size=100))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_as_a_cookie(site: Attacked, value: bytes) -> None:
    value = value.translate(None, b"\r\n\x00")
    with site.client(upgrade(site.host, "/parsed/", b"Cookie: sessionid=" + value)) as client:
        status = client.answered(0.05)
        assert status in {101, 400, None}
        if status == 101:
            assert json.loads(client.text() or "")["user"] == "AnonymousUser"
