"""Nothing that reads a client's bytes takes more than linear time."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlparse

import pytest
from channels.auth import login_required
from channels.generic.sse import AsyncSseConsumer
from channels.routing import URLRouter
from channels.sessions import CookieMiddleware
from django.contrib.auth.models import AnonymousUser
from django.urls import path, re_path

from channels_auth._auth.request import request_from_scope
from channels_auth.login_tokens import InvalidLoginToken, login_with_token
from channels_auth.tokens import FirstMessageToken, HeaderToken, QueryToken, SubprotocolToken
from channels_core._json import decode_json
from channels_core._messages import payload
from channels_core.client_log import one_line
from channels_core.headers import encode_headers
from channels_core.security.websocket import AllowedHostsOriginValidator, OriginValidator
from channels_http.access_log import access_entry
from channels_http.generic._sse.event_format import event

SMALL: Final = 16 * 1024
LARGE: Final = 64 * 1024
#: Linear time makes four times as much of it, quadratic time sixteen times.
MOST: Final = 9.0
#: Seconds that are not worth a comparison.
NEGLIGIBLE: Final = 0.0015

#: What the hostile inputs repeat.
UNITS: Final = [
    *b'&=%;,. /\\"a1:-_[{(<@#?+\x00\xff'.decode("latin-1"),
    "%41",
    "%C3",
    "\\1",
    "\\101",
    '\\"',
    "a=",
    "&a",
    "; ",
    ", ",
    "a=1;",
    "token=1&",
    "a.",
    "../",
    "/a",
    "0/",
    "[[",
    '{"a":',
    "1e9",
    "[],",
    "\\u0041",
    "\r",
    "\n",
]


async def inner(scope: Any, receive: Any, send: Any) -> Any:
    return scope


async def connecting() -> Any:
    return {"type": "websocket.connect"}


async def dropping(message: Any) -> None:
    pass


any_inner: Any = inner
ROUTES: Final = URLRouter(
    [
        path("rooms/<slug:room>/<int:number>/", any_inner),
        path("<path:left>/end/", any_inner),
        path("<str:one>/<str:two>/<uuid:three>/", any_inner),
        re_path(r"^a/([^/]+)/(\w+)/(?P<x>[-\w]+)$", any_inner),
        path("0/", URLRouter([path("0/", any_inner), path("<path:rest>", any_inner)])),
    ]
)


def scope_with(kind: str = "websocket", **entries: Any) -> Any:
    return {
        "type": kind,
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [],
        "user": AnonymousUser(),
        **entries,
    }


def run(application: Any, scope: Any) -> None:
    """Call an application whose coroutine waits for nothing."""
    coroutine = application(scope, connecting, dropping)
    try:
        while True:
            coroutine.send(None)
    except (StopIteration, ValueError):
        pass
    finally:
        coroutine.close()


def swallow(function: Callable[..., Any], *arguments: Any) -> None:
    with contextlib.suppress(ValueError, RecursionError, InvalidLoginToken):
        function(*arguments)


def header(name: bytes, text: str, kind: str = "websocket") -> Any:
    return scope_with(kind, headers=[(name, text.encode("latin-1"))])


def many_headers(text: str) -> Any:
    """Return a scope with a header for each few characters of a text."""
    line = text.encode("latin-1")
    pairs = [(b"x-a", line[at : at + 8]) for at in range(0, len(line), 8)]
    return scope_with("http", headers=pairs)


COOKIES: Final = CookieMiddleware(any_inner)
ORIGINS: Final = OriginValidator(any_inner, [".example.com", "https://a.b:8443"])
HOSTS: Final = AllowedHostsOriginValidator(any_inner)
GUARD: Final = login_required(any_inner, login_url="/in/")

#: What each parser does with a text of a client.
PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "cookies": lambda text: run(COOKIES, header(b"cookie", text)),
    "quoted cookie": lambda text: run(COOKIES, header(b"cookie", f'a="{text.replace(";", "")}"')),
    "query token": lambda text: QueryToken().take(scope_with(query_string=text.encode("latin-1"))),
    "header token": lambda text: HeaderToken().take(header(b"authorization", text)),
    "bearer token": lambda text: HeaderToken().take(header(b"authorization", "Bearer " + text)),
    "subprotocols": lambda text: SubprotocolToken().take(scope_with(subprotocols=text.split(","))),
    "subprotocol tokens": lambda text: SubprotocolToken("a").take(scope_with(subprotocols=[*text])),
    "first message": lambda text: swallow(FirstMessageToken(key="token").read, text),
    "login token": lambda text: swallow(login_with_token, None, text),
    "origin": lambda text: run(ORIGINS, header(b"origin", text)),
    "parsed origin": lambda text: swallow(lambda: ORIGINS.valid_origin(urlparse("http://" + text))),
    "allowed host": lambda text: swallow(lambda: HOSTS.valid_origin(urlparse("http://" + text))),
    "route": lambda text: run(ROUTES, scope_with(path="/" + text)),
    "route below a root": lambda text: run(ROUTES, scope_with(path="/r/" + text, root_path="/r")),
    "request of a scope": lambda text: request_from_scope(
        scope_with("http", path="/" + text, query_string=text.encode()), None, AnonymousUser()
    ).get_full_path(),
    "headers of a request": lambda text: request_from_scope(
        many_headers(text), None, AnonymousUser()
    ),
    "next": lambda text: run(GUARD, scope_with("http", path="/" + text)),
    "next with a query": lambda text: run(
        GUARD, scope_with("http", query_string=text.encode("latin-1"))
    ),
    "forwarded host": lambda text: run(GUARD, header(b"x-forwarded-host", text, "http")),
    "host": lambda text: run(GUARD, header(b"host", text, "http")),
    "last event id": lambda text: (
        AsyncSseConsumer(header(b"last-event-id", text, "http")).last_event_id
    ),
    "event": event,
    "frame": lambda text: swallow(payload, {"type": "websocket.receive", "text": text}, LARGE),
    "JSON frame": lambda text: swallow(decode_json, text),
    "JSON number": lambda text: swallow(decode_json, f"0.{text}1"),
    "JSON list": lambda text: swallow(decode_json, f"[{text}"),
    "JSON string": lambda text: swallow(decode_json, json.dumps(text)),
    "header value": lambda text: swallow(encode_headers, [("a", text)]),
    "header name": lambda text: swallow(encode_headers, [(text, "a")]),
    "line of the log": one_line,
    "line of the access log": lambda text: access_entry(
        "websocket", "connecting", {"path": text, "client": "a"}
    ),
}


def seconds(parse: Callable[[str], Any], text: str) -> float:
    before = time.thread_time()
    parse(text)
    return time.thread_time() - before


@pytest.mark.parametrize("name", PARSERS)
async def test_four_times_the_bytes_take_about_four_times_as_long(
    name: str, settings: Any, record_property: Callable[[str, object], None]
) -> None:
    settings.ALLOWED_HOSTS = ["example.com", ".localhost"]
    settings.USE_X_FORWARDED_HOST = True
    parse = PARSERS[name]
    parse("a")  # imports what it needs
    for unit in UNITS:
        small, large = unit * (SMALL // len(unit)), unit * (LARGE // len(unit))
        least, most = float("inf"), float("inf")
        # Other work on the machine may disturb one try, but not each of them.
        for _ in range(3):
            least = min(least, seconds(parse, small))
            most = min(most, seconds(parse, large))
            if most < max(MOST * least, NEGLIGIBLE):
                break
            await asyncio.sleep(0)
        assert most < max(MOST * least, NEGLIGIBLE), f"{unit!r}: {least:.4f} s, then {most:.4f} s"
    record_property("inputs", len(UNITS))
