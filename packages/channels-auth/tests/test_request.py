import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from hypothesis import given
from hypothesis import strategies as st

from channels_auth._auth.request import request_from_scope

SCOPE = {
    "type": "websocket",
    "path": "/rooms/tea/",
    "root_path": "/rooms",
    "scheme": "wss",
    "query_string": b"page=2&page=3",
    "client": ("192.0.2.7", 4000),
    "server": ("198.51.100.1", 443),
    "headers": [
        (b"host", b"example.com"),
        (b"user-agent", b"a browser"),
        (b"cookie", b"a=1"),
        (b"Content-Type", b"text/plain; charset=\x00"),
        (b"content-length", b"many"),
    ],
}


def test_it_has_what_receivers_read(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["example.com"]
    session = SessionStore()
    request = request_from_scope(SCOPE, session, AnonymousUser())
    assert request.method == "GET"
    assert request.path == "/rooms/tea/"
    assert request.path_info == "/tea/"
    assert request.GET.getlist("page") == ["2", "3"]
    assert request.META["REMOTE_ADDR"] == "192.0.2.7"
    assert request.headers["User-Agent"] == "a browser"
    assert request.build_absolute_uri() == "https://example.com/rooms/tea/?page=2&page=3"
    assert request.is_secure()
    assert request.COOKIES == {"a": "1"}
    assert request.session is session
    assert request.body == b""
    assert not request.POST
    assert not request.FILES
    assert request.content_type == ""


def test_the_cookies_are_those_of_the_middleware() -> None:
    cookies = {"a": "1", "b": "2"}
    request = request_from_scope({**SCOPE, "cookies": cookies}, None, AnonymousUser())
    assert request.COOKIES is cookies


def test_a_hand_made_scope_is_enough() -> None:
    request = request_from_scope({}, None, AnonymousUser())
    assert (request.method, request.path, request.scheme) == ("GET", "/", "http")
    assert dict(request.GET) == {}
    assert dict(request.COOKIES) == {}


def test_the_method_of_http_and_a_query_as_text() -> None:
    request = request_from_scope({"method": "POST", "query_string": "a=1"}, None, AnonymousUser())
    assert request.method == "POST"
    assert request.GET["a"] == "1"
    assert not request.POST


def test_the_scope_is_left_alone() -> None:
    scope = {**SCOPE, "headers": list(SCOPE["headers"])}
    before = {**scope}
    request_from_scope(scope, None, AnonymousUser())
    assert scope == before


pieces = st.binary(max_size=40)


@given(
    query=pieces,
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"cookie", b"content-type", b"CONTENT-TYPE", b"host", b"x_y"])
            | pieces,
            pieces,
        )
    ),
)
def test_nothing_that_a_client_sends_breaks_it(
    query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    scope = {"type": "websocket", "path": "/", "query_string": query, "headers": headers}
    request = request_from_scope(scope, None, AnonymousUser())
    assert isinstance(request.GET, dict)
    assert isinstance(request.COOKIES, dict)
    assert isinstance(dict(request.headers), dict)


class TestTheUser:
    async def test_a_user_that_is_given(self) -> None:
        anna = User(username="anna")
        request = request_from_scope({}, None, anna)
        assert request.user is anna
        assert await request.auser() is anna

    async def test_a_user_that_has_changed(self) -> None:
        request = request_from_scope({}, None, AnonymousUser())
        request.user = ben = User(username="ben")
        assert await request.auser() is ben

    @pytest.mark.django_db
    def test_the_user_of_the_session(self) -> None:
        request = request_from_scope({}, SessionStore())
        assert request.user.is_anonymous

    @pytest.mark.django_db
    async def test_the_user_of_the_session_awaited(self) -> None:
        request = request_from_scope({}, SessionStore())
        assert (await request.auser()).is_anonymous
        assert await sync_to_async(lambda: request.user == AnonymousUser())()


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    request_from_scope({"query_string": b"\xff", "headers": [(b"cookie", b"\xff")]}, None)
    assert not caplog.records
