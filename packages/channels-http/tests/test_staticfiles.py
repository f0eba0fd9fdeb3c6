import asyncio
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Receive, Scope, Send
from channels_http.handlers import AsgiHandler
from channels_http.staticfiles import StaticFilesHandler, StaticFilesWrapper
from clients import Client

HOST = (b"host", b"testserver")


async def rest(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"the rest: {scope['path']}".encode()})


async def fetch(application: Any, address: str, **scope: Any) -> tuple[int, bytes]:
    client = Client(application, path=address, headers=[HOST], **scope)
    client.request()
    await client.end()
    start, *parts = client.sent
    return start["status"], b"".join(part.get("body", b"") for part in parts)


async def test_a_file() -> None:
    status, body = await fetch(StaticFilesWrapper(rest), "/static/style.css")
    assert (status, body) == (200, b"body { color: teal }")


async def test_no_file() -> None:
    assert (await fetch(StaticFilesWrapper(rest), "/static/none.css"))[0] == 404


@pytest.mark.parametrize("outside", ["../settings.py", "/etc/passwd", "a/../../../settings.py"])
async def test_what_is_outside_of_the_folders_is_no_file(outside: str) -> None:
    assert (await fetch(StaticFilesWrapper(rest), f"/static/{outside}"))[0] == 404
    assert (await fetch(StaticFilesHandler, f"/static/{outside}"))[0] == 404


@pytest.mark.parametrize("address", ["/shop/static/style.css", "/static/style.css"])
async def test_below_a_root_path(address: str) -> None:
    # The second is what a server has whose proxy cuts the folder off.
    status, body = await fetch(StaticFilesWrapper(rest), address, root_path="/shop")
    assert (status, body) == (200, b"body { color: teal }")


@pytest.mark.parametrize("address", ["/shopping/static/style.css", "/shop/static"])
async def test_the_rest_below_a_root_path(address: str) -> None:
    answer = (200, f"the rest: {address}".encode())
    assert await fetch(StaticFilesWrapper(rest), address, root_path="/shop/") == answer


async def test_below_a_root_path_that_the_settings_know() -> None:
    with override_settings(STATIC_URL="/shop/static/"):
        wrapper = StaticFilesWrapper(rest)
    status, _ = await fetch(wrapper, "/shop/static/style.css", root_path="/shop")
    assert status == 200
    address = "/shop/shop/static/style.css"
    answer = (200, f"the rest: {address}".encode())
    assert await fetch(wrapper, address, root_path="/shop") == answer


async def test_the_rest() -> None:
    application = ProtocolTypeRouter({"http": StaticFilesWrapper(rest)})
    assert await fetch(application, "/staticfiles/") == (200, b"the rest: /staticfiles/")


async def test_other_connections_are_not_looked_at() -> None:
    application = StaticFilesWrapper(rest)
    assert await fetch(application, "/static/style.css", type="websocket") == (
        200,
        b"the rest: /static/style.css",
    )


@pytest.mark.parametrize("address", ["/static/style.css", "/rest/"])
async def test_it_is_called_in_one_step_and_in_two(address: str) -> None:
    wrapper = StaticFilesWrapper(AsgiHandler)

    async def in_one(scope: Scope, receive: Receive, send: Send) -> None:
        await wrapper(scope=scope, receive=receive, send=send)

    async def in_two(scope: Scope, receive: Receive, send: Send) -> None:
        await wrapper(scope)(receive, send)

    answers = await asyncio.gather(*(fetch(one, address) for one in (wrapper, in_one, in_two)))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == (404 if address == "/rest/" else 200)


async def test_programs_choose_the_url_and_what_serves_a_file() -> None:
    class Handler(StaticFilesHandler):
        def file_path(self, url: str) -> str:
            return super().file_path(url).replace("theme", "style")

    class Wrapper(StaticFilesWrapper):
        static_handler_class = Handler

        def get_base_url(self) -> str:
            return "/files/"

    status, body = await fetch(Wrapper(rest), "/files/theme.css")
    assert (status, body) == (200, b"body { color: teal }")
    assert await fetch(Wrapper(rest), "/static/style.css") == (
        200,
        b"the rest: /static/style.css",
    )


async def test_the_handler_by_itself() -> None:
    assert (await fetch(StaticFilesHandler, "/static/style.css"))[0] == 200
    assert (await fetch(StaticFilesHandler(), "/static/style.css"))[0] == 200


async def test_files_on_another_host_are_none_of_its_business() -> None:
    with override_settings(STATIC_URL="https://files.example.com/static/"):
        wrapper = StaticFilesWrapper(rest)
    assert wrapper.get_base_url() == "/static/"
    assert (await fetch(wrapper, "/static/style.css"))[1] == b"the rest: /static/style.css"


def test_there_has_to_be_an_url() -> None:
    with override_settings(STATIC_URL=None), pytest.raises(ImproperlyConfigured):
        StaticFilesWrapper(rest)
    with pytest.raises(TypeError, match="Expected an ASGI application"):
        StaticFilesWrapper("rest")
