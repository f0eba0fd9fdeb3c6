import asyncio
import threading
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models.signals import post_save
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext

from channels_auth._disconnection.validity import login_holds
from channels_auth.apps import set_up
from channels_auth.auth import AuthMiddlewareStack, login, logout
from channels_auth.disconnection import EndsWithLoginMiddleware, disconnect_user
from channels_auth.tokens import TokenAuthMiddleware
from channels_core.exceptions import InvalidChannelLayerError
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.layers import BaseChannelLayer
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message, Receive, Scope, Send
from group_messages import user_group
from http_logins import MODEL_BACKEND, http_session, logged_in_request, session_cookies
from layers import GroupLayer, default_layer
from servers import DENIAL, Server, http, websocket

User: Any = get_user_model()
REASON = "The login has ended."
OVER = {"type": "websocket.close", "code": 4401, "reason": REASON}
ANNA = User(pk=1, username="anna")
BEARING = {"headers": [(b"authorization", b"Bearer secret")]}


async def find(token: str, scope: Scope) -> Any:
    """Find anna, whatever the token."""
    return ANNA


class Echo(AsyncWebsocketConsumer):
    """Echoes, and logs in or out on request."""

    async def connect(self) -> None:
        if self.scope["path"] == "/login/":
            await login(self.scope, await User.objects.aget(username="anna"))
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "logout":
            await logout(self.scope)
        await self.send(text_data=f"{text_data} {self.scope['user'].username}".strip())


class SyncEcho(WebsocketConsumer):
    """The synchronous twin."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "logout":
            async_to_sync(logout)(self.scope)
        self.send(text_data=f"{text_data} {self.scope['user'].username}".strip())


async def bare(scope: Scope, receive: Receive, send: Send) -> str:
    """Accept and echo, without a consumer."""
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": message["text"]})
    return "bare"


@pytest.fixture
def valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every check in the database find the login valid."""

    async def login_holds(user: Any, session: Any) -> bool:
        return True

    monkeypatch.setattr("channels_auth._disconnection.login_watch.login_holds", login_holds)


def serve(application: Any, user: Any = ANNA, **extra: Any) -> Server:
    return Server(EndsWithLoginMiddleware(application), websocket(user=user, **extra))


@pytest.mark.usefixtures("valid")
class TestDisconnecting:
    async def test_from_a_coroutine(self, layer: GroupLayer) -> None:
        server = serve(Echo)
        await server.connect()
        await disconnect_user(ANNA)
        assert await server.receive() == OVER
        await server.leave()

    async def test_with_another_code(self, layer: GroupLayer) -> None:
        server = serve(Echo)
        await server.connect()
        await disconnect_user(ANNA.pk, 4000)
        assert (await server.receive())["code"] == 4000
        await server.leave()

    async def test_from_a_thread(self, layer: GroupLayer) -> None:
        server = serve(SyncEcho)
        await server.connect()
        thread = threading.Thread(target=disconnect_user, args=(ANNA,))
        thread.start()
        assert await server.receive() == OVER
        thread.join()
        await server.leave()

    @pytest.mark.parametrize("thread_sensitive", [True, False])
    async def test_from_a_synchronous_view(self, layer: GroupLayer, thread_sensitive: bool) -> None:
        server = serve(Echo)
        await server.connect()
        await sync_to_async(disconnect_user, thread_sensitive=thread_sensitive)(ANNA)
        assert len(layer.sent) == 1
        assert await server.receive() == OVER
        await server.leave()

    def test_the_result_in_synchronous_code_may_be_awaited(self, layer: GroupLayer) -> None:
        done: Any = disconnect_user(ANNA)
        assert len(layer.sent) == 1

        async def wait() -> None:
            await done

        asyncio.run(wait())

    async def test_all_sockets_of_the_user_with_one_message(self, layer: GroupLayer) -> None:
        servers = [serve(each) for each in (Echo, SyncEcho, bare)]
        other = serve(Echo, User(pk=2, username="ben"))
        for server in (*servers, other):
            await server.connect()
        await disconnect_user(ANNA)
        for server in servers:
            assert await server.receive() == OVER
            await server.leave()
        assert layer.calls.count("group_send") == 1
        assert await other.ask("still there?") == "still there? ben"
        await other.leave()

    async def test_before_the_answer_it_is_a_refusal(self, layer: GroupLayer) -> None:
        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await may_answer.wait()
            await send({"type": "websocket.accept"})

        for extensions, kind in (
            ({}, "websocket.close"),
            (DENIAL, "websocket.http.response.start"),
        ):
            may_answer = asyncio.Event()
            server = serve(slow, extensions=extensions)
            await server.client.send_input({"type": "websocket.connect"})
            await layer.until(lambda: bool(layer.members))
            await disconnect_user(ANNA)
            message = await server.receive()
            assert message["type"] == kind
            assert message.get("status", 401) == 401
            may_answer.set()
            await server.end()

    @pytest.mark.parametrize("code", [999, 1001, 2999, 5000, True, "4401", None])
    def test_codes_that_cannot_be_sent_are_refused(self, code: Any) -> None:
        with pytest.raises(ValueError, match="A close code is 1000 or"):
            disconnect_user(ANNA, code)

    @pytest.mark.parametrize("user", [AnonymousUser(), User(), None, "anna"])
    def test_an_unknown_user_is_refused(self, user: Any) -> None:
        with pytest.raises(ValueError, match="Expected a user"):
            disconnect_user(user)

    def test_it_needs_a_layer(self) -> None:
        expected = r"disconnect_user\(\) reaches sockets .* has no 'default'\. Add"
        with pytest.raises(InvalidChannelLayerError, match=expected):
            disconnect_user(ANNA)

    @pytest.mark.parametrize("layer", [BaseChannelLayer(), SimpleNamespace()])
    def test_it_needs_a_layer_with_groups(self, layer: Any) -> None:
        expected = r"disconnect_user\(\) needs .* with groups"
        with (
            default_layer(layer),
            pytest.raises(InvalidChannelLayerError, match=expected),
        ):
            disconnect_user(ANNA)

    def test_the_layer_need_not_list_its_groups(self) -> None:
        class Unlisted(GroupLayer):
            extensions: ClassVar[list[str]] = []

        with default_layer(Unlisted()) as layer:
            disconnect_user(ANNA)
        assert len(layer.sent) == 1


@pytest.mark.usefixtures("valid")
class TestMiddleware:
    async def test_frames_after_the_close_do_not_count(self, layer: GroupLayer) -> None:
        heard: list[str] = []

        class Listener(AsyncWebsocketConsumer):
            async def receive(
                self, text_data: str | None = None, bytes_data: bytes | None = None
            ) -> None:
                heard.append(str(text_data))
                await self.send(text_data="")

        server = serve(Listener)
        await server.connect()
        await server.ask("a")
        await disconnect_user(ANNA)
        assert await server.receive() == OVER
        await server.text("b")
        await server.text("c")
        await server.leave()
        assert heard == ["a"]
        assert await server.nothing()

    async def test_the_close_of_the_client_is_not_answered(self, layer: GroupLayer) -> None:
        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            left.set()
            await may_end.wait()

        left, may_end = asyncio.Event(), asyncio.Event()
        server = serve(slow)
        await server.connect()
        await server.client.send_input({"type": "websocket.disconnect", "code": 1000})
        await left.wait()
        await disconnect_user(ANNA)
        queue = layer.queues["specific.1!a"]
        await layer.until(lambda: queue.empty() and layer.calls.count("receive") == 2)
        may_end.set()
        await server.end()
        assert await server.nothing()

    @pytest.mark.parametrize("way", ["leave", "close", "error", "cancel"])
    async def test_every_way_out_leaves_nothing_behind(self, layer: GroupLayer, way: str) -> None:
        class Way(AsyncWebsocketConsumer):
            channel_layer_alias = None

            async def receive(
                self, text_data: str | None = None, bytes_data: bytes | None = None
            ) -> None:
                if way == "close":
                    await self.close()
                elif way == "error":
                    raise OSError("broken")

        server = serve(Way)
        await server.connect()
        assert layer.members == {user_group(ANNA): {"specific.1!a"}}
        if way == "cancel":
            server.client.future.cancel()
            await asyncio.wait([server.client.future])
        elif way == "error":
            await server.text("go")
            with pytest.raises(OSError, match="broken"):
                await server.end()
        else:
            await server.text("go")
            await server.leave()
        await layer.until(lambda: layer.calls[-1] == "forget_channel")
        assert layer.members == {}
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    async def test_other_connections_pass(self) -> None:
        async def inside(scope: Scope, receive: Receive, send: Send) -> Any:
            return scope

        application = EndsWithLoginMiddleware(inside)
        for scope in (http(), {"type": "lifespan"}):
            assert await application(scope, *_nowhere()) == scope

    async def test_nested_middleware_watches_once(self, layer: GroupLayer) -> None:
        server = serve(EndsWithLoginMiddleware(Echo))
        await server.connect()
        assert layer.calls.count("new_channel") == 2  # The consumer's own, and one more.
        await server.leave()

    async def test_nested_middleware_requires_a_user(self, layer: GroupLayer) -> None:
        async def forget(scope: Scope, receive: Receive, send: Send) -> Any:
            scope = {**scope, "user": None}
            return await EndsWithLoginMiddleware(bare)(scope, receive, send)

        with pytest.raises(ValueError, match="found no user in the scope"):
            await EndsWithLoginMiddleware(forget)(websocket(user=ANNA), *_nowhere())

    async def test_the_user_of_a_token_is_watched_from_outside(self, layer: GroupLayer) -> None:
        for inner in (Echo, EndsWithLoginMiddleware(Echo)):
            server = serve(TokenAuthMiddleware(inner, find), user=AnonymousUser(), **BEARING)
            await server.connect()
            assert list(layer.members) == [user_group(ANNA)]
            await disconnect_user(ANNA)
            assert await server.receive() == OVER
            await server.leave()

    async def test_a_user_set_between_nested_middleware_is_watched(self, layer: GroupLayer) -> None:
        async def between(scope: Scope, receive: Receive, send: Send) -> Any:
            return await EndsWithLoginMiddleware(Echo)({**scope, "user": ANNA}, receive, send)

        server = serve(between, user=User(pk=2, username="ben"))
        await server.connect()
        assert list(layer.members) == [user_group(ANNA)]
        await disconnect_user(ANNA)
        assert await server.receive() == OVER
        await server.leave()

    @pytest.mark.parametrize(
        ("outer", "inner"), [(None, 0.001), (1000, 0.001), (0.001, None), (0.001, 1000)]
    )
    async def test_the_shorter_interval_of_two_counts(
        self, layer: GroupLayer, monkeypatch: pytest.MonkeyPatch, outer: Any, inner: Any
    ) -> None:
        looks = 0

        async def login_holds(user: Any, session: Any) -> bool:
            nonlocal looks
            looks += 1
            return looks < 3

        monkeypatch.setattr("channels_auth._disconnection.login_watch.login_holds", login_holds)
        application = EndsWithLoginMiddleware(Echo, revalidate_every=inner)
        application = EndsWithLoginMiddleware(application, revalidate_every=outer)
        server = Server(application, websocket(user=ANNA))
        await server.connect()
        assert await server.receive() == OVER
        await server.leave()

    async def test_the_result_of_the_application_is_its_own(self, layer: GroupLayer) -> None:
        async def inside(scope: Scope, receive: Receive, send: Send) -> Any:
            return "inside"

        scope = websocket(user=ANNA)
        assert await EndsWithLoginMiddleware(inside)(scope, *_nowhere()) == "inside"
        assert scope == websocket(user=ANNA)

    @pytest.mark.parametrize("extra", [{}, {"user": None}])
    async def test_a_user_is_required(self, layer: GroupLayer, extra: Any) -> None:
        with pytest.raises(ValueError, match=r"found no user in the scope\. Put it inside"):
            await EndsWithLoginMiddleware(bare)(websocket(**extra), *_nowhere())

    @pytest.mark.parametrize("user", [ANNA, AnonymousUser()])
    async def test_a_layer_with_groups_is_required(self, user: Any) -> None:
        application = EndsWithLoginMiddleware(bare)
        with pytest.raises(InvalidChannelLayerError, match="EndsWithLoginMiddleware reaches"):
            await application(websocket(user=user), *_nowhere())
        with (
            default_layer(BaseChannelLayer()),
            pytest.raises(InvalidChannelLayerError, match="with groups"),
        ):
            await application(websocket(user=user), *_nowhere())

    @pytest.mark.parametrize("every", [0, -1, float("nan")])
    def test_an_interval_is_positive(self, every: Any) -> None:
        with pytest.raises(ValueError, match="revalidate_every is a positive number"):
            EndsWithLoginMiddleware(bare, revalidate_every=every)

    async def test_it_connects_the_receivers_once(
        self, layer: GroupLayer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_up()
        before = len(post_save.receivers)
        assert post_save.disconnect(sender=User, dispatch_uid="channels_auth._saved")
        with monkeypatch.context() as patch:
            patch.setattr(apps, "models_ready", False)
            application = EndsWithLoginMiddleware(bare)
        assert len(post_save.receivers) == before - 1
        await application(websocket(user=ANNA), *_nowhere())
        assert len(post_save.receivers) == before
        await application(websocket(user=ANNA), *_nowhere())
        assert len(post_save.receivers) == before


def _nowhere() -> tuple[Receive, Send]:
    async def receive() -> Message:
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        pass

    return receive, send


@pytest.mark.django_db(transaction=True)
class TestLogins:
    """Over the whole of the stack, with real sessions."""

    @pytest.fixture
    def anna(self) -> Any:
        return User.objects.create_user("anna", password="old")

    def cookies(self, user: Any) -> dict[str, str]:
        """Log in over HTTP, and return the cookies that the browser has from it."""
        return session_cookies(logged_in_request(user))

    def log_in_over(self, user: Any, cookies: dict[str, str]) -> None:
        """Log in over HTTP, in a browser that brings cookies."""
        request = HttpRequest()
        request.COOKIES = cookies
        [key] = cookies.values()
        request.session = http_session(key)
        auth.login(request, user, MODEL_BACKEND)

    def log_out(self, cookies: dict[str, str]) -> None:
        request = HttpRequest()
        [key] = cookies.values()
        request.session = http_session(key)
        request.user = auth.get_user(request)
        auth.logout(request)

    def run(self, test: Callable[..., Any], *args: Any) -> None:
        async_to_sync(test)(*args)

    def serve(self, consumer: Any, cookies: dict[str, str], **extra: Any) -> Server:
        stack = AuthMiddlewareStack(EndsWithLoginMiddleware(consumer, **extra))
        return Server(stack, websocket(cookies))

    @pytest.mark.parametrize("consumer", [Echo, SyncEcho])
    def test_a_logout_closes_the_sockets_of_the_session(
        self, layer: GroupLayer, anna: Any, consumer: Any
    ) -> None:
        async def test() -> None:
            tabs = [self.serve(consumer, here), self.serve(consumer, here)]
            elsewhere = self.serve(consumer, there)
            for server in (*tabs, elsewhere):
                await server.connect()
            await sync_to_async(self.log_out)(here)
            for tab in tabs:
                assert await tab.receive() == OVER
                await tab.leave()
            assert await elsewhere.ask("a") == "a anna"
            await elsewhere.leave()

        here, there = self.cookies(anna), self.cookies(anna)
        self.run(test)
        assert layer.members == {}

    @pytest.mark.parametrize("consumer", [Echo, SyncEcho])
    def test_a_logout_over_a_socket_lets_its_handler_finish(
        self, layer: GroupLayer, anna: Any, consumer: Any
    ) -> None:
        async def test() -> None:
            tabs = [self.serve(consumer, cookies), self.serve(consumer, cookies)]
            for tab in tabs:
                await tab.connect()
            assert await tabs[0].ask("logout") == "logout"
            for tab in tabs:
                assert await tab.receive() == OVER
                await tab.leave()
            assert not await Session.objects.aexists()

        cookies = self.cookies(anna)
        self.run(test)
        assert layer.members == {}

    @pytest.mark.parametrize("who", ["anna", "ben"])
    def test_a_login_as_another_user_closes_the_sockets_of_the_first(
        self, layer: GroupLayer, anna: Any, who: str
    ) -> None:
        async def test() -> None:
            server, elsewhere = self.serve(Echo, here), self.serve(Echo, there)
            await server.connect()
            await elsewhere.connect()
            await sync_to_async(self.log_in_over)(users[who], here)
            if who == "ben":
                assert await server.receive() == OVER
            else:
                # The browser has a new cookie, of the same user.
                assert await server.ask("a") == "a anna"
            assert await elsewhere.ask("a") == "a anna"
            for each in (server, elsewhere):
                await each.leave()

        users = {"anna": anna, "ben": User.objects.create_user("ben")}
        here, there = self.cookies(anna), self.cookies(anna)
        self.run(test)
        assert layer.members == {}

    def test_a_logout_by_a_token_closes_no_socket(self, layer: GroupLayer, anna: Any) -> None:
        def log_out() -> None:
            request = HttpRequest()
            request.session = import_module(settings.SESSION_ENGINE).SessionStore()
            request.user = anna
            auth.logout(request)

        async def test() -> None:
            server = self.serve(Echo, cookies)
            await server.connect()
            await sync_to_async(log_out)()
            assert layer.calls.count("group_send") == 1
            assert await server.ask("a") == "a anna"
            await server.leave()

        cookies = self.cookies(anna)
        self.run(test)

    def test_a_new_password_closes_all_sockets(self, layer: GroupLayer, anna: Any) -> None:
        async def test() -> None:
            servers = [self.serve(Echo, cookies) for cookies in (here, there)]
            for server in servers:
                await server.connect()
            anna.set_password("new")
            await anna.asave()
            for server in servers:
                assert await server.receive() == OVER
                await server.leave()

        here, there = self.cookies(anna), self.cookies(anna)
        self.run(test)

    def test_an_unchanged_password_closes_no_socket(self, layer: GroupLayer, anna: Any) -> None:
        async def test() -> None:
            server = self.serve(Echo, cookies)
            await server.connect()
            await stale.arefresh_from_db()
            await stale.asave()
            assert layer.calls.count("group_send") == 2
            assert await server.ask("a") == "a anna"
            await server.leave()

        stale = User.objects.get()
        anna.set_password("new")
        anna.save()
        cookies = self.cookies(anna)
        self.run(test)

    def test_a_login_over_the_socket_is_watched(self, layer: GroupLayer, anna: Any) -> None:
        async def test() -> None:
            stack = AuthMiddlewareStack(EndsWithLoginMiddleware(Echo))
            server = Server(stack, websocket(path="/login/"))
            assert (await server.connect())["type"] == "websocket.accept"
            assert user_group(anna) in layer.members
            assert await server.ask("a") == "a anna"
            await disconnect_user(anna)
            assert await server.receive() == OVER
            await server.leave()

        self.run(test)

    def test_an_expired_session_is_detected(self, layer: GroupLayer, anna: Any) -> None:
        async def test() -> None:
            server = self.serve(Echo, cookies, revalidate_every=0.01)
            await server.connect()
            assert await server.ask("a") == "a anna"
            await Session.objects.all().adelete()
            assert await server.receive() == OVER
            await server.leave()

        cookies = self.cookies(anna)
        self.run(test)

    def test_an_end_whose_message_the_layer_has_lost_is_detected(
        self, layer: GroupLayer, anna: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def test() -> None:
            server = self.serve(Echo, cookies)
            await server.connect()
            assert await server.ask("a") == "a anna"
            await Session.objects.all().adelete()
            await layer.lose()
            assert await server.receive() == OVER
            await server.leave()

        cookies = self.cookies(anna)
        self.run(test)
        assert caplog.records == []

    def test_a_logout_between_the_lookup_and_the_watch_is_detected(
        self, layer: GroupLayer, anna: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add = layer.group_add

        async def group_add(group: str, channel: str) -> None:
            await sync_to_async(self.log_out)(cookies)
            await add(group, channel)

        async def test() -> None:
            monkeypatch.setattr(layer, "group_add", group_add)
            server = self.serve(bare, cookies)
            await server.client.send_input({"type": "websocket.connect"})
            messages = [await server.receive()]
            if messages[0]["type"] == "websocket.accept":
                messages.append(await server.receive())
            assert messages[-1] == OVER
            await server.leave()

        cookies = self.cookies(anna)
        self.run(test)

    def test_a_logout_while_the_session_is_unsaved_is_detected(
        self, layer: GroupLayer, anna: Any
    ) -> None:
        async def changing(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await scope["session"].aset("visits", 1)
            # Nothing tells of this.
            await User.objects.aupdate(is_active=False)
            await asyncio.sleep(0)  # so that the look at the beginning comes too early
            await send({"type": "websocket.accept"})
            await receive()

        async def test() -> None:
            server = self.serve(changing, cookies)
            assert (await server.connect())["type"] == "websocket.accept"
            assert await server.receive() == OVER
            await server.leave()

        cookies = self.cookies(anna)
        self.run(test)

    def test_it_costs_two_more_queries(
        self, layer: GroupLayer, anna: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def noting(user: Any, session: Any) -> bool:
            holds = await login_holds(user, session)
            looked.set()
            return holds

        async def test(application: Any) -> None:
            server = Server(AuthMiddlewareStack(application), websocket(cookies))
            await server.connect()
            if application is not Echo:
                await looked.wait()
            await server.leave()

        looked = asyncio.Event()
        monkeypatch.setattr("channels_auth._disconnection.login_watch.login_holds", noting)
        cookies = self.cookies(anna)
        counts = []
        for application in (Echo, EndsWithLoginMiddleware(Echo)):
            with CaptureQueriesContext(connection) as queries:
                self.run(test, application)
            counts.append(len(queries))
        assert counts[1] - counts[0] == 2


@pytest.mark.usefixtures("valid")
class TestOutageOfTheLayer:
    async def test_a_handshake_is_refused(
        self, layer: GroupLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        layer.faults["group_add"] = ConnectionError("no store")
        application = ProtocolTypeRouter({"websocket": EndsWithLoginMiddleware(Echo)})
        scope = websocket(user=ANNA, extensions=DENIAL, asgi={"version": "3.0"})
        server = Server(application, scope)
        assert (await server.connect())["status"] == 503
        await server.end()
        (record,) = caplog.records
        assert record.getMessage().startswith("The channel layer fails")
        assert record.exc_info is None
