"""Run the clauses of a contract, and give them what they are written with.

A clause is a coroutine method that `clause` turns into a plain test function. The test runs it in
an event loop of its own (`Contract.run_clause`), on layers that the author's `make_layer` makes.
When the clause has ended, calls that still wait are cancelled, the layers are closed, and the
result is compared with the author's `deviations`.
"""

import asyncio
import difflib
import functools
import inspect
import unittest
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

from asgiref.sync import async_to_sync

from channels_core.layers import has_groups
from channels_testing._contract.first_difference import first_difference

__all__ = ["MARK", "Contract", "Layer", "LayerNotMadeError", "clause", "expect"]

# Any: a layer need not inherit from a base of ours, and some answer through `__getattr__`.
Layer: TypeAlias = Any

#: A message that is sent to show that no other one waits before it.
MARK: Final = {"type": "contract.mark"}


class LayerNotMadeError(Exception):
    """`make_layer` failed. This does not count as a deviation of the layer."""


C = TypeVar("C", bound="Contract")
T = TypeVar("T")


def clause(statement: Callable[[C], Coroutine[Any, Any, None]]) -> Callable[[C], None]:
    """Turn a coroutine method into a test: a plain function, which any test runner can call."""

    @functools.wraps(statement)
    def test(contract: C) -> None:
        # Hides this frame in pytest's output: the failure is in another one.
        __tracebackhide__ = True
        contract.run_clause(statement)

    test.is_clause = True  # type: ignore[attr-defined] # read by Contract.clauses
    return test


def expect(got: object, expected: object, what: str) -> None:
    """Raise an AssertionError that names the first difference in type or value, if there is one."""
    __tracebackhide__ = True
    if found := first_difference(got, expected):
        raise AssertionError(f"{what}: {found}")


class Contract:
    """The base of all clauses: makes layers, runs clauses and cleans up after them.

    The public attributes are described in `channels_testing.layers.ChannelLayerContract`.
    """

    deviations: ClassVar[Mapping[str, str]] = {}
    shared: ClassVar[bool] = False
    one_order: ClassVar[bool] = True
    expiry: ClassVar[float] = 1
    lateness: ClassVar[float] = 1
    latency: ClassVar[float] = 0.05
    timeout: ClassVar[float] = 10
    limit: ClassVar[float] = 120
    races: ClassVar[int] = 60
    churns: ClassVar[int] = 1
    idle: ClassVar[float] = 6

    # Seconds to wait, after a clause, for cancelled calls and for layers that are being closed.
    _patience: ClassVar[float] = 10

    # The layers that the current clause has made, and the calls that it has started.
    _made: list[Layer]
    _tasks: list[asyncio.Task[Any]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Reject deviations without a reason, and those that do not name a clause."""
        super().__init_subclass__(**kwargs)
        clauses = cls.clauses()
        # `object`: an author may have written something else than the annotation asks for.
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

    # Methods that an author writes or overrides

    def make_layer(self, **options: Any) -> Layer | Awaitable[Layer]:
        """Make a layer; may be a coroutine method.

        Args:
            options: The options that the clause is about: `expiry`, `capacity`, `channel_capacity`
                or `group_expiry`; for a layer that has the extension also `history`, `queues`,
                `member_linger` or `member_lease`. All others should have the layer's defaults.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must have a method make_layer(self, **options) that returns "
            "the layer to test"
        )

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for the layers. Override it if the layer takes a clock of yours."""
        if seconds > self.limit:
            raise AssertionError(
                f"pass_time({seconds}): expected to wait no longer than `limit`, {self.limit} s. "
                "The layer has such a long `expiry` or `group_expiry` because it ignored the short "
                "one that make_layer() was given: use it, or let pass_time() set a clock of yours"
            )
        await asyncio.sleep(seconds)

    async def lose_messages(self, layer: Layer) -> None:
        """Make a layer lose messages, or believe so, as when its connection breaks.

        Override it for a layer with the extension `gaps`. When it returns, the layer works again.
        """
        raise unittest.SkipTest("the contract has no lose_messages() that makes the layer lose any")

    async def close_layer(self, layer: Layer) -> None:
        """Clean up a layer after a clause: call `flush()` and `close()` if it has them."""
        if "flush" in layer.extensions:
            await layer.flush()
        close = getattr(layer, "close", None)
        if close is not None and inspect.isawaitable(result := close()):
            await result

    # Methods that clauses are written with

    async def layer(self, *extensions: str, **options: Any) -> Layer:
        """Make a layer for a clause.

        Raises:
            unittest.SkipTest: The layer lacks one of the extensions.
            LayerNotMadeError: `make_layer` failed, or did not return a layer.
        """
        if extensions and options:
            # Checked first, since a layer without the extension may not know its options.
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

    def require_shared(self) -> None:
        """Skip a clause about several instances if they share nothing.

        Raises:
            unittest.SkipTest: Instances of this layer do not share channels.
        """
        if not self.shared:
            raise unittest.SkipTest("instances of this layer share no channels")

    def method(self, layer: Layer, name: str) -> Callable[..., Any]:
        """Return a method that not every layer has.

        Raises:
            unittest.SkipTest: The layer lacks the method.
        """
        method: Callable[..., Any] | None = getattr(layer, name, None)
        if method is None:
            raise unittest.SkipTest(f"the layer has no method {name}()")
        return method

    def setting(self, layer: Layer, name: str, asked: Any) -> Any:
        """Return an attribute of the layer, or the value that was asked for if it has none."""
        return getattr(layer, name, asked)

    def receiving(self, layer: Layer, channel: str) -> asyncio.Task[Any]:
        """Start to receive, in a task that is cancelled if it still waits when the clause ends."""
        return self.started(layer.receive(channel))

    def started(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a call, in a task that is cancelled if it still runs when the clause ends."""
        task = asyncio.create_task(call)
        self._tasks.append(task)
        return task

    async def until_waiting(self) -> None:
        """Give calls that were started the time to wait, and messages the time to arrive."""
        await asyncio.sleep(self.latency)

    async def received(self, layer: Layer, channel: str) -> Any:
        """Receive a message, or fail after the time-out."""
        return await self.result(self.receiving(layer, channel), channel)

    async def result(self, task: Awaitable[Any], channel: str) -> Any:
        """Wait for the result of a call of receive(), or fail after the time-out."""
        waiting = asyncio.ensure_future(task)
        # Not asyncio.timeout(), which would wait for a call that ignores its cancellation.
        done, _ = await asyncio.wait([waiting], timeout=self.timeout)
        if not done:
            raise AssertionError(
                f"receive({channel!r}): expected a message, got none within {self.timeout} s"
            )
        return waiting.result()

    async def expect_next(self, layer: Layer, channel: str, expected: object, what: str) -> None:
        """Receive a message, and fail unless it is the expected one."""
        __tracebackhide__ = True
        expect(await self.received(layer, channel), expected, what)

    async def expect_nothing(self, layer: Layer, channel: str, what: str) -> None:
        """Fail if a message waits in a channel: it would come before one that is sent now."""
        __tracebackhide__ = True
        await layer.send(channel, MARK)
        await self.expect_next(layer, channel, MARK, what)

    async def expect_error(
        self, call: Awaitable[Any], kind: type[Exception] | tuple[type[Exception], ...], what: str
    ) -> None:
        """Wait for a call, and fail unless it raises an error of a kind."""
        __tracebackhide__ = True
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = f"{what}: expected a {' or '.join(one.__name__ for one in kinds)}, got "
        try:
            # A call that is accepted may wait for ever.
            async with asyncio.timeout(self.timeout):
                await call
        except kinds:
            return
        except Exception as error:
            raise AssertionError(f"{expected}{error!r}") from error
        raise AssertionError(f"{expected}no error")

    async def elsewhere(self, call: Callable[..., Awaitable[Any]], *args: object) -> Any:
        """Call a method in a thread and an event loop of its own, as synchronous code does."""

        async def bounded() -> Any:
            async with asyncio.timeout(self.timeout):
                return await call(*args)

        def as_synchronous_code_does() -> Any:
            return async_to_sync(bounded)()

        return await asyncio.to_thread(as_synchronous_code_does)

    # Running a clause

    def run_clause(self: C, statement: Callable[[C], Coroutine[Any, Any, None]]) -> None:
        """Run a clause, and compare the result with the deviations."""
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
                    # Raised here, unittest would count it as the expected failure.
                    case.addCleanup(_raise, error)
                    return
                raise error
            said = f"{reason} ({type(error).__name__}: {error})"
            if case is not None:
                raise AssertionError(said) from error
            # Imported here, since only contracts with deviations need pytest.
            import pytest

            pytest.xfail(said)
        # In a unittest.TestCase this is an unexpected success, which unittest reports itself.
        if reason is not None and case is None:
            raise AssertionError(
                f"{statement.__name__} is in `deviations` ({reason}) and yet the layer keeps it: "
                "take it out"
            )

    @property
    def __unittest_expecting_failure__(self) -> bool:
        """Whether the test is a deviation, for `TestCase.run()` if the class is a TestCase too."""
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
                # Some task ignores its cancellation, and the runner would wait for it for ever.
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
        """Clean up after a clause; return the errors, and whether a task still runs."""
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
        """Cancel tasks, and return the names of those that do not end."""
        if not tasks:
            return ""
        for task in tasks:
            task.cancel()
        done, pending = await asyncio.wait(tasks, timeout=self._patience)
        for task in done:
            # Retrieved, or else asyncio logs that it was never retrieved.
            if not task.cancelled():
                task.exception()
        return ", ".join(sorted(repr(task.get_coro()) for task in pending))


def _offers(layer: Layer, extension: str) -> bool:
    # Core owns the decision whether a layer has groups.
    return has_groups(layer) if extension == "groups" else extension in layer.extensions


def _case(contract: object) -> unittest.TestCase | None:
    return contract if isinstance(contract, unittest.TestCase) else None


def _error(task: asyncio.Task[None], what: str, time: str) -> BaseException | None:
    """Return the error of a task that had to end by now, or None."""
    if not task.done():
        return AssertionError(f"{what}: expected an end, got none within {time}")
    if task.cancelled():
        return AssertionError(f"{what}: expected an end, got a CancelledError from the layer")
    return task.exception()


def _raise(error: BaseException) -> None:
    raise error
