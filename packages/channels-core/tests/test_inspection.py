from functools import partial
from typing import Any

import pytest
from django.urls import path, re_path

from channels_core.applications import as_asgi3
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.inspection import Place, consumer_of, walk
from channels_core.middleware import BaseMiddleware
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels_core.security.websocket import OriginValidator
from channels_core.typing import Receive, Scope, Send


class Log(BaseMiddleware):
    """A middleware."""


class Count(BaseMiddleware):
    """Another one."""


class Consumer(AsyncWebsocketConsumer):
    """The end of a walk."""


class WithScope(Consumer):
    """A consumer that is made with its scope."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)


class Opaque:
    """A wrapper that hides the application inside, with other things in the usual attributes."""

    inner = "nothing to call"

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


def ends(application: Any) -> list[Place]:
    return [place for place in walk(application) if place.is_last]


def kinds(place: Place) -> list[type]:
    return [type(each) for each in place.around]


def test_it_goes_through_routers_and_middleware() -> None:
    consumer = Consumer.as_asgi()
    [place] = ends(OriginValidator(Count(Log(URLRouter([path("a/", consumer)]))), ["*"]))
    assert place.application is consumer
    assert kinds(place) == [OriginValidator, Count, Log, URLRouter]
    assert place.is_inside(Count)
    assert place.is_inside(Opaque, BaseMiddleware)
    assert not place.is_inside(Opaque)


def test_it_goes_through_routers_within_routers() -> None:
    inner = URLRouter([path("b/", Consumer.as_asgi()), re_path("^c/$", Consumer.as_asgi())])
    places = ends(URLRouter([path("a/", Log(inner))]))
    assert [kinds(place) for place in places] == [[URLRouter, Log, URLRouter]] * 2


def test_it_knows_the_protocol() -> None:
    application = ProtocolTypeRouter(
        {
            "websocket": Count(Consumer),
            "http": Opaque(Consumer),
            "channel": ChannelNameRouter({"http": Consumer}),
        }
    )
    assert len(ends(application)) == 4
    found = {place.protocol for place in ends(application)}
    assert found == {"websocket", "http", "channel", "lifespan"}
    assert [place.protocol for place in ends(Count(Consumer))] == [None]
    names = ChannelNameRouter({"a": Consumer, "b": Log(Consumer)})
    assert [place.protocol for place in ends(names)] == ["channel", "channel"]


class Wrapper:
    """A wrapper of another package."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do nothing."""


class Delicate(Wrapper):
    """A wrapper whose attribute raises an exception."""

    @property
    def application(self) -> Any:
        """Fail."""
        raise RuntimeError("not in here")

    consumer_class = application


@pytest.mark.parametrize("name", ["app", "_app", "wrapped", "asgi_app", "application", "inner"])
def test_it_goes_through_wrappers_of_others(name: str) -> None:
    [place] = ends(Wrapper(**{name: Count(Consumer)}))
    assert kinds(place) == [Wrapper, Count]


def test_what_is_there_under_two_names_is_there_once() -> None:
    consumer = Consumer.as_asgi()
    [place] = ends(Wrapper(app=consumer, inner=consumer, wrapped="nothing to call"))
    assert place.application is consumer


def by_function(inner: Any) -> Any:
    """Middleware as a function in a function."""
    unused = len

    async def application(scope: Scope, receive: Receive, send: Send) -> Any:
        unused(scope)
        return await inner(scope, receive, send)

    return application


def by_partial(inner: Any) -> Any:
    async def application(level: int, inner: Any, scope: Scope, receive: Receive, send: Any) -> Any:
        return await inner(scope, receive, send)

    return partial(application, 3, inner)


def by_two_steps(inner: Any) -> Any:
    return as_asgi3(lambda scope: inner(dict(scope)))


@pytest.mark.parametrize("by", [by_function, by_partial, by_two_steps])
@pytest.mark.parametrize("consumer", [Consumer, Consumer.as_asgi(), as_asgi3(WithScope)])
def test_it_goes_through_functions_that_wrap(by: Any, consumer: Any) -> None:
    [place] = ends(Count(by(by(Log(by(URLRouter([path("a/", consumer)])))))))
    assert place.application is consumer
    assert [kind for kind in kinds(place) if issubclass(kind, BaseMiddleware | URLRouter)] == [
        Count,
        Log,
        URLRouter,
    ]
    [place] = ends(by(consumer))
    assert place.application is consumer


def test_a_function_that_wraps_nothing_of_ours_ends_it() -> None:
    for application in (by_function(print), by_function(by_function(print)), by_partial(print)):
        [place] = walk(application)
        assert place.is_last


def test_functions_around_each_other_end_it() -> None:
    async def one(scope: Scope, receive: Receive, send: Send) -> Any:
        return await other(scope, receive, send)

    [place] = walk(one)  # `other` is not there yet
    assert place.is_last

    async def other(scope: Scope, receive: Receive, send: Send) -> Any:
        return await one(scope, receive, send)

    assert all(place.application in (one, other) for place in walk(one))


def test_one_that_fails_breaks_nothing() -> None:
    [place] = ends(Delicate(app=Count(Consumer)))
    assert kinds(place) == [Delicate, Count]


def test_what_it_does_not_know_ends_it() -> None:
    for application in (Opaque(Consumer), Consumer, Log):
        [place] = walk(application)
        assert place == Place(application, (), None, True)


def test_a_circle_ends_it_too() -> None:
    log = Log(Consumer)
    router = URLRouter([path("a/", log)])
    log.inner = router
    assert [type(place.application) for place in walk(log)] == [Log, URLRouter]


@pytest.mark.parametrize(
    "application", [Consumer, Consumer.as_asgi(), as_asgi3(Consumer), as_asgi3(WithScope)]
)
def test_it_knows_the_consumer(application: Any) -> None:
    found = consumer_of(application)
    assert found is not None
    assert issubclass(found, Consumer)


@pytest.mark.parametrize(
    "application",
    [
        Log(Consumer),
        Log,
        URLRouter([]),
        Opaque(Consumer),
        Wrapper(consumer_class="Consumer"),
        Delicate(),
    ],
)
def test_it_knows_what_is_no_consumer(application: Any) -> None:
    assert consumer_of(application) is None
