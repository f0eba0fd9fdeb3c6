"""Groups that a program leaves by the layer's own `group_discard`."""

import asyncio
import functools
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any
from unittest.mock import AsyncMock, MagicMock, patch

import pytest

from channels_core._layers.discards import untold_discard, watch_discards

Told = list[tuple[object, object]]


def make_kind() -> Any:
    """Make a class of layers that derives from nothing."""

    class Kind:
        def __init__(self) -> None:
            self.left: Told = []

        async def group_discard(self, group: str, channel: str) -> None:
            """Leave."""
            self.left.append((group, channel))

    return Kind


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def tell(told: Told) -> Callable[[object, object], None]:
    return lambda group, channel: told.append((group, channel))


async def test_every_object_of_the_class_reports(told: Told, tell: Any) -> None:
    kind = make_kind()
    layer, other = kind(), type("Derived", (kind,), {})()
    watch_discards(layer, tell)
    await layer.group_discard("a", "one")
    await other.group_discard("b", channel="two")
    await other.group_discard(channel="three", group="c")
    assert told == [("a", "one"), ("b", "two"), ("c", "three")]
    assert layer.left + other.left == told


async def test_a_layer_watched_several_times_reports_once(told: Told, tell: Any) -> None:
    layer = make_kind()()
    for _ in range(3):
        watch_discards(layer, tell)
    await layer.group_discard("a", "one")
    assert told == [("a", "one")]


async def test_a_subclass_that_calls_the_method_reports_once_and_first(
    told: Told, tell: Any
) -> None:
    kind = make_kind()

    class Derived(kind):  # type: ignore[misc,valid-type] # its base is made here
        async def group_discard(self, group: str, channel: str) -> None:
            assert told == [(group, channel)]
            await super().group_discard(group, channel)

    watch_discards(kind(), tell)
    watch_discards(Derived(), tell)
    await Derived().group_discard("a", "one")
    assert told == [("a", "one")]
    await kind().group_discard("a", "one")
    assert told == [("a", "one")] * 2


async def test_the_method_stays_what_it_was(tell: Any) -> None:
    kind = make_kind()
    watch_discards(kind(), tell)
    assert iscoroutinefunction(kind.group_discard)
    assert kind.group_discard.__doc__ == "Leave."
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        await kind().group_discard("a")


async def test_a_method_that_returns_an_awaitable_reports(told: Told, tell: Any) -> None:
    class Kind:
        def group_discard(self, group: str, channel: str) -> Any:
            return asyncio.sleep(0)

    layer = Kind()
    watch_discards(layer, tell)
    assert not iscoroutinefunction(Kind.group_discard)
    await layer.group_discard("a", "one")
    assert told == [("a", "one")]


@pytest.mark.parametrize("is_bound", [True, False])
async def test_a_layer_with_methods_from_getattr_reports(
    told: Told, tell: Any, is_bound: bool
) -> None:
    class Proxy:
        def __init__(self) -> None:
            self.inner = kind()

        def __getattr__(self, name: str) -> Any:
            method = getattr(self.inner, name)
            return method if is_bound else functools.partial(method)

    kind = make_kind()
    layer, other = Proxy(), Proxy()
    watch_discards(layer, tell)
    for proxy in (layer, other):
        await proxy.group_discard("a", "one")
        assert proxy.inner.left == [("a", "one")]
    assert told == [("a", "one")] * 2


async def test_the_method_behind_getattr_need_not_be_a_coroutine(tell: Any) -> None:
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            return lambda group, channel: (group, channel)

    layer = Proxy()
    watch_discards(layer, tell)
    assert await layer.group_discard("a", "one") == ("a", "one")


async def test_a_patch_of_the_method_is_left_alone(told: Told, tell: Any) -> None:
    kind = make_kind()
    layer = kind()
    with patch.object(kind, "group_discard", AsyncMock()) as patched:
        watch_discards(layer, tell)
        await layer.group_discard("a", "one")
        patched.assert_awaited_once_with("a", "one")
    watch_discards(layer, tell)
    await layer.group_discard("b", "one")
    assert told == [("b", "one")]


async def test_mocks_and_methods_of_an_instance_are_left_alone(told: Told, tell: Any) -> None:
    mock = MagicMock()
    mock.group_discard = AsyncMock()
    own, foreign = make_kind()(), make_kind()()
    own.group_discard = own_way = lambda group, channel: None
    foreign.group_discard = mock_way = make_kind()().group_discard
    foreign_function = mock_way.__func__
    del type(mock_way.__self__).group_discard
    for layer in (mock, own, foreign, object()):
        watch_discards(layer, tell)
    await mock.group_discard("a", "one")
    mock.group_discard.assert_awaited_once_with("a", "one")
    assert own.group_discard is own_way
    assert foreign.group_discard.__func__ is foreign_function
    assert told == []


class Closed(type):
    """Its classes take no attributes, like those that are not written in Python."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise TypeError("cannot set an attribute of an immutable type")


async def test_a_class_that_does_not_take_attributes_is_not_changed(told: Told, tell: Any) -> None:
    class Kind(metaclass=Closed):
        async def group_discard(self, group: str, channel: str) -> None: ...

    layer = Kind()
    watch_discards(layer, tell)
    await layer.group_discard("a", "one")
    assert told == []


async def test_who_has_ended_a_membership_may_leave_without_a_report(told: Told, tell: Any) -> None:
    kind = make_kind()
    layer = kind()
    await untold_discard(layer)("a", "one")
    watch_discards(layer, tell)
    await untold_discard(layer)("b", "one")
    assert layer.left == [("a", "one"), ("b", "one")]
    assert told == []


async def test_a_method_around_the_one_that_reports_is_called(told: Told, tell: Any) -> None:
    kind = make_kind()
    watch_discards(kind(), tell)

    class Derived(kind):  # type: ignore[misc,valid-type] # its base is made here
        @functools.wraps(kind.group_discard)
        async def group_discard(self, group: str, channel: str) -> None:
            await super().group_discard(f"my-{group}", channel)

    await untold_discard(Derived())("a", "one")
    assert told == [("my-a", "one")]
    layer = kind()
    layer.group_discard = AsyncMock()
    await untold_discard(layer)("b", "one")
    layer.group_discard.assert_awaited_once_with("b", "one")
