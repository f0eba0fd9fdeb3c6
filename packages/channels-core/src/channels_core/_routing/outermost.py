"""Serve a connection for the outermost router, which answers errors that its client has caused.

`client_errors.py`, which is loaded with the first exception, says which errors these are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asgiref.sync import markcoroutinefunction

from channels_core._logging import collect_records, records_handled
from channels_core._messages import LAST_OF_REFUSAL
from channels_core._scope import answers_failures
from channels_core._server import with_server
from channels_core._two_step import first_step
from channels_core.exceptions import RouteNotFound
from channels_core.typing import Message, Receive, Scope, Send

__all__ = ["Passing", "serve", "serve_in_two_steps"]


class Passing:
    """Pass messages between the server and an application, and record what passes.

    An object with two methods: two functions for each connection would take 0.4 KiB more.

    Attributes:
        last_sent: The type of the message that was sent last; None before the first one.
        was_asked: Whether the application has asked for a message.
    """

    __slots__ = ("_receive", "_send", "last_sent", "was_asked")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.last_sent: str | None = None
        self.was_asked = False

    # Not coroutine functions: these run for each message, and a coroutine would cost more than
    # the rest of them.
    @markcoroutinefunction
    def receive(self) -> Awaitable[Message]:
        """Receive from the server."""
        self.was_asked = True
        return self._receive()

    @markcoroutinefunction
    def send(self, message: Message) -> Awaitable[None]:
        """Send to the server."""
        self.last_sent = message["type"]
        return self._send(message)


async def serve(
    application: Callable[[Scope, Receive, Send], Awaitable[Any]],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> Any:
    """Serve a connection, and answer the errors that its client has caused.

    Scope:
        Of the type `http` or `websocket`.

    Returns:
        What the application returns, since programs test their routing by that.

    Raises:
        RouteNotFound: The error cannot be answered, since a message was sent before.
        SessionInterrupted: As for `RouteNotFound`.
    """
    passing = Passing(receive, send)
    scope = with_server(scope, send)
    records = collect_records()
    # Not kept as a token, which holds the context too.
    before = answers_failures.get()
    answers_failures.set(True)
    try:
        result = await application(scope, passing.receive, passing.send)
        if passing.last_sent == LAST_OF_REFUSAL:
            from channels_core._uvicorn import let_server_close

            await let_server_close(passing.last_sent)
        return result
    except Exception as error:
        from channels_core._routing.client_errors import answer

        last_sent, was_asked = passing.last_sent, passing.was_asked
        if not await answer(error, scope, receive, send, last_sent, was_asked=was_asked):
            raise
    finally:
        answers_failures.set(before)
        if records.last is not None:
            await records_handled()


def serve_in_two_steps(application: Any, scope: Scope) -> Any:
    """Take the first of two steps; the second one answers the errors that the client has caused.

    Returns:
        A callable for the second step; or what the application returns, if that is not callable.

    Raises:
        RouteNotFound: No event loop runs, so there is no client to answer.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return first_step(application, scope)
    try:
        instance = first_step(application, scope)
    except RouteNotFound as error:
        instance = partial(_raise, error)
    # A test's application may return anything.
    if not callable(instance):
        return instance
    return partial(serve, lambda _, *channel: instance(*channel), scope)


async def _raise(error: Exception, receive: Receive, send: Send) -> None:
    raise error
