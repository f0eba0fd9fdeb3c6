import asyncio
import inspect
from collections.abc import Coroutine
from functools import wraps
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from asgiref.compatibility import is_double_callable

from channels_core._two_step import (
    Application,
    TwoSteps,
    at_once,
    first_step,
    in_two_steps_too,
    takes,
)
from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels_core.security.websocket import OriginValidator
from channels_core.typing import Receive, Scope, Send


class Telling(Application):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return scope["type"], receive, send


class Deeper(Telling):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return "deeper", await super().__call__(scope, receive, send)


class Eager(Telling):
    """Does a part of its work in the first step."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return "eager", await super().__call__(scope, receive, send)

    def _channels_first_step(self, scope: Scope) -> Any:
        return "first", scope["type"]


class LessEager(Eager):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return "less", await super().__call__(scope, receive, send)


class AtOnce(Application):
    """Passes on without a coroutine of its own."""

    @at_once
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, Any]:
        """Serve."""
        inner: Any = scope["inner"]
        rest: Coroutine[Any, Any, Any] = inner(scope, receive, send)
        return rest


class OfTwo(Telling):
    """A program's subclass, written for Channels 2."""

    def __call__(self, scope: Scope) -> Any:  # type: ignore[override] # as it was
        instance: Any = super().__call__  # type checkers know one step only
        return instance({**scope, "type": "of two"})


def call(application: Any, *args: Any, **kwargs: Any) -> Any:
    return application(*args, **kwargs)


class TestAtOnce:
    async def test_the_coroutine_inside_is_returned(self) -> None:
        inside = Telling()({"type": "one"}, "receive", "send")  # type: ignore[arg-type] # only told
        assert call(AtOnce(), {"inner": lambda *_: inside}, None, None) is inside
        assert await inside == ("one", "receive", "send")

    async def test_another_awaitable_becomes_a_coroutine(self) -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_result("done")
        inside = call(AtOnce(), {"inner": lambda *_: future}, None, None)
        assert inspect.iscoroutine(inside)
        assert await inside == "done"

    async def test_an_error_is_raised_by_the_await(self) -> None:
        """A server that makes a task of the application looks for it there."""
        inside = call(AtOnce(), {}, None, None)
        with pytest.raises(KeyError, match="inner"):
            await inside

    async def test_a_server_finds_a_coroutine_function(self) -> None:
        shown = vars(AtOnce())["__call__"]
        assert inspect.iscoroutinefunction(shown)
        assert shown.__doc__ == "Serve."
        assert await shown({"type": "one", "inner": Telling()}, 1, 2) == ("one", 1, 2)

    async def test_the_scope_may_come_first(self) -> None:
        instance = call(AtOnce(), {"type": "two", "inner": Telling()})
        assert await instance("receive", "send") == ("two", "receive", "send")


class TestTwoSteps:
    async def test_one_step_is_the_rule(self) -> None:
        assert await call(Telling(), {"type": "one"}, "receive", "send") == (
            "one",
            "receive",
            "send",
        )

    async def test_by_name_as_well(self) -> None:
        told = await call(Telling(), scope={"type": "one"}, receive="receive", send="send")
        assert told == ("one", "receive", "send")

    async def test_none_is_an_argument(self) -> None:
        assert await call(Telling(), {"type": "one"}, None, None) == ("one", None, None)

    async def test_the_scope_may_come_first(self) -> None:
        instance = call(Telling(), {"type": "two"})
        assert await instance("receive", "send") == ("two", "receive", "send")

    async def test_a_subclass_does_both_as_well(self) -> None:
        told = ("deeper", ("two", "receive", "send"))
        assert await call(Deeper(), {"type": "two"}, "receive", "send") == told
        assert await call(Deeper(), {"type": "two"})("receive", "send") == told

    async def test_a_subclass_of_the_second_generation_calls_ours_as_it_was(self) -> None:
        instance = call(OfTwo(), {"type": "two"})
        assert await instance("receive", "send") == ("of two", "receive", "send")

    async def test_the_first_step_may_do_something(self) -> None:
        assert call(Eager(), {"type": "two"}) == ("first", "two")
        assert await call(Eager(), {"type": "two"}, "receive", "send") == (
            "eager",
            ("two", "receive", "send"),
        )

    async def test_that_of_a_base_is_not_taken_for_a_call_of_ones_own(self) -> None:
        told = ("less", ("eager", ("two", "receive", "send")))
        assert await call(LessEager(), {"type": "two"})("receive", "send") == told

    def test_two_arguments_are_for_consumers(self) -> None:
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'send'"):
            call(Telling(), {"type": "two"}, "receive")

    def test_a_class_without_a_call_of_its_own_is_left_alone(self) -> None:
        class Plain(Application):
            pass

        assert not callable(Plain())

    @pytest.mark.parametrize(
        "application",
        [
            BaseMiddleware(Telling()),
            ChannelNameRouter({}),
            OriginValidator(Telling(), ["*"]),
            ProtocolTypeRouter({}),
            URLRouter([]),
            Telling(),
            Deeper(),
        ],
    )
    def test_servers_see_a_coroutine_function(self, application: Any) -> None:
        assert inspect.iscoroutinefunction(application.__call__)
        assert not is_double_callable(application)
        assert [*inspect.signature(application.__call__).parameters] == ["scope", "receive", "send"]

    def test_what_is_of_the_second_generation_is_seen_as_such(self) -> None:
        assert is_double_callable(OfTwo())

    def test_consumers_hold_nothing_for_servers(self) -> None:
        # It would be a reference circle in each connection.
        assert "__call__" not in vars(AsyncConsumer())
        assert issubclass(AsyncConsumer, TwoSteps)


class TestFirstStep:
    @staticmethod
    async def three(scope: Scope, receive: Receive, send: Send) -> Any:
        return scope["type"], receive, send

    async def test_of_what_takes_it(self) -> None:
        assert first_step(Eager(), {"type": "two"}) == ("first", "two")
        function = in_two_steps_too(self.three, lambda scope: ["first", scope["type"]])
        assert first_step(function, {"type": "two"}) == ["first", "two"]
        assert await call(function, {"type": "one"}, "receive", "send") == (
            "one",
            "receive",
            "send",
        )

    async def test_the_rest_waits_for_the_other_two(self) -> None:
        @wraps(in_two_steps_too(self.three, lambda scope: "first"))
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> Any:
            return "wrapped", await self.three(scope, receive, send)

        told = ("two", "receive", "send")
        for application in (self.three, in_two_steps_too(self.three), Telling()):
            assert await first_step(application, {"type": "two"})("receive", "send") == told
        assert await first_step(wrapped, {"type": "two"})("receive", "send") == ("wrapped", told)

    async def test_a_mock_returns_what_it_is_to_return(self) -> None:
        assert first_step(MagicMock(return_value=1), {}) == 1
        assert await first_step(AsyncMock(return_value=1), {})("receive", "send") == 1


class TestConsumers:
    async def test_one_that_was_made_with_its_scope_is_called_with_the_other_two(self) -> None:
        class Telling(AsyncConsumer):
            async def test_message(self, message: Any) -> None:
                await self.send({"type": "told", "by": self.scope["path"]})
                raise ConnectionError

        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "test.message"}

        async def send(message: Any) -> None:
            sent.append(message)

        with pytest.raises(ConnectionError):
            await call(call(Telling, {"type": "test", "path": "/a/"}), receive, send)
        assert sent == [{"type": "told", "by": "/a/"}]

    @pytest.mark.parametrize("kind", [AsyncConsumer, AsyncWebsocketConsumer, WebsocketConsumer])
    def test_the_scope_is_there_once_it_was_passed_on(self, kind: Any) -> None:
        class Reading(kind):  # type: ignore[misc] # the base is given
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.path = self.scope["path"]

        assert Reading({"path": "/a/"}).path == "/a/"

    def test_what_else_it_is_derived_from_gets_the_rest(self) -> None:
        class Sized:
            def __init__(self, size: int) -> None:
                self.size = size

        class Both(AsyncConsumer, Sized):
            pass

        assert call(Both, size=3).size == 3
        assert call(Both, {"type": "a"}, 4).size == 4

    def test_what_nobody_takes_is_an_error(self) -> None:
        with pytest.raises(TypeError):
            AsyncConsumer(size=3)


class TestTakes:
    def test_it_counts_positional_arguments(self) -> None:
        assert takes(lambda a, b=1: None, 1)
        assert takes(lambda a, b=1: None, 2)
        assert not takes(lambda a, b=1: None, 3)

    def test_what_tells_no_signature_takes_nothing(self) -> None:
        class Untold:
            __signature__ = "none"

        assert not takes(Untold, 0)
