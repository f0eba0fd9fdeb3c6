import channels.http
from asgiref.testing import ApplicationCommunicator
from channels.http import AsgiHandler, AsgiRequest
from channels.routing import ProtocolTypeRouter, URLRouter
from django.http import HttpRequest
from django.test import override_settings
from django.urls import re_path

import channels_http.handlers


def test_it_is_the_module_of_channels_http() -> None:
    assert channels.http is channels_http.handlers
    assert issubclass(AsgiRequest, HttpRequest)


async def test_a_route_leads_to_djangos_views() -> None:
    router = URLRouter([re_path(r"", AsgiHandler())])
    scope = {"type": "http", "method": "GET", "path": "/a/", "headers": [(b"host", b"example.com")]}
    with override_settings(ROOT_URLCONF="no_urls", MIDDLEWARE=[]):
        client = ApplicationCommunicator(ProtocolTypeRouter({"http": router}), scope)
        await client.send_input({"type": "http.request"})
        start = await client.receive_output(20)
        await client.wait(20)
    assert start["status"] == 404
