"""Turn any application that a router or middleware is given into one of ASGI 3."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Final, cast

from django.core.exceptions import SynchronousOnlyOperation

from channels_core._two_step import OfScope, first_step, in_two_steps_too, takes
from channels_core.exceptions import RouteNotFound
from channels_core.typing import AnyScope, ASGIApplication, Receive, Scope, Send

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # only type checkers need it, and each process makes the class

__all__ = ["ConsumerApplication", "application_of", "as_asgi3", "first_step", "name_that_thing"]

#: The attribute under which an application that records errors holds itself. Another function may
#: have it too, since `functools.wraps` copies attributes, but holds another one.
_MARK: Final = "_channels_records_passed"


class ConsumerApplication(Protocol):
    """The result of `as_asgi()`: an ASGI 3 application that names the consumer it makes.

    Attributes:
        consumer_class: The class of the consumers.
        consumer_initkwargs: The keyword arguments of their constructor.
    """

    # Any, for an `AsyncConsumer`: the module of that class imports this one.
    consumer_class: type[Any]
    consumer_initkwargs: dict[str, Any]

    # Any: it returns nothing, but Django's `path()` is typed for views, which return something.
    def __call__(
        self, scope: AnyScope, receive: Receive, send: Send, /
    ) -> Coroutine[Any, Any, Any]:
        """Serve one connection."""


def as_asgi3(application: Any) -> ASGIApplication:
    """Return an ASGI 3 callable for an application of either generation.

    Args:
        application: An ASGI 3 callable (returned unchanged), a consumer class, or a two-step
            application `application(scope)(receive, send)`. A consumer class is served by
            `as_asgi()`; if its constructor takes a positional argument, that is the scope.

    Raises:
        TypeError: It is not callable.

    Source: `asgiref.compatibility`, for what counts as a two-step application.
    """
    if not callable(application):
        raise TypeError(
            f"Expected an ASGI application (a callable, or a consumer class), got {application!r}"
        )
    if getattr(application, "__name__", None) == "as_asgi":
        raise TypeError(f"Expected an ASGI application, got {application!r}; call as_asgi()")
    if records_passed(application):
        return cast(ASGIApplication, application)
    if isinstance(application, type) and hasattr(application, "as_asgi"):
        is_ours = issubclass(application, OfScope)
        if is_ours and takes(application.__init__, 2):  # type: ignore[misc] # only its signature is read
            served = application_of(application, _maker(application), {})
            make = partial(_made, application)
            return in_two_steps_too(served, partial(_step_now, make, served))
        return cast(ASGIApplication, application.as_asgi())
    if not isinstance(application, type) and takes(application, 3) and not takes(application, 1):
        # An ordinary function, which may return the coroutine of the application inside. asgiref
        # would call it in two steps, since it is not marked as a coroutine function.
        return cast(ASGIApplication, application)
    from asgiref.compatibility import is_double_callable  # few programs come here

    if is_double_callable(application):
        return _in_one_step(application)
    return cast(ASGIApplication, application)


def _in_one_step(application: Any) -> ASGIApplication:
    """Return a two-step application as one of ASGI 3."""

    async def app(scope: Scope, receive: Receive, send: Send) -> Any:
        instance = await _take_first_step(application, scope)
        return await instance(receive, send)

    return in_two_steps_too(app, partial(_step_now, application, app))


def _step_now(step: Callable[[Scope], Any], application: Callable[..., Any], scope: Scope) -> Any:
    """Take the first of two steps; if it queries the database, leave it to the second one."""
    try:
        return step(scope)
    except SynchronousOnlyOperation:
        return partial(application, scope)


async def _take_first_step(
    step: Callable[[Scope], Callable[..., Any]], scope: Scope
) -> Callable[..., Any]:
    """Take the first of two steps; in a thread if that queries the database.

    Middleware of Channels 2 looked up the user in its first step. Since Django 3 such a query is
    refused in the thread of an event loop.
    """
    try:
        return step(scope)
    except SynchronousOnlyOperation:
        return await _in_thread(step, scope)


async def _in_thread(
    step: Callable[[Scope], Callable[..., Any]], scope: Scope
) -> Callable[..., Any]:
    """Take a first step, or make a consumer, in a thread that may query the database."""
    from channels_core.db import database_sync_to_async  # programs of 4.3 do not come here

    # A lambda, since asgiref takes the class of a consumer for a coroutine function.
    return await database_sync_to_async(lambda: step(scope))()


def application_of(
    consumer: type, make: Callable[[Scope], Callable[..., Any]], initkwargs: dict[str, Any]
) -> ConsumerApplication:
    """Return an application that makes a new consumer for each connection.

    Args:
        consumer: The class, whose name and docstring the application gets.
        make: Called with the scope; returns the consumer that serves the connection.
        initkwargs: Keyword arguments of the constructor, kept as `consumer_initkwargs`.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            try:
                instance = make(scope)
            except SynchronousOnlyOperation:
                instance = await _in_thread(make, scope)
        except Exception as error:
            _log_failure(consumer, scope, error)
            raise
        try:
            await instance(scope, receive, send)
        except RouteNotFound as error:
            record_passed(error)
            raise

    update_wrapper(app, consumer, updated=())
    vars(app).update(consumer_class=consumer, consumer_initkwargs=initkwargs)
    vars(app)[_MARK] = app
    return cast(ConsumerApplication, app)


def _log_failure(consumer: type, scope: Scope, error: Exception) -> None:
    """Log that a consumer could not be made."""
    from channels_core._failure_log import log_failure  # each process of a site imports this module

    log_failure(consumer, scope, None, None, error)


# A router tries its next route only after the error of a router directly inside. The applications
# of consumers record by themselves that such an error has passed them: a router need not wait
# around them, with a coroutine of 0.25 KiB for each idle connection.


def record_passed(error: RouteNotFound) -> None:
    """Record that the error of a missing route has passed an application, so no other is tried."""
    vars(error)["passed_an_application"] = True


def records_passed(application: Any) -> bool:
    """Return whether an application calls `record_passed` itself."""
    return getattr(application, _MARK, None) is application


def _maker(consumer: Any) -> Callable[[Scope], Callable[..., Any]]:
    """Return a function that makes a consumer with its scope."""
    if takes(consumer.__call__, 4):
        return cast(Callable[[Scope], Callable[..., Any]], consumer)

    # The program's class has a `__call__` of Channels 2.
    def make(scope: Scope) -> Callable[..., Any]:
        instance = consumer(scope)
        return lambda _, receive, send: instance(receive, send)

    return make


def _made(consumer: Any, scope: Scope) -> Callable[..., Any]:
    """Make a consumer that is then called with `receive` and `send`."""
    try:
        instance: Callable[..., Any] = consumer(scope)
    except SynchronousOnlyOperation:
        raise
    except Exception as error:
        _log_failure(consumer, scope, error)
        raise
    if hasattr(instance, "scope") or not takes(instance, 3):
        return instance
    # Its constructor did not pass the scope to ours.
    return partial(instance, scope)


def name_that_thing(thing: object) -> str:
    """Return the dotted name of a function or class, or of an instance's class, for a message."""
    named: Any = thing if hasattr(thing, "__name__") else type(thing)
    name = getattr(named, "__qualname__", named.__name__)
    return f"{named.__module__}.{name}"
