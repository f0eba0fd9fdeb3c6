"""Authenticate connections by a token: in a header, a subprotocol, the query or the first frame.

The way of a connection: the sources take the tokens out of a copy of the scope. One token is
checked and handed to the program's `authenticate`, whose user goes into the scope. If a WebSocket
brings no token and a `FirstMessageToken` is configured, the handshake is accepted, the first frame
read, and the application run on the accepted connection (`_tokens/early_accept.py`).

No token is written to a log line, an error or a `repr` by this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from asgiref.sync import iscoroutinefunction

from channels_auth._challenges import add_challenges
from channels_auth._close_codes import UNAUTHORIZED
from channels_auth._scope import set_user
from channels_auth._tokens.early_accept import run_accepted
from channels_auth._tokens.sources import (
    FirstMessageToken,
    HeaderToken,
    QueryToken,
    SubprotocolToken,
    TokenSource,
    offer,
)
from channels_core.applications import name_that_thing
from channels_core.client_log import log_of_client
from channels_core.db import aclose_old_connections, database_sync_to_async
from channels_core.middleware import BaseMiddleware
from channels_core.refusal import refuse
from channels_core.typing import AnyScope, Message, Receive, Scope, Send

__all__ = [
    "FirstMessageToken",
    "HeaderToken",
    "QueryToken",
    "SubprotocolToken",
    "TokenAuthMiddleware",
    "TokenAuthenticator",
    "TokenSource",
]

logger: Final = logging.getLogger("django.channels.auth")


class TokenAuthenticator(Protocol):
    """Find the user for a token; a function with the same parameters can be used instead."""

    def authenticate(self, token: str, scope: AnyScope) -> Any:
        """Return the user that a token belongs to; this may be a coroutine method as well.

        An ordinary method runs in a thread, where it may use the database.

        Args:
            token: Between 1 and `max_length` visible ASCII characters, as the client sent them.
            scope: The connection's scope, which the application will get. You may add to it.

        Returns:
            A user whose `is_authenticated` is true, or None to refuse the connection.
        """


# Any: the function may return a user of any kind, or an awaitable of one.
_Authenticate: TypeAlias = Callable[[str, Scope], Any]


class _RefusedError(Exception):
    """The connection is refused. The message says why, without the token."""


class TokenAuthMiddleware(BaseMiddleware):
    """Set the user of a connection from its token.

    A connection with an invalid token is refused with status 401, or with close code 4401 if the
    server cannot send a status for a WebSocket. Without a token, the user is the one that an outer
    middleware has set, or else anonymous.
    """

    def __init__(
        self,
        inner: Any,
        authenticate: TokenAuthenticator | _Authenticate,
        sources: TokenSource | Iterable[TokenSource] = (HeaderToken(),),  # noqa: B008 - it has no state
        *,
        required: bool = False,
        max_length: int = 4096,
    ) -> None:
        """Wrap an application.

        Args:
            inner: An ASGI 3 application, a consumer class, or a two-step application.
            authenticate: A function or coroutine function `authenticate(token, scope)` that
                returns the user or None, or an object with such a method; see
                `TokenAuthenticator`.
            sources: One or more places to look for a token. A connection with more than one token
                is refused.
            required: Whether connections without a token are refused.
            max_length: The longest token, and the longest first frame, in characters.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: There is more than one `FirstMessageToken`.
        """
        super().__init__(inner)
        several = sources if isinstance(sources, Iterable) else (sources,)
        self.sources: Sequence[TokenSource] = tuple(several)
        self.required = required
        self.max_length = max_length
        self._authenticate = _as_coroutine_function(authenticate)
        for source in self.sources:
            if not isinstance(source, TokenSource):
                raise TypeError(f"sources takes instances such as HeaderToken(), not {source!r}")
        firsts = [each for each in self.sources if isinstance(each, FirstMessageToken)]
        if len(firsts) > 1:
            raise ValueError("There is one first message, so give one FirstMessageToken at most")
        self._first = firsts[0] if firsts else None
        # Whether the loss of an accept's headers or subprotocol was logged.
        self._warned = False

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one connection, unless it is refused.

        Scope:
            `user` is set. The token is removed from `query_string` and `subprotocols`.

        Raises:
            ValueError: The scope's type is not `http`, `websocket` or `lifespan`.
            TypeError: `authenticate` returned neither a user nor None.
        """
        if scope["type"] == "lifespan":
            return await super().__call__(scope, receive, send)
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(
                "TokenAuthMiddleware serves http and websocket connections; a scope of the type "
                f"{scope['type']!r} has no client who could bring a token"
            )
        scope = dict(scope)
        add_challenges(scope, self._challenges(presented=False))
        offered = scope.get("subprotocols") or ()
        names = (source.subprotocol for source in self.sources if source.subprotocol in offered)
        chosen = next(names, None)
        tokens = [token for source in self.sources for token in source.take(scope)]
        if not tokens and self._first is not None and scope["type"] == "websocket":
            return await self._after_first_message(self._first, scope, receive, send)
        try:
            await self._identify(scope, tokens)
        except _RefusedError as error:
            _log(scope, error)
            challenges = self._challenges(presented=bool(tokens))
            headers = [("www-authenticate", challenge) for challenge in challenges]
            body = b"Unauthorized"
            await refuse(scope, receive, send, 401, headers=headers, body=body, code=UNAUTHORIZED)
            return None
        if chosen is not None:
            send = _with_subprotocol(send, chosen)
        return await self.inner(scope, receive, send)

    async def _identify(self, scope: Scope, tokens: Collection[str]) -> None:
        """Set the user.

        Raises:
            _RefusedError: The connection has no valid token.
        """
        if not tokens:
            if self.required:
                raise _RefusedError("it has no token")
            if scope.get("user") is None:
                # Imported here because it imports models.
                from django.contrib.auth.models import AnonymousUser

                scope["user"] = AnonymousUser()
            return
        if len(tokens) > 1:
            raise _RefusedError("it has more than one token")
        [token] = tokens
        if len(token) > self.max_length:
            raise _RefusedError(f"its token is longer than {self.max_length} characters")
        if not (token.isascii() and token.isprintable() and token and " " not in token):
            raise _RefusedError("its token is empty, or has characters other than visible ASCII")
        user = await self._authenticate(token, scope)
        if user is not None and not hasattr(user, "is_authenticated"):
            # The error names the type only: the value may contain the token.
            raise TypeError(
                "authenticate(token, scope) has to return a user or None, not "
                f"{name_that_thing(type(user))}"
            )
        if user is None or not user.is_authenticated:
            raise _RefusedError("its token is not valid")
        await set_user(scope, user)

    def _challenges(self, *, presented: bool) -> list[str]:
        challenges = [source.challenge for source in self.sources if source.challenge]
        # RFC 6750, section 3.1.
        error = ' error="invalid_token"' if presented else ""
        # RFC 9110, section 15.5.2, requires a challenge, also for sources that have no scheme.
        return [
            each + error if each.lower() == "bearer" else each for each in challenges or ["Token"]
        ]

    async def _after_first_message(
        self, first: FirstMessageToken, scope: Scope, receive: Receive, send: Send
    ) -> Any:
        if (await receive())["type"] != "websocket.connect":
            return None
        offered = scope.get("subprotocols") or ()
        chosen = next((name for name in first.subprotocols if name in offered), None)
        try:
            await send({"type": "websocket.accept", "subprotocol": chosen})
        except OSError:
            # Servers raise it when the client has left.
            return None
        try:
            text = await self._first_text(first, receive)
            if text is None:
                return None
            await self._identify(scope, [first.read(text)])
        except _RefusedError as error:
            _log(scope, error)
            with contextlib.suppress(OSError):
                await send({"type": "websocket.close", "code": UNAUTHORIZED})
            return None
        offer(scope, [] if chosen is None else [chosen])
        return await run_accepted(
            self.inner, scope, receive, send, lambda accept: self._warn_about_loss(accept, chosen)
        )

    async def _first_text(self, first: FirstMessageToken, receive: Receive) -> str | None:
        """Return the text of the first frame; None if the client has left.

        Raises:
            _RefusedError: The frame came too late, is binary, or is too long.
        """
        try:
            async with asyncio.timeout(first.timeout):
                message = await receive()
        except TimeoutError:
            raise _RefusedError(f"no token came within {first.timeout} seconds") from None
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if text is None:
            raise _RefusedError("its first frame is binary; a text frame with a token is expected")
        if len(text) > self.max_length:
            raise _RefusedError(f"its first frame is longer than {self.max_length} characters")
        return str(text)

    def _warn_about_loss(self, accept: Message, chosen: str | None) -> None:
        """Warn, once, if the accept that is not sent has headers or another subprotocol."""
        lost = accept.get("headers") or accept.get("subprotocol") not in (None, "", chosen)
        if lost and not self._warned:
            self._warned = True
            logger.warning(
                "An application accepts with headers or a subprotocol that cannot be sent: "
                "FirstMessageToken has accepted the handshake already. Give the subprotocols to "
                "FirstMessageToken(subprotocols=...), and set headers and cookies outside of "
                "TokenAuthMiddleware"
            )


def _as_coroutine_function(authenticate: Any) -> Callable[[str, Scope], Awaitable[Any]]:
    """Return `authenticate` as a coroutine function that leaves no database connection open.

    Raises:
        TypeError: It is neither a function nor an object with such a method.
    """
    function = getattr(authenticate, "authenticate", authenticate)
    # Calling a class would create an instance, which would be taken for the user.
    if isinstance(authenticate, type) or not callable(function):
        raise TypeError(
            "TokenAuthMiddleware expects a function authenticate(token, scope), or an object "
            f"with such a method, not {authenticate!r}"
        )

    async def call(token: str, scope: Scope) -> Any:
        if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
            user = function(token, scope)
        else:
            # Not `look_up`: strangers call this, and it may be slow, while lookups must be short.
            user = await database_sync_to_async(function)(token, scope)
        if inspect.isawaitable(user):
            try:
                user = await user
            finally:
                await aclose_old_connections()
        return user

    return call


def _log(scope: Scope, error: _RefusedError) -> None:
    text = "%s %.200r was refused: %s"
    log_of_client(logger, logging.WARNING, scope, text, scope["type"], scope.get("path"), error)


def _with_subprotocol(send: Send, subprotocol: str) -> Send:
    """Return a send that adds a subprotocol to an accept without one."""

    async def send_with_subprotocol(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": subprotocol}
        await send(message)

    return send_with_subprotocol
