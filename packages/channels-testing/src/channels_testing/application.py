"""Drive any ASGI application from a test: send it messages, and receive those that it sends."""

import asyncio
import contextvars
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator as BaseApplicationCommunicator
from django.conf import settings

from channels_core.applications import as_asgi3
from channels_core.typing import Message, Scope
from channels_testing._database import TestConnections
from channels_testing._explain import state_of
from channels_testing._login import make_session
from channels_testing._scopes import add_cookies

__all__ = ["ApplicationCommunicator", "no_op"]


def no_op() -> None:
    """Do nothing, in the place of something that a test leaves out."""


class ApplicationCommunicator(BaseApplicationCommunicator):
    """Run one connection of an ASGI application, without a server.

    While the application runs it uses the database as the test does, and no connection to a
    database is closed for its age.

    Attributes:
        scope: The connection's scope; it may be changed until the application is started.
        application: The application, as an ASGI 3 callable.
        keep_running: Whether an application goes on after a receive has timed out. By default it
            is cancelled, and nothing more can be received.
    """

    keep_running = False

    def __init__(
        self,
        application: Any,
        scope: Scope,
        *,
        cookies: Mapping[str, str] | None = None,
        session: Mapping[str, Any] | None = None,
        user: Any = None,
        backend: str | None = None,
    ) -> None:
        """Take an application and the scope of one connection; nothing is started yet.

        Args:
            application: An ASGI 3 application, a consumer class, or a two-step application.
            scope: The connection's scope.
            cookies: Cookies that the client sends, by name.
            session: What the client's session holds: it is stored, and the client has its cookie.
            user: Who is logged in, as by Django's `Client.force_login`: a session is stored, and
                the client has its cookie. A consumer without middleware around it finds the user
                in its scope.
            backend: Dotted path of the backend that authenticated the user, if not the first.

        Raises:
            TypeError: The application cannot be called.
        """
        super().__init__(as_asgi3(application), scope)  # type: ignore[no-untyped-call] # asgiref's
        add_cookies(self.scope, cookies or {})
        self._session = session
        self._user = user
        self._backend = backend
        # Nothing around it reads the cookie.
        self._is_bare = hasattr(self.application, "consumer_class")
        self._taken: list[Message] = []

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log a user in, as the argument `user` does.

        Raises:
            RuntimeError: The application has been started.
        """
        if self._future is not None:
            raise RuntimeError("force_login() comes before the application is started")
        self._user, self._backend = user, backend

    @property
    def future(self) -> asyncio.Task[Any]:
        """The application's task; it is started when it is first asked for."""
        if self._future is None:
            # In a context of its own, as under a server: a test's variables do not reach it.
            self._future = contextvars.Context().run(asyncio.create_task, self._run())
        task: asyncio.Task[Any] = self._future
        return task

    async def _run(self) -> Any:
        async with TestConnections():
            if self._user is not None or self._session is not None:
                await self._log_in()
            return await self.application(self.scope, self._receive, self.output_queue.put)

    async def _receive(self) -> Message:
        message: Message = await self.input_queue.get()
        return message

    async def _log_in(self) -> None:
        session = await sync_to_async(make_session)(self._user, self._backend, self._session)
        add_cookies(self.scope, {settings.SESSION_COOKIE_NAME: session.session_key})
        if self._is_bare:
            self.scope.setdefault("session", session)
            if self._user is not None:
                self.scope.setdefault("user", self._user)

    async def send_input(self, message: Message) -> None:
        """Send a message to the application, as the server would.

        Raises:
            Exception: The application has ended with this one.
        """
        await super().send_input(message)  # type: ignore[no-untyped-call] # asgiref's

    async def receive_output(self, timeout: float = 1, keep_running: bool | None = None) -> Any:
        """Wait for a message of the application, and return it.

        Args:
            timeout: Seconds to wait at most.
            keep_running: Whether the application goes on if none comes; None for the attribute
                of this name.

        Raises:
            TimeoutError: None came. The text tells what the application does, or how it ended.
            Exception: The application has ended with this one.
        """
        task = self.future
        if task.done():
            task.result()
        if self.output_queue.empty():
            # An application that ends will send nothing more: nobody need wait for that.
            arrival = asyncio.ensure_future(self.output_queue.get())
            await asyncio.wait({arrival, task}, timeout=timeout, return_when="FIRST_COMPLETED")
            if arrival.done():
                return self._took(arrival.result())
            arrival.cancel()
        if not self.output_queue.empty():
            return self._took(self.output_queue.get_nowait())
        if task.done():
            task.result()
        error = TimeoutError(
            f"No message came within {timeout} seconds. {self._state()}"
            if not task.done()
            else f"No message can come any more. {self._state()}"
        )
        if not (self.keep_running if keep_running is None else keep_running):
            await self._cancel()
        raise error

    def _took(self, message: Message) -> Message:
        self._taken.append(message)
        return message

    def _state(self) -> str:
        return state_of(self.future, self.input_queue.qsize(), self._taken)

    async def _cancel(self) -> None:
        """Cancel the application, and let it end."""
        self.future.cancel()
        with suppress(asyncio.CancelledError):
            await self.future

    async def _end_quietly(self) -> None:
        """End the application after a failure of the test, which is the error to be seen."""
        with suppress(Exception):
            await self._cancel()

    async def receive_nothing(self, timeout: float = 0.1, interval: float = 0.01) -> bool:
        """Tell whether the application sends nothing for a while.

        Args:
            timeout: Seconds to watch it.
            interval: Seconds between two looks.

        Raises:
            Exception: The application has ended with this one.
        """
        nothing: bool = await super().receive_nothing(timeout, interval)  # type: ignore[no-untyped-call] # asgiref's
        return nothing

    async def wait(self, timeout: float = 1) -> None:
        """Wait for the application to end by itself.

        Args:
            timeout: Seconds to wait at most; then it is cancelled.

        Raises:
            TimeoutError: It did not end. The text tells what it did instead.
            Exception: The application has ended with this one.
        """
        task = self.future
        try:
            await asyncio.wait({task}, timeout=timeout)
            if not task.done():
                raise TimeoutError(
                    f"The application did not end within {timeout} seconds. {self._state()}"
                )
        finally:
            if not task.done():
                await self._cancel()
        if not task.cancelled():
            task.result()

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application if it runs.

        Args:
            exceptions: Whether to raise what it has ended with, if it has.

        Raises:
            Exception: See above.
        """
        super().stop(exceptions)  # type: ignore[no-untyped-call] # asgiref's
