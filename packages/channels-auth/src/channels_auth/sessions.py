"""Django's sessions in the scope of a connection, saved without a call by the program.

The way of a session: `SessionMiddleware` makes an `InstanceSessionWrapper` for each connection,
which puts the session into the scope and takes the place of `send`. When a message with headers
passes, a changed session is saved and its cookie added, as Django does it for a response. After
that the cookie cannot change. A change that comes later is saved after the handler that made it:
our consumers call `_after_handler`; any other application is expected to ask for its next message
then, or to end.

If the session turns out to be deleted, an HTTP request fails as in Django, and a WebSocket is
closed with 4401. Private parts: `_sessions/engine.py` loads, saves and merges;
`_sessions/response_headers.py` writes the headers; `_sessions/handshake_headers.py` decides
whether a handshake's headers reach the browser.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import cache, partial
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, ClassVar, Final

from asgiref.sync import markcoroutinefunction
from django.conf import settings

from channels_auth._scope import SESSION_WRAPPER
from channels_auth._session_storage import keeps_data_in_cookie, read_setting
from channels_auth.cookies import WITHOUT_CLIENT, CookieMiddleware, add_cookie
from channels_core.applications import first_step
from channels_core.middleware import (
    BaseMiddleware,
    after_each_handler,
    at_once,
    forget_after_each_handler,
)
from channels_core.typing import AnyMessage, AnyScope, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from channels_auth._closable_websocket import ClosableWebsocket

__all__ = [
    "CookieMiddleware",
    "InstanceSessionWrapper",
    "SessionMiddleware",
    "SessionMiddlewareInstance",
    "SessionMiddlewareStack",
]

logger: Final = logging.getLogger("django.channels.auth")

#: What of a scope the log needs.
_FOR_LOG: Final = ("type", "path", "client")

#: The messages that carry the headers of a response.
WITH_HEADERS: Final = ["http.response.start", "websocket.accept", "websocket.http.response.start"]


# Loaded with the first connection: commands import this module, too. An import statement would take
# 0.3 us of each connection.


@cache
def _engine() -> Any:
    from channels_auth._sessions import engine

    return engine


@cache
def _handshake_headers() -> Any:
    from channels_auth._sessions import handshake_headers

    return handshake_headers


@cache
def _closable_websocket() -> Any:
    from channels_auth import _closable_websocket

    return _closable_websocket


async def _in_thread(function: Callable[[], Any]) -> Any:
    """Call a function in a thread that may query the database."""
    from channels_core.db import database_sync_to_async  # with the first session that is saved

    return await database_sync_to_async(function)()


async def _send_nothing() -> None:
    """Drop a message."""


def _is_failure(message: Message) -> bool:
    """Return whether a message starts a response that reports a server error."""
    return bool(message.get("status", 200) >= 500)


class InstanceSessionWrapper:
    """The session of one connection: created from its cookie, saved when its headers are sent.

    Later changes are saved after the handler that made them.

    Attributes:
        scope: A copy of the connection's scope, with the session. Once the middleware has answered
            the client, only what the log needs.
        session: The session.
        activated: Whether this wrapper saves the session. False inside another
            SessionMiddleware, which saves it, and after a response with status 500 or above.
    """

    save_message_types: Collection[str] = WITH_HEADERS
    cookie_response_message_types: Collection[str] = WITH_HEADERS

    # With a dict as well, made when a program sets a further attribute.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_browser_key",
        "_cookies",
        "_handed_over",
        "_handlers_are_reported",
        "_headers_are_pending",
        "_headers_reach_browser",
        "_server_receive",
        "_warned",
        "_websocket",
        "activated",
        "cookie_name",
        "real_send",
        "scope",
        "session",
        "session_store",
    )

    real_send: Send
    _server_receive: Receive

    def __init__(self, scope: AnyScope, send: Send | None) -> None:
        """Create the session of a connection.

        Args:
            scope: The connection's scope, with `cookies`.
            send: ASGI send; None if a second step brings it later.

        Raises:
            ValueError: The scope has no cookies.
        """
        if "cookies" not in scope:
            raise ValueError(
                "No cookies in scope - SessionMiddleware needs to run inside of CookieMiddleware."
            )
        self.scope: Scope = dict(scope)
        self.cookie_name: str = read_setting("SESSION_COOKIE_NAME")
        self.session_store: type[Any] = _engine().session_class()
        self.activated: bool = "session" not in scope
        # None until they are used.
        self._cookies: SimpleCookie | None = None
        # Whether the headers of the answer are still to be sent.
        self._headers_are_pending = True
        # Whether the server sends the headers of this connection's answer to the browser.
        self._headers_reach_browser = True
        # The connection, if it is a WebSocket, so that it can be closed.
        self._websocket: ClosableWebsocket | None = None
        # Whether the application inside has the scope, and nobody else may read it here.
        self._handed_over = False
        # Whether the application inside reports the end of its handlers, as our consumers do.
        self._handlers_are_reported = False
        # Whether a change that cannot be stored, or not be found again, was logged.
        self._warned = False
        if self.activated:
            key = self.scope["cookies"].get(self.cookie_name)
            # The session key that the browser's cookie holds. No engine makes unprintable keys,
            # and a database may raise an error for one.
            self._browser_key: str | None = key if key and key.isprintable() else None
            self.session: Any = self.session_store(self._browser_key)
            self.scope["session"] = self.session
            self.scope[SESSION_WRAPPER] = self
            after_each_handler(self.scope, self._after_handler)
        else:
            self.session = self.scope["session"]
        if send is not None:
            self._set_send(send)

    @property
    def cookies(self) -> SimpleCookie:
        """Further cookies to set together with the session's."""
        if self._cookies is None:
            self._cookies = SimpleCookie()
        return self._cookies

    def _set_send(self, send: Send) -> None:
        self.real_send = send
        self._headers_reach_browser = _handshake_headers().server_sends_headers(self.scope, send)
        if self.activated:
            if self.scope["type"] == "websocket":
                self._websocket = _closable_websocket().ClosableWebsocket(self.scope, send)
            if not self.can_set_cookie:
                _engine().record_headers_sent(self.session)

    @property
    def can_set_cookie(self) -> bool:
        """Whether a cookie can still reach the browser: headers are pending and will be sent."""
        return self._headers_are_pending and self._headers_reach_browser

    async def resolve_session(self) -> None:
        """Prepare the session; it is loaded when it is first used."""

    # Not a coroutine function, as below: most messages have no headers, and no coroutine of ours.
    @markcoroutinefunction
    def send(self, message: Message) -> Awaitable[None]:
        """Send a message, with the session's cookie if it has headers.

        Messages:
            `http.response.start`, `websocket.accept`, `websocket.http.response.start`: a modified
            session is saved, and its cookie set or deleted, on a copy.

        Raises:
            SessionInterrupted: The session was deleted meanwhile (HTTP); a SuspiciousOperation as
                well. A WebSocket is closed instead.

        Source: `django.contrib.sessions.middleware.SessionMiddleware.process_response`.
        """
        if (
            self.activated
            and self._headers_are_pending
            and (message["type"] in WITH_HEADERS or message["type"] == "websocket.close")
        ):
            return self._answer(message)
        # Not `send` of the WebSocket, which would be one more coroutine for each message.
        if not self.activated or self._websocket is None or self._websocket.lets_through(message):
            return self.real_send(message)
        return _send_nothing()

    async def _answer(self, message: Message) -> None:
        """Send the message that answers the client, with the session's headers.

        If the session was deleted meanwhile, the WebSocket is closed here.
        """
        if self.can_set_cookie and message["type"] in self.cookie_response_message_types:
            from django.contrib.sessions.exceptions import SessionInterrupted

            try:
                message = await self._with_session_headers(message)
            except SessionInterrupted:
                if self._websocket is None:
                    raise
                self.session.modified = False
                await self._close()
        self._headers_are_pending = False
        if _is_failure(message):
            self.activated = False  # like Django, store no changes of a failed request
        else:
            _engine().record_headers_sent(self.session)
            if self._needs_save() and message["type"] == "websocket.accept":
                await self._save_after_headers()
        if self._handed_over:
            # Applications inside have a scope of their own. So an idle connection has 0.3 KiB less.
            scope = self.scope
            self.scope = {key: scope[key] for key in _FOR_LOG if key in scope}
        if not self.activated or self._websocket is None or self._websocket.lets_through(message):
            await self.real_send(message)

    async def _with_session_headers(self, message: Message) -> Message:
        """Return the message, or a copy with the headers that the session adds to it."""
        session = self.session
        added: dict[str, Any] = {}
        vary = session.accessed
        if self.cookie_name in self.scope["cookies"] and session.is_empty():
            # Loaded with the first session that changes headers, as below.
            from channels_auth._sessions.response_headers import delete_session_cookie

            delete_session_cookie(added, self.cookie_name)
            vary = True
        elif (
            (session.modified or settings.SESSION_SAVE_EVERY_REQUEST)
            and not session.is_empty()
            and not _is_failure(message)
            and message["type"] in self.save_message_types
        ):
            from channels_auth._sessions.response_headers import set_session_cookie

            max_age = await self._save_and_get_max_age()
            self._browser_key = session.session_key
            set_session_cookie(added, self.cookie_name, self._browser_key or "", max_age)
            vary = True
        if self._cookies:
            for morsel in self._cookies.values():
                add_cookie(added, morsel)
            vary = True
        vary = vary and message["type"] != "websocket.accept"
        if not added and not vary:
            return message  # the same object: programs compare it
        # The headers may be an iterable that can be read only once.
        headers = [*(message.get("headers") or ()), *added.get("headers", ())]
        if vary:
            from channels_auth._sessions.response_headers import vary_on_cookie

            headers = vary_on_cookie(headers)
        return {**message, "headers": headers}

    async def _save_and_get_max_age(self) -> int | None:
        """Save the session.

        Returns:
            Seconds that the browser keeps the cookie; None until it is closed.
        """

        def in_thread() -> int | None:
            session = self.session
            at_close = session.get_expire_at_browser_close()
            max_age = None if at_close else session.get_expiry_age()
            # Cleared before the save: a task may change the session during the save.
            modified, session.modified = session.modified, False
            try:
                self._save(settles=True)
            except BaseException:
                session.modified = modified
                raise
            if keeps_data_in_cookie(session):
                session.modified = False  # that engine's `save` has set it
            return max_age

        saved_for: int | None = await _in_thread(in_thread)
        return saved_for

    def _save(self, *, settles: bool = False) -> None:
        """Save the session.

        Args:
            settles: Whether the creation of a new session leaves it unmodified.
        """
        from django.contrib.sessions.backends.base import UpdateError
        from django.contrib.sessions.exceptions import SessionInterrupted

        from channels_auth._sessions.engine import INTERRUPTED, SessionGone, record_creation

        is_new = self.session.session_key is None
        try:
            self.session.save()
            if settles and is_new:
                record_creation(self.session)
        except SessionInterrupted:
            raise
        except UpdateError as error:
            raise SessionGone(INTERRUPTED) from error
        except OSError as error:
            # From a full disk, for example. Raised by `send`, an OSError would mean that the
            # client has left.
            raise RuntimeError("The session could not be saved") from error

    async def save_session(self) -> None:
        """Save the session now.

        Raises:
            SessionInterrupted: The session was deleted meanwhile.
        """
        await _in_thread(self._save)

    # After the headers

    def _after_handler(self) -> Awaitable[None] | None:
        self._handlers_are_reported = True
        if self._headers_are_pending or not self._needs_save():
            return None
        return self._save_after_headers()

    def _needs_save(self) -> bool:
        return self.activated and not self._headers_are_pending and self.session.modified

    async def _save_after_headers(self) -> None:
        session = self.session
        if session.is_empty():
            session.modified = False  # it was flushed, so it is deleted already
        elif keeps_data_in_cookie(session):
            session.modified = False
            self._warn_once("cannot be stored (SESSION_ENGINE keeps sessions in the cookie)")
        else:
            if session.session_key is None or session.session_key != self._browser_key:
                self._warn_once("is stored under a key that the browser does not receive")
            from django.contrib.sessions.exceptions import SessionInterrupted

            try:
                await _in_thread(partial(self._save, settles=True))
            except SessionInterrupted:
                session.modified = False
                if self._websocket is None:
                    raise
                await self._close()
            except BaseException:
                self.activated = False  # the error ends the connection; do not try again
                raise

    def _warn_once(self, fault: str) -> None:
        if not self._warned:
            self._warned = True
            from channels_core.client_log import log_of_client

            # A warning: the connection goes on, and an error would mail the administrators.
            log_of_client(
                logger,
                logging.WARNING,
                self.scope,
                "A change of the session of %s %.200r %s, because %s; %s",
                self.scope["type"],
                self.scope.get("path"),
                fault,
                *(
                    (
                        "the headers of the response are already sent",
                        "change the session before that",
                    )
                    if self._headers_reach_browser
                    else (
                        "this server sends no headers with a handshake",
                        "begin the session over HTTP",
                    )
                ),
            )

    async def _close(self) -> None:
        from channels_auth._closable_websocket import WebsocketState

        assert self._websocket is not None
        if self._websocket.state is not WebsocketState.CLOSED:
            from channels_auth._sessions.engine import INTERRUPTED
            from channels_core.client_log import log_of_client

            text, path = "WebSocket %.200r is closed: %s", self.scope.get("path")
            log_of_client(logger, logging.WARNING, self.scope, text, path, INTERRUPTED)
        from channels_auth._close_codes import UNAUTHORIZED

        await self._websocket.close(UNAUTHORIZED, "The session has ended")

    async def serve(
        self, application: Callable[[Scope, Receive, Send], Awaitable[Any]], receive: Receive
    ) -> Any:
        """Prepare the session, run the application inside, and save the last changes.

        Args:
            application: An ASGI 3 application.
            receive: ASGI receive.

        Returns:
            What the application returns.
        """
        if type(self).resolve_session is not _RESOLVE:
            await self.resolve_session()
        self._server_receive = receive
        # A program's subclass may read the scope at any time.
        self._handed_over = type(self) is InstanceSessionWrapper
        try:
            try:
                result = await application(self.scope, self._saving_receive, self.send)
            except BaseException as error:
                if self._websocket is not None:
                    from django.contrib.sessions.exceptions import SessionInterrupted

                    if isinstance(error, SessionInterrupted):
                        await self._close()
                        return None
                    if self._needs_save():
                        await self._try_to_save()
                raise
            if self._needs_save():
                await self._save_after_headers()
            return result
        finally:
            # The scope holds this object, so that each connection would leave a circle of 23
            # objects to the garbage collector. Applications inside have copies of the scope.
            self.scope.pop(SESSION_WRAPPER, None)
            forget_after_each_handler(self.scope)

    # A method, since a function for each connection would take 0.4 KiB. Not a coroutine function:
    # most messages need no save, and no coroutine of ours then.
    @markcoroutinefunction
    def _saving_receive(self) -> Awaitable[Message]:
        # An application that does not report its handlers asks for the next message after one.
        if self._headers_are_pending or self._handlers_are_reported or not self._needs_save():
            return self._server_receive()
        return self._save_and_receive()

    async def _save_and_receive(self) -> AnyMessage:
        await self._save_after_headers()
        return await self._server_receive()

    async def _try_to_save(self) -> None:
        """Save the session; log an error, because the application's own is raised."""
        try:
            await self._save_after_headers()
        except Exception:
            logger.exception("The session of %.200r was not saved", self.scope.get("path"))


#: A program's subclass may override it.
_RESOLVE: Final = InstanceSessionWrapper.resolve_session


class SessionMiddleware(BaseMiddleware):
    """Put the client's session into `scope["session"]`.

    The session is loaded when it is first used: one query with a database engine, no query without
    a cookie, and no query if nothing uses it. Inside another SessionMiddleware it does nothing.
    """

    save_message_types: ClassVar[Collection[str]] = InstanceSessionWrapper.save_message_types
    cookie_response_message_types: ClassVar[Collection[str]] = (
        InstanceSessionWrapper.cookie_response_message_types
    )

    @at_once
    def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Coroutine[Any, Any, Any]:
        """Serve one connection.

        Scope:
            `cookies` is read; `session` is added. A `lifespan` or `channel` scope has no client
            and is passed on unchanged.

        Raises:
            ValueError: The scope has no cookies.
        """
        if scope.get("type") in WITHOUT_CLIENT:
            return super().__call__(scope, receive, send)
        wrapper = InstanceSessionWrapper(scope, send)
        if self.save_message_types is not wrapper.save_message_types:
            wrapper.save_message_types = self.save_message_types
        if self.cookie_response_message_types is not wrapper.cookie_response_message_types:
            wrapper.cookie_response_message_types = self.cookie_response_message_types
        if not wrapper.activated:
            return super().__call__(scope, receive, send)
        return wrapper.serve(self.inner, receive)

    def _channels_first_step(self, scope: AnyScope) -> Any:
        if scope.get("type") in WITHOUT_CLIENT:
            return super()._channels_first_step(scope)
        return SessionMiddlewareInstance(scope, self)


class SessionMiddlewareInstance(InstanceSessionWrapper):
    """The session of one connection, as a two-step application: `instance(receive, send)`."""

    def __init__(self, scope: AnyScope, middleware: SessionMiddleware) -> None:
        """Create the session of a connection, and take the first step of the application inside.

        Args:
            scope: The connection's scope, with `cookies`.
            middleware: The middleware around the application.

        Raises:
            ValueError: The scope has no cookies.
        """
        super().__init__(scope, None)
        self.middleware = middleware
        self.save_message_types: Collection[str] = middleware.save_message_types
        self.cookie_response_message_types: Collection[str] = (
            middleware.cookie_response_message_types
        )
        #: Serves the connection inside: called with ASGI's receive and send.
        self.inner: Callable[..., Awaitable[Any]] = first_step(middleware.inner, self.scope)

    def save_session(self) -> None:  # type: ignore[override] # the synchronous twin
        """Save the session now, from synchronous code.

        Raises:
            SessionInterrupted: The session was deleted meanwhile.
        """
        self._save()

    async def __call__(self, receive: Receive, send: Send) -> Any:
        """Serve the connection."""
        self._set_send(send)
        if not self.activated:
            return await self.inner(receive, send)
        return await self.serve(lambda _, receive, send: self.inner(receive, send), receive)


def SessionMiddlewareStack(inner: Any) -> CookieMiddleware:  # noqa: N802 - programs know this name
    """Wrap an application in the middleware that puts cookies and a session into its scope.

    Args:
        inner: An ASGI 3 application, a consumer class, or a two-step application.
    """
    return CookieMiddleware(SessionMiddleware(inner))
