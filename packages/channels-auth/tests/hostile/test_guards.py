"""Paths and queries that are made to slip past a guard, or to lead away from the site."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.contrib.auth.models import AnonymousUser
from django.test import override_settings
from django.urls import path, re_path
from hypothesis import given
from hypothesis import strategies as st

from channels_auth.guards import login_required
from channels_core.routing import URLRouter
from channels_core.typing import Message, Receive, Scope, Send

PIECES = st.sampled_from(
    [
        *("/", "//", "\\", ".", "..", ";", "?", "#", "%", "%2e", "%2f", "%0d%0a", "&", "=", "@"),
        *("admin", "ADMIN", "admin/", "evil.example", "http:", "next", "é", "\u2215", "\uff0f"),
        *("\r", "\n", "\0", "\t", " ", "\xa0", "\udcff", "javascript:", "a", "{}", "'", '"', "<"),
    ]
)
PATHS = st.lists(PIECES, max_size=6).map(lambda pieces: "/" + "".join(pieces))
QUERIES = st.binary(max_size=30) | st.lists(PIECES, max_size=6).map(
    lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass")
)

NO_VIEWS: Any = ()


async def answer(application: Any, kind: str, path: str, query: bytes = b"") -> list[Message]:
    sent: list[Message] = []
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "query_string": query,
        "headers": [(b"host", b"testserver")],
        "user": AnonymousUser(),
    }

    async def receive() -> Any:
        return {"type": f"{kind}.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent


async def never(scope: Scope, receive: Receive, send: Send) -> Any:
    raise AssertionError(f"{scope['path']!r} has slipped past the guard")


def is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@override_settings(ROOT_URLCONF=NO_VIEWS, ALLOWED_HOSTS=["testserver"])
@given(PATHS.filter(is_encodable), QUERIES)
async def test_the_way_back_is_of_this_site_and_in_one_header(path: str, query: bytes) -> None:
    start = (await answer(login_required(never), "http", path, query))[0]
    assert start["status"] in (302, 400)
    if start["status"] == 302:
        [location] = [value for name, value in start["headers"] if name == b"location"]
        assert location.isascii()
        assert not set(location) & set(b"\r\n\0\t ")
        url = urlsplit(location.decode())
        assert (url.scheme, url.netloc, url.path) == ("", "", "/accounts/login/")
        # One parameter, however many the query has.
        [(name, back)] = parse_qsl(url.query, keep_blank_values=True)
        assert name == "next"
        assert back.startswith("/")


def everybody(kind: str) -> Any:
    async def inner(scope: Scope, receive: Receive, send: Send) -> Any:
        # What Django's views, and a proxy's rules, take for the guarded part.
        remaining = scope["path"].lstrip("/")
        assert not remaining.startswith("admin/"), scope["path"]
        await send({"type": f"{kind}.close"})

    return inner


@override_settings(ROOT_URLCONF=NO_VIEWS, ALLOWED_HOSTS=["testserver"])
@given(PATHS, st.sampled_from(["http", "websocket"]))
async def test_no_spelling_of_a_path_slips_past_a_guard(given_path: str, kind: str) -> None:
    admin: Any = URLRouter([re_path(r"", never)])
    routes = URLRouter([path("admin/", login_required(admin)), re_path(r"", everybody(kind))])
    if kind == "http" and not is_encodable(given_path):
        return  # a server decodes paths as UTF-8
    assert await answer(routes, kind, given_path)
