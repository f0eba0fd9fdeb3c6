"""Run the clauses of a contract: each in an event loop of its own, on layers made for it."""

import asyncio
import difflib
import functools
import inspect
import unittest
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

from asgiref.sync import async_to_sync

from channels_testing._differences import difference

__all__ = ["MARK", "Contract", "Layer", "LayerNotMadeError", "clause", "expect"]

# Any: a layer need not derive from a base of ours, and some answer through `__getattr__`.
Layer: TypeAlias = Any

#: The message that comes next where nothing else is to come.
MARK: Final = {"type": "contract.mark"}

#: A clause that takes as many time-outs as this hangs.
_LONGEST: Final = 6


class LayerNotMadeError(Exception):
    """`make_layer` failed, which is no deviation of the layer."""


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
    races: ClassVar[int] = 60

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
        await asyncio.sleep(seconds)

    async def close_layer(self, layer: Layer) -> None:
        """Leave nothing of a layer after a clause: `flush()` and `close()`, where there are."""
        if "flush" in layer.extensions:
            await layer.flush()
        if close := getattr(layer, "close", None):
            await close()

    # What the clauses are written with

    async def layer(self, *extensions: str, **options: Any) -> Layer:
        """Make a layer for a clause.

        Raises:
            unittest.SkipTest: It does not list one of the extensions.
            LayerNotMadeError: `make_layer` failed.
        """
        try:
            layer = self.make_layer(**options)
            if inspect.isawaitable(layer):
                layer = await layer
        except Exception as error:
            given = ", ".join(f"{name}={value!r}" for name, value in options.items())
            raise LayerNotMadeError(f"make_layer({given}) raised {error!r}") from error
        self._made.append(layer)
        for extension in extensions:
            if extension not in layer.extensions:
                raise unittest.SkipTest(f"the layer does not list the extension {extension!r}")
        return layer

    def method(self, layer: Layer, name: str) -> Callable[..., Awaitable[Any]]:
        """Return a method that not every layer has.

        Raises:
            unittest.SkipTest: It has none of that name.
        """
        method: Callable[..., Awaitable[Any]] | None = getattr(layer, name, None)
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
        """Let calls that were started come so far that they wait."""
        await asyncio.sleep(self.latency)

    async def received(self, layer: Layer, channel: str) -> Any:
        """Receive, or fail after a time-out."""
        return await self.result(self.receiving(layer, channel), channel)

    async def result(self, task: Awaitable[Any], channel: str) -> Any:
        """Wait for what a call of receive() returns, or fail after a time-out."""
        try:
            async with asyncio.timeout(self.timeout):
                return await task
        except TimeoutError:
            raise AssertionError(
                f"receive({channel!r}): expected a message, got none within {self.timeout} s"
            ) from None

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
        with asyncio.Runner() as runner:
            error = runner.run(self._outcome(statement))
        if error is not None:
            if reason is None or isinstance(error, unittest.SkipTest | LayerNotMadeError):
                raise error
            # Only who lists deviations needs it, and has it.
            import pytest

            pytest.xfail(f"{reason} ({type(error).__name__}: {error})")
        if reason is not None:
            raise AssertionError(
                f"{statement.__name__} is in `deviations` ({reason}) and yet the layer keeps it: "
                "take it out"
            )

    async def _outcome(
        self: C, statement: Callable[[C], Coroutine[Any, Any, None]]
    ) -> Exception | None:
        self._made, self._tasks = [], []
        limit = self.timeout * _LONGEST
        net = asyncio.timeout(limit)
        try:
            async with net:
                await statement(self)
        except TimeoutError as error:
            if net.expired():
                return AssertionError(f"expected the clause to end, got no end within {limit} s")
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is, the deviations are asked
            return error
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for layer in self._made:
                await self.close_layer(layer)
        return None
