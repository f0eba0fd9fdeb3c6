"""Drive any ASGI application from a test: send it messages, and receive those that it sends."""

import asyncio
import contextvars
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from asgiref.testing import ApplicationCommunicator as BaseApplicationCommunicator

from channels_core.applications import as_asgi3
from channels_core.typing import AnyMessage, ASGIApplication, Message, Scope
from channels_testing._application.connections import (
    connections_of_the_test,
    lend_hidden_transactions,
)
from channels_testing._application.login import Login
from channels_testing._failure_text import describe_application
from channels_testing._scopes import add_cookies

__all__ = ["ApplicationCommunicator", "no_op"]


def no_op() -> None:
    """Do nothing; for tests that replace a function."""


class ApplicationCommunicator(BaseApplicationCommunicator):
    """Run one connection of an ASGI application, without a server.

    The application uses the database as the test does, and does not close the test's database
    connections. Used as a context (`async with`), the communicator ends the application however the
    test ends.

    Attributes:
        scope: The connection's scope; may be changed until the application is started.
        application: The application, as an ASGI 3 callable.
        keep_running: Whether the application goes on after a receive has timed out. By default it
            is cancelled, and no further message can be received.
        context_timeout: Seconds that a context waits at most for the connection to begin, and for
            the application to end.
    """

    keep_running = False
    context_timeout: float = 10

    scope: Scope

    # Whether a context is being left; then the application must end.
    _leaving = False

    # The application's task; None until it is started. A default of the class, since asgiref reads
    # it when this object is deleted, even if the constructor failed.
    _future: Any = None

    def __init__(
        self,
        application: Any,
        scope: Scope,
        *,
        cookies: Mapping[str, Any] | None = None,
        session: Mapping[str, Any] | None = None,
        user: Any = None,
        backend: str | None = None,
    ) -> None:
        """Take an application and the scope of one connection, without starting the application.

        Args:
            application: An ASGI 3 application, a consumer class, or a two-step application.
            scope: The connection's scope. The application gets this very object, or a copy if one
                of the following arguments changes it.
            cookies: Cookies that the client sends, by name; may be those of Django's test client.
            session: Values of the client's session, which is stored; the client gets its cookie.
            user: The user to log in, as by Django's `Client.force_login`: a session is stored, and
                the client gets its cookie. Consumers without middleware around them find the user
                in their scope. With `AnonymousUser()` the client is logged out.
            backend: Dotted path of the backend that authenticated the user, if not the first one.

        Raises:
            TypeError: The application cannot be called.
        """
        changes = cookies or session is not None or user is not None
        super().__init__(application, dict(scope) if changes else scope)  # type: ignore[no-untyped-call] # asgiref's
        self.application: ASGIApplication = as_asgi3(application)
        add_cookies(self.scope, cookies or {})
        self._login = Login(user, backend, session)
        self._sent: list[Message] = []
        # Whether a method has raised the exception with which the application ended.
        self._has_raised = False

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log a user in, as the argument `user` does.

        Raises:
            RuntimeError: The application has been started.
        """
        if self._future is not None:
            raise RuntimeError("force_login() comes before the application is started")
        self.scope = dict(self.scope)
        self._login.user, self._login.backend = user, backend

    @property
    def future(self) -> asyncio.Task[Any]:
        """The application's task; reading it for the first time starts the application."""
        if self._future is None:
            # The task must not refer to this object, whose deletion ends the application.
            running = _run(
                self.application,
                self.scope,
                self._login,
                self.input_queue,
                self.output_queue,
                self._sent,
            )
            # In a new context, as under a server: it does not see the test's context variables.
            self._future = contextvars.Context().run(asyncio.create_task, running)
        task: asyncio.Task[Any] = self._future
        return task

    def _check(self) -> None:
        """Raise the exception with which the application has ended, if it has."""
        if self.future.done():
            self._has_raised = True
            self.future.result()

    async def send_input(self, message: AnyMessage) -> None:
        """Send a message to the application, as the server would.

        Raises:
            Exception: The application has ended with this one.
        """
        self._check()
        # The test may have written to the database since the application was started.
        lend_hidden_transactions()
        await self.input_queue.put(message)

    async def receive_output(
        self, timeout: float = 1, keep_running: bool | None = None
    ) -> dict[str, Any]:
        """Wait for a message of the application, and return it.

        Args:
            timeout: Seconds to wait at most.
            keep_running: Whether the application goes on after a time-out; None for the value of
                the attribute.

        Raises:
            TimeoutError: No message came. The text says what the application does, or how it ended.
            Exception: The application has ended with this one.
        """
        self._check()
        task = self.future

        def no_longer(_: object) -> None:
            # An application that has ended sends nothing more, so the wait ends now. RuntimeError:
            # the wait has just ended.
            with suppress(RuntimeError):
                limit.reschedule(asyncio.get_running_loop().time())

        with suppress(TimeoutError):
            async with asyncio.timeout(timeout) as limit:
                task.add_done_callback(no_longer)
                try:
                    # Not in a task of its own, so that the test goes on as soon as a message comes.
                    arrived: dict[str, Any] = await self.output_queue.get()
                finally:
                    task.remove_done_callback(no_longer)
            return arrived
        if not self.output_queue.empty():
            ready: dict[str, Any] = self.output_queue.get_nowait()
            return ready
        self._check()
        if task.done():
            raise TimeoutError(f"No message can come any more. {self._state()}")
        error = TimeoutError(f"No message came within {timeout:g} s. {self._state()}")
        if not (self.keep_running if keep_running is None else keep_running):
            await self._cancel()
        raise error

    def _state(self) -> str:
        return describe_application(self.future, self.input_queue.qsize(), self._sent)

    async def _cancel(self) -> None:
        """Cancel the application, and wait for its end.

        Raises:
            TimeoutError: It did not end.
            Exception: It has ended with this one.
        """
        self.future.cancel()
        await asyncio.wait({self.future}, timeout=self.context_timeout)
        if not self.future.done():
            raise TimeoutError(self._cancelled_in_vain())
        if not self.future.cancelled():
            self.future.result()

    def _cancelled_in_vain(self) -> str:
        return (
            f"The application was cancelled, and did not end within {self.context_timeout:g} s; "
            f"does it catch asyncio.CancelledError and go on? {self._state()}"
        )

    async def receive_nothing(self, timeout: float = 0.1, interval: float = 0.01) -> bool:
        """Return whether the application sends no message for a while.

        If the application raises an exception in the meantime, the next call raises it.

        Args:
            timeout: Seconds to wait for a message.
            interval: Seconds between two checks.

        Raises:
            Exception: The application had ended with this one before.
        """
        self._check()
        # Not from the module `time`, which a test may have frozen.
        now = asyncio.get_running_loop().time
        deadline = now() + timeout
        while now() < deadline:
            if not self.output_queue.empty():
                return False
            await asyncio.sleep(interval)
        nothing: bool = self.output_queue.empty()
        return nothing

    async def wait(self, timeout: float = 1, *, must_end: bool = False) -> None:
        """Wait for the application to end by itself.

        Args:
            timeout: Seconds to wait at most; then the application is cancelled.
            must_end: Whether such a cancellation is an error.

        Raises:
            TimeoutError: The application did not end although `must_end` is set, or went on after
                it was cancelled. The text says what it did instead.
            Exception: The application has ended with this one.
        """
        try:
            await asyncio.wait({self.future}, timeout=timeout)
        except asyncio.CancelledError as cancelled:
            await self._end_after(cancelled)
            raise
        if not self.future.done():
            error = TimeoutError(
                f"The application did not end within {timeout:g} s. {self._state()}"
            )
            await self._cancel()
            if must_end or self._leaving:
                raise error
        self._check_end()

    def _check_end(self) -> None:
        """Raise the exception with which the application has ended, unless it was cancelled."""
        if not self.future.cancelled():
            self._check()

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application if it runs.

        Args:
            exceptions: Whether to raise the exception with which the application has ended.

        Raises:
            Exception: The application has ended with this one.
        """
        super().stop(exceptions)  # type: ignore[no-untyped-call] # asgiref's

    async def __aenter__(self) -> Self:
        """Start the application."""
        try:
            await self._enter()
        except BaseException as error:
            await self._end_after(error)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect the client and wait for the application to end; cancel it after a failure.

        Raises:
            TimeoutError: The application did not end.
            Exception: The application has ended with this one, which no method has raised yet.
        """
        if error is not None:
            await self._end_after(error)
        elif not self.future.done():
            self._leaving = True
            await self._leave()
        elif not self._has_raised:
            self._check_end()

    async def _enter(self) -> None:
        """Begin the connection."""
        self._check()

    async def _leave(self) -> None:
        """End the connection of an application that runs."""
        await self._cancel()

    async def _end_after(self, error: BaseException) -> None:
        """End the application after a failure of the test, without hiding that failure."""
        with suppress(Exception):
            await self._cancel()
        if not self.future.done():
            error.add_note(self._cancelled_in_vain())
        elif not self._has_raised and not self.future.cancelled() and self.future.exception():
            error.add_note(self._state())


async def _run(
    application: ASGIApplication,
    scope: Scope,
    login: Login,
    received: "asyncio.Queue[Message]",
    sending: "asyncio.Queue[Message]",
    sent: list[Message],
) -> Any:
    async def receive() -> Message:
        return await received.get()

    async def send(message: Message) -> None:
        sent.append(message)
        await sending.put(message)

    with connections_of_the_test():
        await login.enter(scope, application)
        return await application(scope, receive, send)
