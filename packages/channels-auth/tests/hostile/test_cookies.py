"""Cookie headers that are made to be slow, large or odd."""

import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.http.cookie import parse_cookie
from hypothesis import given
from hypothesis import strategies as st

from channels_auth._cookies.parsing import MAX_LENGTH, parse_cookies
from channels_auth.cookies import CookieMiddleware
from channels_core.typing import Receive, Scope, Send

#: What a quoted value is made of, and what ends it.
ALPHABET = '"\\0123478;= \tabc\xa0\xff\n'


async def show(scope: Scope, receive: Receive, send: Send) -> Any:
    return scope["cookies"]


async def nothing(*args: Any) -> Any:
    raise NotImplementedError


async def cookies(*lines: bytes) -> Any:
    scope = {"type": "websocket", "path": "/", "headers": [(b"cookie", line) for line in lines]}
    return await CookieMiddleware(show)(scope, nothing, nothing)


def test_20000_values_mean_what_the_standard_library_reads(
    record_property: Callable[[str, object], None],
) -> None:
    source = random.Random(7592)
    for _ in range(20_000):
        value = "".join(source.choices(ALPHABET, k=source.randrange(40)))
        for header in (value, f'a="{value}"'):
            assert parse_cookies(header) == parse_cookie(header), header
    record_property("inputs", 20_000)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_header_means_what_django_reads(header: str) -> None:
    assert parse_cookies(header) == parse_cookie(header)


async def test_more_cookies_than_a_server_allows_are_not_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = b'c="' + b"\\" * 7980 + b'"'
    assert await cookies(*[line] * 20) == {}
    [record] = caplog.records
    assert (record.name, record.levelno) == ("django.channels.auth", logging.WARNING)
    assert record.getMessage() == (
        "websocket '/': no cookie is read, since all of them have more than 65536 bytes"
    )


async def test_as_many_as_a_server_allows_are_read() -> None:
    assert await cookies(b"a=1; b=" + b"x" * (MAX_LENGTH - 7)) == {
        "a": "1",
        "b": "x" * (MAX_LENGTH - 7),
    }
    assert await cookies(b"a=1", b"b=" + b"x" * (MAX_LENGTH - 4)) == {}
