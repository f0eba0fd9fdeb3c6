"""The site's own tests: communicators with classes, and instances that are called directly."""

import asyncio
import json
from urllib.request import ProxyHandler, Request, build_opener

from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.exceptions import StopConsumer
from channels.layers import channel_layers, get_channel_layer
from channels.routing import URLRouter, get_default_application
from channels.staticfiles import StaticFilesWrapper
from channels.testing import (
    ApplicationCommunicator,
    ChannelsLiveServerTestCase,
    HttpCommunicator,
    WebsocketCommunicator,
)
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, TestCase, TransactionTestCase
from django.urls import re_path
from websockets.sync.client import connect

from . import receivers
from .consumers import (
    AlbumConsumer,
    ChatConsumer,
    EchoConsumer,
    LongPollConsumer,
    NoticeConsumer,
    SyncEchoConsumer,
    ThumbnailConsumer,
    TickerConsumer,
    whoami,
)
from .middleware import GreetingMiddleware, HouseMiddleware, QueryAuthMiddleware, VisitMiddleware
from .models import Thumbnail, Token
from .routing import application

# A safety net, for a machine under load.
SECONDS = 60

ORIGIN = (b"origin", b"http://localhost")


class LayerTestCase(TransactionTestCase):
    """Each test has its own layers."""

    def setUp(self):
        channel_layers.backends.clear()


class ConsumerTests(LayerTestCase):
    """Consumers by themselves, handed over as classes."""

    async def test_echo(self):
        communicator = WebsocketCommunicator(EchoConsumer, "/testws/")
        connected, subprotocol = await communicator.connect()
        assert connected
        assert subprotocol is None
        await communicator.send_to(text_data="hello")
        assert await communicator.receive_from() == "hello"
        assert await communicator.receive_nothing() is True
        await communicator.disconnect()

    async def test_what_a_constructor_reads(self):
        communicator = WebsocketCommunicator(SyncEchoConsumer, "/testws/")
        await communicator.connect()
        await communicator.send_to(text_data="?")
        assert await communicator.receive_from() == "/testws/?"
        await communicator.disconnect()

    async def test_arguments_of_the_route(self):
        router = URLRouter([re_path(r"^testws/(?P<room>\w+)/$", ChatConsumer)])
        communicator = WebsocketCommunicator(QueryAuthMiddleware(router), "/testws/tea/?ann")
        await communicator.connect()
        await communicator.send_to(text_data=json.dumps({"message": "hello"}))
        assert json.loads(await communicator.receive_from()) == {"message": "ann: hello"}
        await communicator.disconnect()
        assert dict(get_channel_layer().groups) == {}

    async def test_an_instance_is_called_by_hand(self):
        consumer = EchoConsumer({"type": "websocket", "path": "/", "headers": []})
        assert consumer.scope["path"] == "/"
        incoming = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "by hand"},
            {"type": "websocket.disconnect", "code": 1000},
        ]
        sent = []

        async def receive():
            return incoming.pop(0)

        async def send(message):
            sent.append(message)

        await consumer(receive, send)
        assert sent == [
            {"type": "websocket.accept"},
            {"type": "websocket.send", "text": "by hand"},
        ]

    async def test_a_handler_is_called_by_hand(self):
        consumer = EchoConsumer({"type": "websocket", "path": "/"})
        with self.assertRaises(StopConsumer):
            await consumer.websocket_disconnect({"type": "websocket.disconnect"})

    async def test_groups_on_another_layer(self):
        first = WebsocketCommunicator(NoticeConsumer, "/testws/")
        second = WebsocketCommunicator(NoticeConsumer, "/testws/")
        await first.connect()
        await second.connect()
        await first.send_json_to({"text": "dinner"})
        assert await first.receive_json_from() == {"text": "dinner"}
        assert await second.receive_json_from() == {"text": "dinner"}
        assert set(get_channel_layer("notices").groups) == {"broadcast"}
        assert dict(get_channel_layer().groups) == {}
        await first.disconnect()
        await second.disconnect()

    async def test_what_was_written_by_hand(self):
        communicator = WebsocketCommunicator(TickerConsumer, "/testws/")
        await communicator.connect()
        await communicator.send_to(text_data="tock")
        assert await communicator.receive_from() == "tick tock"
        await communicator.disconnect()

    async def test_a_function_of_a_function(self):
        communicator = WebsocketCommunicator(QueryAuthMiddleware(whoami), "/testws/?ann")
        await communicator.connect()
        assert await communicator.receive_from() == "ann"
        await communicator.wait()

    async def test_a_long_poll(self):
        router = URLRouter([re_path(r"^poll/(?P<room>\w+)/$", LongPollConsumer)])
        communicator = HttpCommunicator(router, "GET", "/poll/tea/")
        await communicator.send_input({"type": "http.request", "body": b""})
        assert (await communicator.receive_output())["status"] == 200
        assert (await communicator.receive_output())["more_body"] is True
        await get_channel_layer().group_send("chat_tea", {"type": "chat.message", "message": "hi"})
        part = await communicator.receive_output()
        assert json.loads(part["body"].decode("utf-8")) == {"message": "hi"}
        await communicator.wait()

    async def test_signals(self):
        receivers.counts.update(started=0, finished=0)
        communicator = WebsocketCommunicator(EchoConsumer, "/testws/")
        await communicator.connect()
        assert receivers.counts == {"started": 1, "finished": 0}
        await communicator.disconnect()
        assert receivers.counts == {"started": 1, "finished": 1}


class WorkerTests(LayerTestCase):
    """The worker's consumer, and the consumer that sends to it."""

    async def test_a_job_and_its_answer(self):
        album = WebsocketCommunicator(AlbumConsumer, "/testws/")
        await album.connect()
        await album.send_json_to({"picture": "rose.png"})
        worker = ApplicationCommunicator(
            ThumbnailConsumer, {"type": "channel", "channel": "thumbnails"}
        )
        job = await asyncio.wait_for(get_channel_layer().receive("thumbnails"), SECONDS)
        await worker.send_input(job)
        assert await album.receive_json_from(SECONDS) == {"thumbnail": "small-rose.png"}
        assert await sync_to_async(Thumbnail.objects.count)() == 1
        worker.stop()
        await album.disconnect()

    async def test_a_full_channel(self):
        album = WebsocketCommunicator(AlbumConsumer, "/testws/")
        await album.connect()
        for number in range(3):
            await album.send_json_to({"picture": "%d.png" % number})
        assert "error" in await album.receive_json_from()
        await album.disconnect()


class SiteTests(LayerTestCase):
    """The whole site: routes, middleware of both kinds, Django's views."""

    def setUp(self):
        super().setUp()
        self.user = User.objects.create_user("ann")
        Token.objects.create(user=self.user, key="token-of-ann")

    def cookie(self):
        client = Client()
        client.force_login(self.user)
        return (
            b"cookie",
            ("sessionid=%s" % client.cookies[settings.SESSION_COOKIE_NAME].value).encode("ascii"),
        )

    async def said(self, path, *headers):
        communicator = WebsocketCommunicator(application, path, headers=[ORIGIN, *headers])
        connected, _ = await communicator.connect()
        assert connected
        await communicator.send_json_to({"message": "hello"})
        answer = await communicator.receive_json_from()
        await communicator.disconnect()
        return answer["message"]

    async def test_a_stranger(self):
        assert await self.said("/ws/chat/tea/") == "stranger: hello"

    async def test_a_token(self):
        for colour in ("chat", "async-chat"):
            assert await self.said("/ws/%s/tea/?token=token-of-ann" % colour) == "ann: hello"
        assert await self.said("/ws/chat/tea/?token=made-up") == "stranger: hello"

    async def test_a_cookie(self):
        cookie = await sync_to_async(self.cookie)()
        assert await self.said("/ws/chat/tea/", cookie) == "ann: hello"

    async def test_middleware_inside(self):
        assert await self.said("/ws/claim/tea/?zoe") == "zoe: hello"

    async def test_a_first_step_that_asks_the_database(self):
        communicator = WebsocketCommunicator(application, "/ws/member/?ann", headers=[ORIGIN])
        connected, _ = await communicator.connect()
        assert connected
        assert await communicator.receive_from() == "ann"
        await communicator.wait()

    async def test_nested_routes(self):
        assert await self.said("/ws/quiet/tea/") == "stranger: hello"
        assert await self.said("/ws/quiet/tea/corner/") == "stranger: hello"
        assert await self.said("/ws/own/tea/?zoe") == "zoe: hello"

    async def test_origins(self):
        communicator = WebsocketCommunicator(
            application, "/ws/echo/", headers=[(b"origin", b"http://elsewhere.example")]
        )
        connected, _ = await communicator.connect()
        assert not connected
        communicator = WebsocketCommunicator(application, "/ws/elsewhere/", headers=[ORIGIN])
        connected, _ = await communicator.connect()
        assert not connected

    async def test_no_way_in_without_a_seat(self):
        communicator = WebsocketCommunicator(application, "/ws/guest/", headers=[ORIGIN])
        connected, _ = await communicator.connect()
        assert not connected

    async def test_a_guest(self):
        cookie = await sync_to_async(self.cookie)()
        communicator = WebsocketCommunicator(application, "/ws/guest/", headers=[ORIGIN, cookie])
        connected, _ = await communicator.connect()
        assert connected
        await communicator.send_json_to({"do": "tell"})
        assert await communicator.receive_json_from() == {
            "user": "ann",
            "greeting": "good evening, ann of the parlour",
        }
        await communicator.send_json_to({"do": "remember", "drink": "tea"})
        assert await communicator.receive_json_from() == {"remembered": "tea"}
        await communicator.send_json_to({"do": "leave"})
        assert await communicator.receive_json_from() == {"user": ""}
        await communicator.disconnect()
        assert await self.said("/ws/chat/tea/", cookie) == "stranger: hello"

    async def test_pages_are_django_s(self):
        communicator = HttpCommunicator(application, "GET", "/", headers=[(b"host", b"localhost")])
        response = await communicator.get_response()
        assert response["status"] == 200
        assert response["body"] == b"parlour, stranger"
        communicator = HttpCommunicator(
            application, "GET", "/nowhere/", headers=[(b"host", b"localhost")]
        )
        assert (await communicator.get_response())["status"] == 404

    async def test_a_login_over_http(self):
        communicator = HttpCommunicator(application, "POST", "/door/", body=b"word=sesame")
        response = await communicator.get_response()
        assert (response["status"], response["body"]) == (200, b"ann")
        cookies = [value for name, value in response["headers"] if name.lower() == b"set-cookie"]
        assert any(cookie.startswith(b"visited=yes;") for cookie in cookies)
        [key] = [cookie for cookie in cookies if cookie.startswith(b"sessionid=")]
        assert await self.said("/ws/chat/tea/", (b"cookie", key.split(b";")[0])) == "ann: hello"
        refused = HttpCommunicator(application, "POST", "/door/", body=b"word=please")
        assert (await refused.get_response())["status"] == 403

    async def test_the_setting_names_it(self):
        communicator = WebsocketCommunicator(
            get_default_application(), "/ws/echo/", headers=[ORIGIN]
        )
        connected, _ = await communicator.connect()
        assert connected
        await communicator.disconnect()

    async def test_the_worker_s_part(self):
        layer = get_channel_layer()
        name = await layer.new_channel()
        worker = ApplicationCommunicator(application, {"type": "channel", "channel": "thumbnails"})
        await worker.send_input(
            {"type": "thumbnail.make", "picture": "fern.png", "reply_channel": name}
        )
        answer = await asyncio.wait_for(layer.receive(name), SECONDS)
        assert answer == {"type": "thumbnail.made", "thumbnail": "small-fern.png"}
        worker.stop()


class TwoStepTests(TestCase):
    """The framework's own applications, called in two steps."""

    async def test_in_two_steps(self):
        for outermost in (
            EchoConsumer,
            URLRouter([re_path(r"^ws/$", EchoConsumer)]),
            AuthMiddlewareStack(EchoConsumer),
            HouseMiddleware(EchoConsumer),
            GreetingMiddleware(HouseMiddleware(EchoConsumer)),
            VisitMiddleware(URLRouter([re_path(r"^ws/$", EchoConsumer)])),
        ):
            scope = {
                "type": "websocket",
                "path": "/ws/",
                "query_string": b"",
                "headers": [],
                "user": "ann",
                "house": "parlour",
                "session": None,
            }
            incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1}]
            sent = []

            async def receive():
                return incoming.pop(0)  # noqa: B023 - it is called in this round

            async def send(message):
                sent.append(message)  # noqa: B023 - it is called in this round

            instance = outermost(scope)
            await instance(receive, send)
            assert [message["type"] for message in sent] == ["websocket.accept"]


class LiveTests(ChannelsLiveServerTestCase):
    """A real server in a separate process, as in Channels 2."""

    serve_static = True
    static_wrapper = StaticFilesWrapper

    def get(self, path, **headers):
        opener = build_opener(ProxyHandler({}))
        request = Request(self.live_server_url + path, headers=headers)
        with opener.open(request, timeout=SECONDS) as answer:
            return answer.read().decode("utf-8")

    def open(self, path):
        return connect(
            self.live_server_ws_url + path,
            origin=self.live_server_url,
            open_timeout=SECONDS,
            proxy=None,
        )

    def test_a_chat_and_a_token(self):
        token = json.loads(self.get("/seat/ann/"))["token"]
        with (
            self.open("/ws/chat/tea/?token=" + token) as one,
            self.open("/ws/async-chat/tea/") as other,
        ):
            other.send(json.dumps({"message": "who is there?"}))
            for socket in (one, other):
                assert json.loads(socket.recv(SECONDS)) == {"message": "stranger: who is there?"}
            one.send(json.dumps({"message": "me"}))
            for socket in (one, other):
                assert json.loads(socket.recv(SECONDS)) == {"message": "ann: me"}
            assert self.get("/announce/tea/") == "announced"
            for socket in (one, other):
                assert json.loads(socket.recv(SECONDS)) == {"message": "dinner is served"}

    def test_static_files(self):
        assert self.get("/static/parlour/style.css") == "body { color: maroon }\n"
