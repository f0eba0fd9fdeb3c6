"""Answer what an application raises because of its client, rather than because of a fault.

The outermost router runs its applications in `answer_client_errors`, which answers these errors
with one warning in the log; every other exception goes on to the server:

- `RouteNotFound`: status 404, if nothing was sent before. A WebSocket is closed if the server
  offers no HTTP response for a handshake.
- `InvalidFrame`: the WebSocket is closed with the error's code. For HTTP, only a channel layer
  raises one, since the client is too slow for its messages: status 503 if nothing was sent before.
- `SessionInterrupted`, for a session that was deleted while its request was served: status 400.

An outage of the channel layer is no fault of the client, but it is answered here as well, without a
line for each connection: status 503 if nothing was sent before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from asgiref.sync import markcoroutinefunction

from channels_core._layers.outages import is_to_refuse, was_answered
from channels_core._logging import collect_records, records_handled
from channels_core._messages import CLOSING_TYPES
from channels_core._two_step import first_step
from channels_core._uvicorn import LAST_OF_REFUSAL, let_server_close
from channels_core.abort import abort_response, with_server
from channels_core.exceptions import InvalidFrame, InvalidJSON, RouteNotFound
from channels_core.refusal import answers_failures, refusal, refuse_for_now
from channels_core.typing import Message, Receive, Scope, Send

__all__ = ["answer_client_errors", "answer_in_two_steps"]

logger = logging.getLogger("django.channels.routing")

_BODY: Final = b"Not Found"
_RESTART: Final = 1012  # IANA, "WebSocket Close Code Number Registry": service restart


class _Server:
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


async def answer_client_errors(  # noqa: C901 - no coroutine for each connection
    application: Callable[[Scope, Receive, Send], Awaitable[Any]],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> Any:
    """Serve a connection, and answer the errors that its client has caused.

    An HTTP response that fails halfway is cut short, so that the client notices.

    Scope:
        Of the type `http` or `websocket`.

    Returns:
        What the application returns, since programs test their routing by that.

    Raises:
        RouteNotFound: The error cannot be answered, since a message was sent before.
        SessionInterrupted: As for `RouteNotFound`.
    """
    server = _Server(receive, send)
    scope = with_server(scope, send)
    records = collect_records()
    # Not kept as a token, which holds the context too.
    before = answers_failures.get()
    answers_failures.set(True)
    try:
        result = await application(scope, server.receive, server.send)
        if server.last_sent == LAST_OF_REFUSAL:
            await let_server_close(server.last_sent)
        return result
    except RouteNotFound as error:
        if server.last_sent is not None:
            raise
        _warn(scope, error)
        # A server raises an OSError if the client has left.
        with contextlib.suppress(OSError):
            if scope["type"] == "websocket" and not server.was_asked:
                await receive()  # the handshake
            await _answer_not_found(scope, send)
    except InvalidFrame as error:
        _warn(scope, error)
        if not await _answer_invalid_frame(scope, receive, send, server, error):
            raise
    except Exception as error:
        # Both marks are for an outage of the layer, which its connections have recorded.
        if is_to_refuse(error):
            await _refuse(scope, receive, send, server)
        elif not (was_answered(error) or await _end_response(scope, send, error, server.last_sent)):
            raise
    finally:
        answers_failures.set(before)
        if records.last is not None:
            await records_handled()


async def _answer_invalid_frame(
    scope: Scope, receive: Receive, send: Send, server: _Server, error: InvalidFrame
) -> bool:
    """Close a WebSocket, or refuse a request; return False if its response has begun."""
    if scope["type"] == "http":
        # From a channel layer, for a client that reads too slowly.
        if server.last_sent is not None:
            abort_response(scope)
            return False
        await _refuse(scope, receive, send, server)
    elif server.last_sent not in CLOSING_TYPES:
        with contextlib.suppress(OSError):
            await _close(send, error.code)
    return True


def answer_in_two_steps(application: Any, scope: Scope) -> Any:
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
    return partial(answer_client_errors, lambda _, *channel: instance(*channel), scope)


async def _refuse(scope: Scope, receive: Receive, send: Send, server: _Server) -> None:
    """Refuse a connection in an outage; close it if something else than us has accepted it."""

    async def received() -> Message:
        return {"type": "websocket.connect"}

    if server.last_sent is None:
        await refuse_for_now(scope, received if server.was_asked else receive, send)
    elif scope["type"] == "websocket" and server.last_sent not in CLOSING_TYPES:
        with contextlib.suppress(OSError):
            await _close(send, _RESTART)


async def _raise(error: Exception, receive: Receive, send: Send) -> None:
    raise error


async def _end_response(scope: Scope, send: Send, error: Exception, last_sent: str | None) -> bool:
    """Answer an error of an HTTP application if possible, and return whether it is answered."""
    if scope["type"] != "http":
        return False
    if last_sent is not None:
        abort_response(scope)
        return False
    from django.contrib.sessions.exceptions import SessionInterrupted

    if not isinstance(error, SessionInterrupted):
        return False
    _warn(scope, error)
    # Django answers it like this.
    with contextlib.suppress(OSError):
        for message in refusal(scope, 400, body=str(error)):
            await send(message)
    return True


async def _answer_not_found(scope: Scope, send: Send) -> None:
    messages = refusal(scope, 404, body=_BODY)
    for message in messages:
        await send(message)
    await let_server_close(messages[-1]["type"])


async def _close(send: Send, code: int) -> None:
    try:
        await send({"type": "websocket.close", "code": code})
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - Autobahn, under Daphne, raises nothing more exact
        # It sends portable codes only.
        from channels_core.close_codes import portable_close_code

        await send({"type": "websocket.close", "code": portable_close_code(code)})


def _warn(scope: Scope, error: Exception) -> None:
    # Loaded with the first such error: all connections run through this module.
    from channels_core._failure_log import text_with_notes
    from channels_core.client_log import log_of_client, one_line

    # The standard library's text, which programs expect of the error, does not name the frame.
    fault = (
        f"A text frame is not JSON: {error}"
        if isinstance(error, InvalidJSON)
        else text_with_notes(error)
    )
    # Cut short and escaped: the client chose the path, and no line of the log may be its work.
    kind, path, line = scope["type"], scope.get("path"), one_line(fault)
    log_of_client(
        logger, logging.WARNING, scope, "%s %.200r: %s", kind, path, line, kind=type(error)
    )
