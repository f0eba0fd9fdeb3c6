import sys

import channels.routing
import pytest
from asgiref.testing import ApplicationCommunicator
from channels.consumer import AsyncConsumer
from channels.exceptions import RouteNotFound, StopConsumer
from channels.routing import (
    ChannelNameRouter,
    ProtocolTypeRouter,
    URLRouter,
    get_default_application,
)
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.urls import path

import channels_core.routing
from channels_core.typing import Message
from client import Client


class Tell(AsyncConsumer):
    async def websocket_connect(self, message: Message) -> None:
        await self.send({"type": "told", "route": self.scope["url_route"]["kwargs"]})
        raise StopConsumer

    async def job_do(self, message: Message) -> None:
        await self.send({"type": "done", "job": message["job"]})
        raise StopConsumer


ROUTER = ProtocolTypeRouter(
    {
        "websocket": URLRouter([path("room/<slug:name>/", Tell.as_asgi())]),
        "channel": ChannelNameRouter({"jobs": Tell.as_asgi()}),
    }
)


def test_it_is_the_module_of_the_core() -> None:
    assert channels.routing is channels_core.routing


async def test_routers_under_this_name_lead_to_applications() -> None:
    answer = await Client(ROUTER, "/room/tea/").connect()
    assert answer == {"type": "told", "route": {"name": "tea"}}
    worker = ApplicationCommunicator(ROUTER, {"type": "channel", "channel": "jobs"})
    await worker.send_input({"type": "job.do", "job": 7})
    assert await worker.receive_output() == {"type": "done", "job": 7}
    await worker.wait()


async def test_a_missing_route_raises_the_known_exception() -> None:
    worker = ApplicationCommunicator(ROUTER, {"type": "channel", "channel": "other"})
    with pytest.raises(RouteNotFound):
        await worker.wait()


def test_the_application_of_the_settings_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "site_asgi", sys.modules[__name__])
    with override_settings(ASGI_APPLICATION="site_asgi.ROUTER"):
        assert get_default_application() is ROUTER


def test_settings_without_an_application_are_explained() -> None:
    with pytest.raises(ImproperlyConfigured):
        get_default_application()
