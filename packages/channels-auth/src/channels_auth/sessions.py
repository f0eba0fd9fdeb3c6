"""Sessions: Django's, in the scope of a connection, saved without a word from the program."""

import logging
from collections.abc import Awaitable, Callable, Collection
from http.cookies import SimpleCookie
from typing import Any, ClassVar, Final

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted

from channels_auth._closable_websocket import ClosableWebsocket, WebsocketState
from channels_auth._sessions.engine import (
    INTERRUPTED,
    SessionGone,
    keeps_data_in_cookie,
    session_class,
)
from channels_auth._sessions.handshake_headers import (
    WITH_HEADERS,
    is_failure,
    server_sends_headers,
    vary_on_cookie,
)
from channels_auth._sessions.response_headers import delete_session_cookie, set_session_cookie
from channels_auth.cookies import WITHOUT_CLIENT, CookieMiddleware, add_cookie
from channels_core.db import database_sync_to_async
from channels_core.middleware import BaseMiddleware, after_each_handler
from channels_core.typing import AnyMessage, AnyScope, Message, Receive, Scope, Send

__all__ = [
    "CookieMiddleware",
    "InstanceSessionWrapper",
    "SessionMiddleware",
    "SessionMiddlewareInstance",
    "SessionMiddlewareStack",
]

logger: Final = logging.getLogger("django.channels.auth")


class InstanceSessionWrapper:
    """The session of one connection: made from its cookie, saved when its headers go out.

    Later changes are saved after the handler that made them.

    Attributes:
        scope: A copy of the connection's scope, with the session.
        session: The session.
        activated: Whether the session is ours to save; not within another SessionMiddleware.
    """

    save_message_types: Collection[str] = WITH_HEADERS
    cookie_response_message_types: Collection[str] = WITH_HEADERS

    def __init__(self, scope: AnyScope, send: Send | None) -> None:
        """Take a connection.

        Args:
            scope: Its scope, with `cookies`.
            send: ASGI send; None if that comes later, in a second step.

        Raises:
            ValueError: The scope has no cookies.
        """
        if "cookies" not in scope:
            raise ValueError(
                "No cookies in scope - SessionMiddleware needs to run inside of CookieMiddleware."
            )
        self.scope: Scope = dict(scope)
        self.cookie_name: str = settings.SESSION_COOKIE_NAME
        self.session_store: type[Any] = session_class()
        self.activated: bool = "session" not in scope
        #: Others that are set with the session's.
        self.cookies: SimpleCookie = SimpleCookie()
        #: Whether the headers of the answer are still to come.
        self._waits = True
        self._headers_reach_browser = True
        self._gate: ClosableWebsocket | None = None
        self._handlers_end = False
        self._complained = False
        if self.activated:
            key = self.scope["cookies"].get(self.cookie_name)
            # Nothing else is a key that an engine has made, and a database may choke on it.
            self._key: str | None = key if key and key.isprintable() else None
            self.session: Any = self.session_store(self._key)
            self.scope["session"] = self.session
            self.scope["channels_auth.session"] = self
            after_each_handler(self.scope, self._after_handler)
        else:
            self.session = self.scope["session"]
        if send is not None:
            self._take_send(send)

    def _take_send(self, send: Send) -> None:
        self.real_send: Send = send
        self._headers_reach_browser = server_sends_headers(self.scope, send)
        if self.activated:
            if self.scope["type"] == "websocket":
                self._gate = ClosableWebsocket(self.scope, send)
            if not self.can_set_cookie:
                self.session.end_of_headers()

    @property
    def can_set_cookie(self) -> bool:
        """Whether a cookie can still reach the browser: its headers are to come, and are sent."""
        return self._waits and self._headers_reach_browser

    async def resolve_session(self) -> None:
        """Prepare the session; it is loaded when it is first used."""

    async def send(self, message: Message) -> None:
        """Send a message, with the session's cookie if it has headers.

        Messages:
            `http.response.start`, `websocket.accept`, `websocket.http.response.start`: a modified
            session is saved, and its cookie set or deleted, on a copy.

        Raises:
            SessionInterrupted: The session was deleted meanwhile (HTTP); a SuspiciousOperation as
                well. A WebSocket is closed.

        Source: `django.contrib.sessions.middleware.SessionMiddleware.process_response`.
        """
        if (
            self.activated
            and self._waits
            and (message["type"] in WITH_HEADERS or message["type"] == "websocket.close")
        ):
            message = await self._answer(message)
        if self.activated and self._gate is not None:
            await self._gate.send(message)
        else:
            await self.real_send(message)

    async def _answer(self, message: Message) -> Message:
        """Return what answers the client; the gate is closed if there was no session any more."""
        if self.can_set_cookie and message["type"] in self.cookie_response_message_types:
            try:
                message = await self._complete(message)
            except SessionInterrupted:
                if self._gate is None:
                    raise
                self.session.modified = False
                await self._close()
        self._waits = False
        if is_failure(message):
            self.activated = False  # as in Django, nothing of a failed request is kept
        else:
            self.session.end_of_headers()
            if self._is_due() and message["type"] == "websocket.accept":
                await self._save_late()
        return message

    async def _complete(self, message: Message) -> Message:
        """Return the message, or a copy with the headers which the session asks for."""
        session = self.session
        added: dict[str, Any] = {}
        vary = session.accessed
        if self.cookie_name in self.scope["cookies"] and session.is_empty():
            delete_session_cookie(added, self.cookie_name)
            vary = True
        elif (
            (session.modified or settings.SESSION_SAVE_EVERY_REQUEST)
            and not session.is_empty()
            and not is_failure(message)
            and message["type"] in self.save_message_types
        ):
            max_age = await self._expiry_and_save()
            self._key = session.session_key
            set_session_cookie(added, self.cookie_name, self._key or "", max_age)
            vary = True
        for morsel in self.cookies.values():
            add_cookie(added, morsel)
            vary = True
        vary = vary and message["type"] != "websocket.accept"
        if not added and not vary:
            return message  # as it came: programs compare it
        # The headers may be an iterable that can be read once.
        headers = [*(message.get("headers") or ()), *added.get("headers", ())]
        return {**message, "headers": vary_on_cookie(headers) if vary else headers}

    async def _expiry_and_save(self) -> int | None:
        """Save the session, and return the seconds that its cookie is kept; None for no limit."""

        def in_thread() -> int | None:
            session = self.session
            at_close = session.get_expire_at_browser_close()
            max_age = None if at_close else session.get_expiry_age()
            # Before: a task may change it again while it is saved.
            modified, session.modified = session.modified, False
            try:
                self._save(settles=True)
            except BaseException:
                session.modified = modified
                raise
            if keeps_data_in_cookie(session):
                session.modified = False  # which that engine's save has set
            return max_age

        return await database_sync_to_async(in_thread)()

    def _save(self, *, settles: bool = False) -> None:
        is_new = self.session.session_key is None
        try:
            self.session.save()
            if settles and is_new:
                self.session.note_created()
        except SessionInterrupted:
            raise
        except UpdateError as error:
            raise SessionGone(INTERRUPTED) from error
        except OSError as error:
            # Of a full disk, say. Out of `send` it would tell that the client has left.
            raise RuntimeError("The session could not be saved") from error

    async def save_session(self) -> None:
        """Save the session now.

        Raises:
            SessionInterrupted: It was deleted meanwhile.
        """
        await database_sync_to_async(self._save)()

    # After the headers

    def _after_handler(self) -> Awaitable[None] | None:
        self._handlers_end = True
        return self._save_late() if self._is_due() else None

    def _is_due(self) -> bool:
        return self.activated and not self._waits and self.session.modified

    async def _save_late(self) -> None:
        session = self.session
        if session.is_empty():
            session.modified = False  # flushed: it is deleted already
        elif keeps_data_in_cookie(session):
            session.modified = False
            self._complain("cannot be stored: SESSION_ENGINE keeps sessions in the cookie")
        else:
            if session.session_key is None or session.session_key != self._key:
                self._complain("is stored under a key that the browser does not get")
            try:
                await database_sync_to_async(self._save)(settles=True)
            except SessionInterrupted:
                session.modified = False
                if self._gate is None:
                    raise
                await self._close()
            except BaseException:
                self.activated = False  # once is enough: it is an error, and the connection ends
                raise

    def _complain(self, fault: str) -> None:
        if not self._complained:
            self._complained = True
            # Nothing fails by it, so it mails no administrators.
            logger.warning(
                "What was put into the session of %s %.200r %s, since %s; %s",
                self.scope["type"],
                self.scope.get("path"),
                fault,
                *(
                    ("the headers of the response are out", "put it there before they go")
                    if self._headers_reach_browser
                    else (
                        "this server sends no headers with a handshake",
                        "begin the session over HTTP",
                    )
                ),
            )

    async def _close(self) -> None:
        assert self._gate is not None
        if self._gate.state is not WebsocketState.CLOSED:
            logger.warning("WebSocket %.200r is closed: %s", self.scope.get("path"), INTERRUPTED)
        await self._gate.close(4401, "The session has ended")

    async def serve(
        self, application: Callable[[Scope, Receive, Send], Awaitable[Any]], receive: Receive
    ) -> Any:
        """Run the application inside, and save what is left to save when it has ended.

        Args:
            application: An ASGI 3 application.
            receive: ASGI receive.

        Returns:
            What the application returns.
        """

        # No coroutine function, for the sake of the messages at which there is nothing to do.
        def saving_receive() -> Awaitable[Message]:
            # An application that is no consumer of ours asks for the next message in the end.
            if not self._handlers_end and self._is_due():
                return self._save_and(receive)
            return receive()

        try:
            result = await application(self.scope, markcoroutinefunction(saving_receive), self.send)
        except BaseException as error:
            if self._gate is not None:
                if isinstance(error, SessionInterrupted):
                    await self._close()
                    return None
                if self._is_due():
                    await self._save_at_the_end()
            raise
        if self._is_due():
            await self._save_late()
        return result

    async def _save_and(self, receive: Receive) -> AnyMessage:
        await self._save_late()
        return await receive()

    async def _save_at_the_end(self) -> None:
        try:
            await self._save_late()
        except Exception:
            logger.exception("The session of %.200r was not saved", self.scope.get("path"))


class SessionMiddleware(BaseMiddleware):
    """Put the client's session into `scope["session"]`.

    It is loaded when it is first used: one query with a database engine, none without a cookie,
    and none if nothing asks for it. Within another SessionMiddleware it does nothing.
    """

    save_message_types: ClassVar[Collection[str]] = InstanceSessionWrapper.save_message_types
    cookie_response_message_types: ClassVar[Collection[str]] = (
        InstanceSessionWrapper.cookie_response_message_types
    )

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one connection.

        Scope:
            `cookies` is read; `session` is added. A `lifespan` or `channel` scope has no client
            and passes as it is.

        Raises:
            ValueError: The scope has no cookies.
        """
        if scope.get("type") in WITHOUT_CLIENT:
            return await super().__call__(scope, receive, send)
        wrapper = InstanceSessionWrapper(scope, send)
        wrapper.save_message_types = self.save_message_types
        wrapper.cookie_response_message_types = self.cookie_response_message_types
        await wrapper.resolve_session()
        if not wrapper.activated:
            return await super().__call__(scope, receive, send)
        return await wrapper.serve(self.inner, receive)

    def _channels_first_step(self, scope: AnyScope) -> Any:
        if scope.get("type") in WITHOUT_CLIENT:
            return super()._channels_first_step(scope)
        return SessionMiddlewareInstance(scope, self)


class SessionMiddlewareInstance(InstanceSessionWrapper):
    """The session of one connection, as a two-step application: `instance(receive, send)`."""

    def __init__(self, scope: AnyScope, middleware: SessionMiddleware) -> None:
        """Take a connection.

        Args:
            scope: Its scope, with `cookies`.
            middleware: What has the application inside.

        Raises:
            ValueError: The scope has no cookies.
        """
        super().__init__(scope, None)
        self.middleware = middleware
        self.save_message_types: Collection[str] = middleware.save_message_types
        self.cookie_response_message_types: Collection[str] = (
            middleware.cookie_response_message_types
        )
        #: What serves the connection inside: called with ASGI's receive and send.
        self.inner: Callable[..., Awaitable[Any]] = middleware._channels_step(self.scope)

    def save_session(self) -> None:  # type: ignore[override] # the synchronous colour
        """Save the session now, from synchronous code.

        Raises:
            SessionInterrupted: It was deleted meanwhile.
        """
        self._save()

    async def __call__(self, receive: Receive, send: Send) -> Any:
        """Serve the connection."""
        self._take_send(send)
        if not self.activated:
            return await self.inner(receive, send)
        return await self.serve(lambda _, receive, send: self.inner(receive, send), receive)


def SessionMiddlewareStack(inner: Any) -> CookieMiddleware:  # noqa: N802 - the name is given
    """Wrap an application in what puts cookies and a session into its scope.

    Args:
        inner: An ASGI 3 application, a consumer class, or a two-step application.
    """
    return CookieMiddleware(SessionMiddleware(inner))
