"""Other ways to write the path of a guarded application, on real servers."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.contrib.auth.views import RedirectURLMixin
from django.test import RequestFactory, override_settings
from django.utils.http import url_has_allowed_host_and_scheme

from attacked import Attacked
from raw_client import upgrade

#: Paths that someone may take for /private/.
PATHS: list[str] = [
    "/private/",
    "/private",
    "//private/",
    "///private/",
    "/./private/",
    "/x/../private/",
    "/../private/",
    "/%2e/private/",
    "/%2e%2e/private/",
    "/x/%2e%2e/private/",
    "/private/.",
    "/private/..;/",
    "/private/;",
    "/private/;a=b",
    "/private;/",
    "/private%2f",
    "/private%2F",
    "/%2fprivate/",
    "/%70rivate/",
    "/%2570rivate/",
    "/private%00/",
    "/private/%00",
    "/%00/private/",
    "/private%20/",
    "/private/%20",
    "/private/%09",
    "/private/%0a",
    "/private/%0d%0a",
    "/private%0a/",
    "/private/?",
    "/private/#",
    "/private/%23",
    "/private/%3f",
    "/PRIVATE/",
    "/Private/",
    "/pr\u0131vate/",
    "/\uff50rivate/",
    "/private\\",
    "\\private/",
    "/\\private/",
    "/private//",
    "/private/./",
    "/private/%2e/",
    "/private/index.html",
    "/%ff/private/",
    "/private/%ff",
    "/%c0%afprivate/",
    "/private/%c0%ae",
    "http://evil.example/private/",
    "http://127.0.0.1/private/",
    "//evil.example/private/",
    "//evil.example//private/",
    "/private/?next=//evil.example",
    "/private/?next=http://evil.example&next=/",
    "/private/?" + "a" * 1500,
    "/private/?%ff%fe",
    "/private/?%0d%0aLocation:%20http://evil.example",
    "/private/?a=b%0aSet-Cookie:a",
]


def test_no_path_leads_a_stranger_past_the_guard(
    site: Attacked, record_property: Callable[[str, object], None]
) -> None:
    record_property("inputs", 2 * len(PATHS))
    for path in PATHS:
        with site.client(upgrade(site.host, path)) as client:
            assert client.answered() != 101, path
        with site.client(head(site, path)) as client:
            answer = client.head()
            if answer is None:
                continue
            body = client.rest()
            assert answer.status in {302, 400, 404}, path
            assert b"AnonymousUser" not in body, path
            assert not answer.all("set-cookie"), path
            for location in answer.all("location"):
                check_location(site, location)


def head(site: Attacked, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {site.host}\r\nConnection: close\r\n\r\n".encode()


def check_location(site: Attacked, location: str) -> None:
    """Check that a redirect leads to the login page, and from there to this site only."""
    parsed = urlsplit(location)
    assert (parsed.scheme, parsed.netloc, parsed.path) == ("", "", "/log-in/"), location
    [target] = parse_qs(parsed.query)["next"]
    # As Django's own mixin does, the guard keeps several slashes at the start, and the login page
    # does not follow them to another host.
    followed: Any = RedirectURLMixin()
    followed.request = RequestFactory().get(location, headers={"host": site.host})
    with override_settings(ALLOWED_HOSTS=["127.0.0.1"]):
        url = followed.get_redirect_url()
    assert url in {target, ""}, location
    assert url == "" or url_has_allowed_host_and_scheme(url, {site.host}), location


def test_another_host_is_not_in_the_redirect(site: Attacked) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "", "a b"):
        lines = f"GET /private/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        with site.client(lines.encode()) as client:
            answer = client.head()
            assert answer is None or answer.status == 400, host


def test_a_user_passes(site: Attacked) -> None:
    """Otherwise the tests above would prove nothing."""
    cookie = site.session()
    assert site.handshake("/private/", f"Cookie: {cookie}") == 101
    assert site.get("/private/", Cookie=cookie)[2] == b"anna"
