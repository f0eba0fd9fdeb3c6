"""Authenticate connections by a token: in a header, a subprotocol, the query or the first frame.

No token gets into a log line, an error or a `repr` of this module.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from asgiref.sync import iscoroutinefunction

from channels_auth._challenges import add_challenges
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
    """Find the user for a token; a function with the same parameters will do as well."""

    def authenticate(self, token: str, scope: AnyScope) -> Any:
        """Return the user whose token it is; may also be a coroutine method.

        An ordinary one runs in a thread, where it may use the database.

        Args:
            token: Between 1 and `max_length` visible ASCII characters. Not checked in any way.
            scope: The connection's scope, which the application will see: more may be added.

        Returns:
            The user, whose `is_authenticated` is true; None refuses the connection.
        """


# Any: the function may return a user of any kind, or an awaitable of one.
_Authenticate: TypeAlias = Callable[[str, Scope], Any]


class _RefusedError(Exception):
    """The connection gets no user; says why, without the token."""


class TokenAuthMiddleware(BaseMiddleware):
    """Set the user of a connection by the token that it brings.

    A token that is not valid is refused with status 401, a WebSocket with close code 4401 where
    the server cannot send a status. Without a token the user stays the one that a middleware
    around this one has set, or else is anonymous.
    """

    def __init__(
        self,
        inner: Any,
        authenticate: TokenAuthenticator | _Authenticate,
        sources: TokenSource | Iterable[TokenSource] = (HeaderToken(),),  # noqa: B008 - no state in it
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
            sources: Where to look for a token: a source, or several. One connection may bring one
                token only.
            required: Refuse connections without a token.
            max_length: The most characters in a token, and in a frame with one.

        Raises:
            TypeError: Something is not what is expected.
            ValueError: There is more than one `FirstMessageToken`.
        """
        super().__init__(inner)
        several = sources if isinstance(sources, Iterable) else (sources,)
        self.sources: Sequence[TokenSource] = tuple(several)
        self.required = required
        self.max_length = max_length
        self._authenticate = _checked(authenticate)
        for source in self.sources:
            if not isinstance(source, TokenSource):
                raise TypeError(f"sources takes instances such as HeaderToken(), not {source!r}")
        firsts = [each for each in self.sources if isinstance(each, FirstMessageToken)]
        if len(firsts) > 1:
            raise ValueError("There is one first message, so give one FirstMessageToken at most")
        self._first = firsts[0] if firsts else None
        self._warned = False

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one connection, unless it is refused.

        Scope:
            `user` is set. The token is removed from `query_string` and `subprotocols`.

        Raises:
            ValueError: It is neither http nor a WebSocket, nor the server's lifespan.
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
            await refuse(scope, receive, send, 401, headers=headers, body=body, code=4401)
            return None
        if chosen is not None:
            send = _choosing(send, chosen)
        return await self.inner(scope, receive, send)

    async def _identify(self, scope: Scope, tokens: Collection[str]) -> None:
        """Set the user.

        Raises:
            _RefusedError: There is none.
        """
        if not tokens:
            if self.required:
                raise _RefusedError("it has no token")
            if scope.get("user") is None:
                # Here, because it needs the models.
                from django.contrib.auth.models import AnonymousUser

                scope["user"] = AnonymousUser()
            return
        if len(tokens) > 1:
            raise _RefusedError("it has more than one token")
        [token] = tokens
        if len(token) > self.max_length:
            raise _RefusedError(f"its token is longer than {self.max_length} characters")
        if not (token.isascii() and token.isprintable() and token and " " not in token):
            raise _RefusedError("its token is empty, or is not made of visible ASCII characters")
        user = await self._authenticate(token, scope)
        if user is not None and not hasattr(user, "is_authenticated"):
            # Its type alone: a tuple of a user and a token, perhaps.
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
        # RFC 9110, section 15.5.2, wants one, and no scheme tells of the places that have none.
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
            # So servers tell that the client has left.
            return None
        try:
            text = await self._first_text(first, receive)
            if text is None:
                return None
            await self._identify(scope, [first.read(text)])
        except _RefusedError as error:
            _log(scope, error)
            with contextlib.suppress(OSError):
                await send({"type": "websocket.close", "code": 4401})
            return None
        offer(scope, [] if chosen is None else [chosen])
        return await run_accepted(
            self.inner, scope, receive, send, lambda accept: self._compare(accept, chosen)
        )

    async def _first_text(self, first: FirstMessageToken, receive: Receive) -> str | None:
        """Return the text of the first frame; None if the client has left."""
        try:
            async with asyncio.timeout(first.timeout):
                message = await receive()
        except TimeoutError:
            raise _RefusedError(f"no token came within {first.timeout} seconds") from None
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if text is None:
            raise _RefusedError("its first frame is binary, where a token in a text is expected")
        if len(text) > self.max_length:
            raise _RefusedError(f"its first frame is longer than {self.max_length} characters")
        return str(text)

    def _compare(self, accept: Message, chosen: str | None) -> None:
        """Warn, once, if an accept that cannot be sent had something to say."""
        lost = accept.get("headers") or accept.get("subprotocol") not in (None, "", chosen)
        if lost and not self._warned:
            self._warned = True
            logger.warning(
                "An application accepts with headers or a subprotocol, which cannot be sent: "
                "FirstMessageToken has accepted before it. Give the subprotocols to "
                "FirstMessageToken(subprotocols=...), and set headers and cookies outside of "
                "TokenAuthMiddleware"
            )


def _checked(authenticate: Any) -> Callable[[str, Scope], Awaitable[Any]]:
    """Return a coroutine function, which leaves no database connection open."""
    function = getattr(authenticate, "authenticate", authenticate)
    # A class would be called as a function, and its new instance taken for the user.
    if isinstance(authenticate, type) or not callable(function):
        raise TypeError(
            "TokenAuthMiddleware expects a function authenticate(token, scope), or an object "
            f"with such a method, not {authenticate!r}"
        )

    async def call(token: str, scope: Scope) -> Any:
        if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
            user = function(token, scope)
        else:
            user = await database_sync_to_async(function)(token, scope)
        if inspect.isawaitable(user):
            try:
                user = await user
            finally:
                await aclose_old_connections()
        return user

    return call


def _log(scope: Scope, error: _RefusedError) -> None:
    logger.warning("%s %.200r was refused: %s", scope["type"], scope.get("path"), error)


def _choosing(send: Send, subprotocol: str) -> Send:
    async def choosing_send(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": subprotocol}
        await send(message)

    return choosing_send
