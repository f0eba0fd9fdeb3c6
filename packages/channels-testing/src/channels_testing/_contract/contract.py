"""Run the clauses of a contract: each in an event loop of its own, on layers made for it."""

import asyncio
import difflib
import functools
import inspect
import unittest
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

from asgiref.sync import async_to_sync

from channels_core.layers import has_groups
from channels_testing._contract.first_difference import difference

__all__ = ["MARK", "Contract", "Layer", "LayerNotMadeError", "clause", "expect"]

# Any: a layer need not derive from a base of ours, and some answer through `__getattr__`.
Layer: TypeAlias = Any

#: The message that comes next where nothing else is to come.
MARK: Final = {"type": "contract.mark"}


class LayerNotMadeError(Exception):
    """`make_layer` made nothing to test, which is no deviation of the layer."""


C = TypeVar("C", bound="Contract")
T = TypeVar("T")


def clause(statement: Callable[[C], Coroutine[Any, Any, None]]) -> Callable[[C], None]:
    """Make a test of a statement: a plain function, for any runner and any of its plugins."""

    @functools.wraps(statement)
    def test(contract: C) -> None:
        # Keeps pytest from showing this frame: what failed is said elsewhere.
        __tracebackhide__ = True
        contract.run_clause(statement)

    test.is_clause = True  # type: ignore[attr-defined] # read by Contract.clauses
    return test


def expect(got: object, expected: object, what: str) -> None:
    """Raise an AssertionError that says what differs, if the two do, in a type or a value."""
    __tracebackhide__ = True
    if found := difference(got, expected):
        raise AssertionError(f"{what}: {found}")


class Contract:
    """What makes and looks after the layers of a clause; see `channels_testing.layers`."""

    deviations: ClassVar[Mapping[str, str]] = {}
    shared: ClassVar[bool] = False
    expiry: ClassVar[float] = 1
    lateness: ClassVar[float] = 1
    latency: ClassVar[float] = 0.05
    timeout: ClassVar[float] = 10
    limit: ClassVar[float] = 120
    races: ClassVar[int] = 60
    idle: ClassVar[float] = 6

    # The seconds after which to give up on what has to end when a clause does.
    _patience: ClassVar[float] = 10

    _made: list[Layer]
    _tasks: list[asyncio.Task[Any]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Refuse deviations that name no clause, or give no reason."""
        super().__init_subclass__(**kwargs)
        clauses = cls.clauses()
        # An author need not have a type checker.
        given: Mapping[str, object] = cls.deviations
        for name, reason in given.items():
            if name not in clauses:
                near = difflib.get_close_matches(name, clauses) or clauses
                raise TypeError(
                    f"{cls.__name__}.deviations: there is no clause {name!r}; did you mean "
                    f"{' or '.join(near)}?"
                )
            if not isinstance(reason, str) or not reason.strip():
                raise TypeError(
                    f"{cls.__name__}.deviations[{name!r}]: expected the reason as a str, "
                    f"got {reason!r}"
                )

    @classmethod
    def clauses(cls) -> list[str]:
        """Return the names of all clauses, sorted."""
        return [name for name in dir(cls) if hasattr(getattr(cls, name), "is_clause")]

    # What an author fills

    def make_layer(self, **options: Any) -> Layer | Awaitable[Layer]:
        """Make a layer; may be a coroutine method.

        Args:
            options: Of `expiry`, `capacity`, `channel_capacity` and `group_expiry` those that
                the clause is about; the rest is as a program has it by default.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must have a method make_layer(self, **options) that returns "
            "the layer to test"
        )

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for the layers. Override it for a layer that takes a clock of yours."""
        if seconds > self.limit:
            raise AssertionError(
                f"pass_time({seconds}): expected to wait no longer than `limit`, {self.limit} s. A "
                "layer that tells so long an `expiry` or `group_expiry` has ignored the short one "
                "that it was made with: let it heed that, or pass_time() set a clock of yours"
            )
        await asyncio.sleep(seconds)

    async def close_layer(self, layer: Layer) -> None:
        """Leave nothing of a layer after a clause: `flush()` and `close()`, where there are."""
        if "flush" in layer.extensions:
            await layer.flush()
        close = getattr(layer, "close", None)
        if close is not None and inspect.isawaitable(result := close()):
            await result

    # What the clauses are written with

    async def layer(self, *extensions: str, **options: Any) -> Layer:
        """Make a layer for a clause.

        Raises:
            unittest.SkipTest: It does not list one of the extensions.
            LayerNotMadeError: `make_layer` failed, or what it returned is no layer.
        """
        if extensions and options:
            # A layer that lacks the extension need not know the options that go with it.
            self._require(await self._make({}), extensions)
        layer = await self._make(options)
        self._require(layer, extensions)
        return layer

    async def _make(self, options: dict[str, Any]) -> Layer:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        try:
            layer = self.make_layer(**options)
            if inspect.isawaitable(layer):
                layer = await layer
        except Exception as error:
            raise LayerNotMadeError(f"make_layer({given}) raised {error!r}") from error
        if layer is None:
            raise LayerNotMadeError(
                f"make_layer({given}): expected the layer to test, got None; return it"
            )
        if not hasattr(layer, "extensions"):
            raise LayerNotMadeError(
                f"make_layer({given}): expected a layer with the attribute `extensions`, a list "
                f"that may be empty, got {layer!r} without one"
            )
        self._made.append(layer)
        return layer

    def _require(self, layer: Layer, extensions: Iterable[str]) -> None:
        for extension in extensions:
            if not _offers(layer, extension):
                raise unittest.SkipTest(f"the layer does not offer the extension {extension!r}")

    def method(self, layer: Layer, name: str) -> Callable[..., Any]:
        """Return a method that not every layer has.

        Raises:
            unittest.SkipTest: It has none of that name.
        """
        method: Callable[..., Any] | None = getattr(layer, name, None)
        if method is None:
            raise unittest.SkipTest(f"the layer has no method {name}()")
        return method

    def setting(self, layer: Layer, name: str, asked: Any) -> Any:
        """Return a setting as the layer tells it, or as it was asked for if it does not."""
        return getattr(layer, name, asked)

    def receiving(self, layer: Layer, channel: str) -> asyncio.Task[Any]:
        """Start to receive; what still waits when the clause ends is cancelled."""
        return self.started(layer.receive(channel))

    def started(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a call; if it is still at it when the clause ends it is cancelled."""
        task = asyncio.create_task(call)
        self._tasks.append(task)
        return task

    async def until_waiting(self) -> None:
        """Let calls that were started come so far that they wait, and messages arrive."""
        await asyncio.sleep(self.latency)

    async def received(self, layer: Layer, channel: str) -> Any:
        """Receive, or fail after a time-out."""
        return await self.result(self.receiving(layer, channel), channel)

    async def result(self, task: Awaitable[Any], channel: str) -> Any:
        """Wait for what a call of receive() returns, or fail after a time-out."""
        waiting = asyncio.ensure_future(task)
        # Unlike asyncio.timeout() it does not wait for a call that ignores its cancellation.
        done, _ = await asyncio.wait([waiting], timeout=self.timeout)
        if not done:
            raise AssertionError(
                f"receive({channel!r}): expected a message, got none within {self.timeout} s"
            )
        return waiting.result()

    async def expect_next(self, layer: Layer, channel: str, expected: object, what: str) -> None:
        """Receive, and fail unless it is the expected message."""
        __tracebackhide__ = True
        expect(await self.received(layer, channel), expected, what)

    async def expect_nothing(self, layer: Layer, channel: str, what: str) -> None:
        """Fail if a message waits in a channel: whatever waits comes before one sent now."""
        __tracebackhide__ = True
        await layer.send(channel, MARK)
        await self.expect_next(layer, channel, MARK, what)

    async def elsewhere(self, call: Callable[..., Awaitable[Any]], *args: object) -> Any:
        """Call a method in a thread and an event loop of its own, as synchronous code does."""

        async def bounded() -> Any:
            async with asyncio.timeout(self.timeout):
                return await call(*args)

        def as_synchronous_code_does() -> Any:
            return async_to_sync(bounded)()

        return await asyncio.to_thread(as_synchronous_code_does)

    # How a clause is run

    def run_clause(self: C, statement: Callable[[C], Coroutine[Any, Any, None]]) -> None:
        """Run a clause and hold it against the deviations."""
        __tracebackhide__ = True
        reason = self.deviations.get(statement.__name__)
        case = _case(self)
        error, end_errors = self._run(statement)
        if error is None and end_errors:
            error, is_deviation = end_errors.pop(0), False
        else:
            no_deviation = unittest.SkipTest | LayerNotMadeError
            is_deviation = isinstance(error, Exception) and not isinstance(error, no_deviation)
        if error is not None:
            for end_error in end_errors:
                error.add_note(f"When the clause ended: {end_error!r}")
            if reason is None or not is_deviation:
                if reason is not None and case is not None:
                    # Raised here it would count as the failure that is expected.
                    case.addCleanup(_raise, error)
                    return
                raise error
            said = f"{reason} ({type(error).__name__}: {error})"
            if case is not None:
                raise AssertionError(said) from error
            # Only who lists deviations needs it, and has it.
            import pytest

            pytest.xfail(said)
        # A unittest.TestCase has that as an unexpected success.
        if reason is not None and case is None:
            raise AssertionError(
                f"{statement.__name__} is in `deviations` ({reason}) and yet the layer keeps it: "
                "take it out"
            )

    @property
    def __unittest_expecting_failure__(self) -> bool:
        """Tell unittest.TestCase.run(), where the class is also such a case."""
        case = _case(self)
        return case is not None and case.id().split(".")[-1] in self.deviations

    def _run(
        self: C, statement: Callable[[C], Coroutine[Any, Any, None]]
    ) -> tuple[BaseException | None, list[BaseException]]:
        runner, stuck = asyncio.Runner(), False
        try:
            error, end_errors, stuck = runner.run(self._run_and_end(statement))
        finally:
            if stuck:
                # The runner would wait for them without an end.
                runner.get_loop().close()
                asyncio.set_event_loop(None)
            else:
                runner.close()
        return error, end_errors

    async def _run_and_end(
        self: C, statement: Callable[[C], Coroutine[Any, Any, None]]
    ) -> tuple[BaseException | None, list[BaseException], bool]:
        self._made, self._tasks = [], []
        running = self.started(statement(self))
        try:
            await asyncio.wait([running], timeout=self.limit)
            error = _error(running, "the clause", f"{self.limit} s, its `limit`")
        finally:
            end_errors, stuck = await self._end()
        return error, end_errors, stuck

    async def _end(self) -> tuple[list[BaseException], bool]:
        """Leave nothing; return what went wrong, and whether something still runs."""
        errors: list[BaseException] = []
        if left := await self._cancel_all(self._tasks):
            errors.append(
                AssertionError(
                    "a call of the layer that was cancelled, such as receive(): expected it to "
                    f"end, got none within {self._patience} s; it must let a CancelledError "
                    f"through: {left}"
                )
            )
        for layer in self._made:
            closing = asyncio.create_task(self.close_layer(layer))
            await asyncio.wait([closing], timeout=self._patience)
            if error := _error(closing, "close_layer(): flush() or close()", f"{self._patience} s"):
                errors.append(error)
        others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        return errors, bool(await self._cancel_all(others))

    async def _cancel_all(self, tasks: list[asyncio.Task[Any]]) -> str:
        """Cancel tasks, and return those that do not end of it."""
        if not tasks:
            return ""
        for task in tasks:
            task.cancel()
        done, pending = await asyncio.wait(tasks, timeout=self._patience)
        for task in done:
            # Asked for, or else Python complains that nobody did.
            if not task.cancelled():
                task.exception()
        return ", ".join(sorted(repr(task.get_coro()) for task in pending))


def _offers(layer: Layer, extension: str) -> bool:
    # Whether a layer has groups is decided in one place.
    return has_groups(layer) if extension == "groups" else extension in layer.extensions


def _case(contract: object) -> unittest.TestCase | None:
    return contract if isinstance(contract, unittest.TestCase) else None


def _error(task: asyncio.Task[None], what: str, time: str) -> BaseException | None:
    """Return what went wrong in a task that was to end by now."""
    if not task.done():
        return AssertionError(f"{what}: expected an end, got none within {time}")
    if task.cancelled():
        return AssertionError(f"{what}: expected an end, got a CancelledError from the layer")
    return task.exception()


def _raise(error: BaseException) -> None:
    raise error
