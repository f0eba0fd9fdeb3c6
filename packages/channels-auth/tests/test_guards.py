import io
import logging
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth import models as auth
from django.contrib.auth.decorators import login_required as django_login_required
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix, path, reverse_lazy, set_script_prefix

from channels_auth._challenges import add_challenges
from channels_auth.guards import login_required, permission_required
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_core.typing import Message, Receive, Scope, Send

# A safety net, for a loaded machine.
SECONDS = 30

DENIAL: dict[str, Any] = {"websocket.http.response": {}}


async def inside(scope: Scope, receive: Receive, send: Send) -> str:
    """Accept or answer, and return that it ran."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})
    return "inside"


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("accounts/log-in/", view, name="log-in")]


@pytest.fixture(autouse=True)
def _urls(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["testserver"]


def somebody(**fields: Any) -> Any:
    return get_user_model()(username="anna", is_active=True, **fields)


def http(user: Any = None, **extra: Any) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/rooms/",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "user": user or auth.AnonymousUser(),
        **extra,
    }


def websocket(user: Any = None, **extra: Any) -> Scope:
    return {
        "type": "websocket",
        "path": "/rooms/",
        "headers": [],
        "user": user or auth.AnonymousUser(),
        **extra,
    }


async def answer(application: Any, scope: Scope) -> list[Message]:
    """Return everything that an application sends."""
    link = ApplicationCommunicator(application, scope)
    if scope["type"] == "websocket":
        await link.send_input({"type": "websocket.connect"})
    await link.wait(SECONDS)
    return [link.output_queue.get_nowait() for _ in range(link.output_queue.qsize())]


async def status(application: Any, scope: Scope) -> int:
    messages = await answer(application, scope)
    return int(messages[0]["status"])


async def location(application: Any, scope: Scope) -> str:
    start, body = await answer(application, scope)
    assert (start["status"], body["body"]) == (302, b"")
    return str(dict(start["headers"])[b"location"], "ascii")


async def may_pass(application: Any, scope: Scope) -> bool:
    messages = await answer(application, scope)
    return messages[0]["type"] == "websocket.accept" or messages[0].get("status") == 200


class TestLogin:
    @pytest.mark.parametrize("scope", [http, websocket])
    async def test_a_user_passes(self, scope: Any) -> None:
        assert await may_pass(login_required(inside), scope(somebody()))

    async def test_an_anonymous_websocket_is_refused_with_a_status(self) -> None:
        start, body = await answer(login_required(never), websocket(extensions=DENIAL))
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
        assert body["body"] == b"Unauthorized"

    async def test_an_anonymous_websocket_is_closed_where_the_server_has_no_status(self) -> None:
        for raise_exception in (False, True):
            guarded = login_required(never, raise_exception=raise_exception)
            assert await answer(guarded, websocket()) == [{"type": "websocket.close", "code": 4401}]

    async def test_an_anonymous_request_goes_to_the_login_page(self) -> None:
        assert await location(login_required(never), http()) == "/accounts/login/?next=/rooms/"

    async def test_an_anonymous_request_is_refused_if_asked_to(self) -> None:
        guarded = login_required(never, raise_exception=True)
        start, body = await answer(guarded, http())
        assert (start["status"], body["body"]) == (401, b"Unauthorized")

    async def test_a_head_request_is_answered_without_a_body(self) -> None:
        guarded = login_required(never, raise_exception=True)
        start, body = await answer(guarded, http(method="HEAD"))
        assert (start["status"], body["body"]) == (401, b"")

    async def test_what_the_application_returns_is_returned(self) -> None:
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        receive: Any = None
        guarded: Any = login_required(inside)
        assert await guarded(http(somebody()), receive, send) == "inside"

    async def test_a_client_that_has_left_is_no_error(self) -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            raise OSError

        await login_required(never)(websocket(), receive, send)


class TestChallenge:
    """The `WWW-Authenticate` headers of a refusal."""

    async def challenges(self, scope: Scope, *, raise_exception: bool = True) -> list[bytes]:
        guarded = login_required(never, login_url="/in/", raise_exception=raise_exception)
        [start, *_] = await answer(guarded, scope)
        return [value for name, value in start["headers"] if name == b"www-authenticate"]

    @pytest.mark.parametrize("scope", [http(), websocket(extensions=DENIAL)])
    async def test_a_refusal_has_a_challenge(self, scope: Scope) -> None:
        assert await self.challenges(scope) == [b"Cookie"]
        scope = dict(scope)
        add_challenges(scope, ["Bearer"])
        assert await self.challenges(scope) == [b"Bearer"]

    async def test_a_redirect_has_no_challenge(self) -> None:
        assert await self.challenges(http(), raise_exception=False) == []


class TestLoginPage:
    async def test_where_it_is(self, settings: Any) -> None:
        settings.LOGIN_URL = "log-in"
        named = "/accounts/log-in/?next=/rooms/"
        assert await location(login_required(never), http()) == named
        settings.LOGIN_URL = "/in/"
        assert await location(login_required(never), http()) == "/in/?next=/rooms/"
        for url in ("log-in", reverse_lazy("log-in")):
            assert await location(login_required(never, login_url=url), http()) == named

    async def test_a_login_page_is_required(self, settings: Any) -> None:
        settings.LOGIN_URL = None
        with pytest.raises(ImproperlyConfigured, match="LOGIN_URL"):
            await answer(login_required(never), http())

    async def test_a_named_page_is_below_the_root_path(self) -> None:
        guarded = login_required(never, login_url="log-in")
        scope = http(root_path="/site", path="/site/rooms/")
        assert await location(guarded, scope) == "/site/accounts/log-in/?next=/site/rooms/"
        assert get_script_prefix() == "/"

    async def test_the_way_back_has_the_query(self) -> None:
        scope = http(query_string=b"q=tea&next=//evil.example/", path="/räume/")
        url = urlsplit(await location(login_required(never), scope))
        back = "/r%C3%A4ume/?q=tea&next=//evil.example/"
        assert (url.netloc, parse_qs(url.query)) == ("", {"next": [back]})

    @pytest.mark.parametrize(
        ("login_url", "back"),
        [
            ("https://id.example/in/", "http://testserver/rooms/"),
            ("https://testserver/in/", "http://testserver/rooms/"),
            ("http://testserver/in/", "/rooms/"),
            ("//testserver/in/", "/rooms/"),
        ],
    )
    async def test_from_another_site_the_way_back_is_a_full_address(
        self, login_url: str, back: str
    ) -> None:
        url = await location(login_required(never, login_url=login_url), http())
        assert url.partition("?")[0] == login_url
        assert parse_qs(urlsplit(url).query) == {"next": [back]}

    async def test_the_parameter_can_be_renamed_or_omitted(self) -> None:
        guarded = login_required(never, login_url="/in/?a=b", redirect_field_name="back")
        assert await location(guarded, http()) == "/in/?a=b&back=/rooms/"
        guarded = login_required(never, redirect_field_name=None)
        assert await location(guarded, http()) == "/accounts/login/"

    @pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "delete"])
    async def test_every_method_is_redirected(self, method: str) -> None:
        url = await location(login_required(never), http(method=method))
        assert url == "/accounts/login/?next=/rooms/"

    @pytest.mark.parametrize(
        "extra",
        [
            {"headers": [(b"host", b"evil.example")]},
            {"headers": [(b"host", b"testserver"), (b"host", b"evil.example")]},
            {"headers": [(b"host", b"a\r\nb")]},
            {"query_string": b"\xff"},
        ],
    )
    async def test_a_hostile_request_gets_status_400(self, extra: Any) -> None:
        start, body = await answer(login_required(never), http(**extra))
        assert (start["status"], body["body"]) == (400, b"Bad Request")
        assert get_script_prefix() == "/"

    @pytest.mark.parametrize(
        "extra",
        [
            {},
            {"path": "/a b/", "query_string": b"x=1&y=%20"},
            {"root_path": "/site", "path": "/site/x"},
            {"scheme": "https"},
            {"method": "POST"},
            {"path": "//evil.example/"},
        ],
    )
    @pytest.mark.parametrize("login_url", [None, "log-in", "https://testserver/in/?a=b", "../in"])
    async def test_the_answer_equals_djangos(self, extra: Any, login_url: str | None) -> None:
        scope = http(**extra)
        set_script_prefix(scope.get("root_path", "") or "/")
        request = ASGIRequest(scope, io.BytesIO())
        request.user = scope["user"]
        expected = django_login_required(view, login_url=login_url)(request)
        set_script_prefix("/")
        guarded = login_required(never, login_url=login_url)
        start, _ = await answer(guarded, scope)
        assert start["status"] == expected.status_code
        assert dict(start["headers"])[b"location"].decode() == expected["Location"]


class TestPermission:
    async def test_a_user_with_the_permission_passes(self) -> None:
        guarded = permission_required("chat.add_room", inside)
        for scope in (http, websocket):
            assert await may_pass(guarded, scope(somebody(is_superuser=True)))

    @pytest.mark.django_db(transaction=True)
    async def test_all_permissions_are_required(self) -> None:
        user = await get_user_model().objects.acreate_user("ben", password="x")
        both = ["auth.view_group", "auth.add_group"]
        for name in ("view_group", "add_group"):
            user = await get_user_model().objects.aget(pk=user.pk)  # Without cached permissions.
            assert not await may_pass(permission_required(both, inside), websocket(user))
            assert not await may_pass(permission_required(iter(both), inside), websocket(user))
            permission = await auth.Permission.objects.aget(codename=name)
            await user.user_permissions.aadd(permission)
        user = await get_user_model().objects.aget(pk=user.pk)
        assert await may_pass(permission_required(both, inside), websocket(user))

    @pytest.mark.django_db(transaction=True)
    async def test_a_user_without_the_permission_is_refused(self) -> None:
        user = await get_user_model().objects.acreate_user("ben", password="x")
        guarded = permission_required("auth.view_group", never)
        assert await answer(guarded, websocket(user)) == [{"type": "websocket.close", "code": 4403}]
        start, body = await answer(guarded, websocket(user, extensions=DENIAL))
        assert (start["status"], body["body"]) == (403, b"Forbidden")
        assert await status(guarded, http(user)) == 403

    async def test_anonymous_users_are_asked_to_log_in(self) -> None:
        guarded = permission_required("auth.view_group", never, login_url="/in/")
        assert await location(guarded, http()) == "/in/?next=/rooms/"
        assert await answer(guarded, websocket()) == [{"type": "websocket.close", "code": 4401}]
        guarded = permission_required("auth.view_group", never, raise_exception=True)
        assert await status(guarded, http()) == 401

    async def test_anonymous_users_may_have_the_permission_as_in_django(
        self, settings: Any
    ) -> None:
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Generous"]
        guarded = permission_required("chat.read", inside)
        assert await may_pass(guarded, websocket())
        assert not await may_pass(permission_required("chat.write", inside), websocket())

    async def test_a_user_model_may_decide_for_itself(self) -> None:
        """Django's `ahas_perms` would pass it over, and ask the backends alone."""

        class Suspended:
            is_authenticated = True

            def has_perms(self, perms: Any, obj: Any = None) -> bool:
                return False

            async def ahas_perms(self, perms: Any, obj: Any = None) -> bool:
                raise NotImplementedError

        guarded = permission_required("a.b", never)
        assert await answer(guarded, websocket(Suspended())) == [
            {"type": "websocket.close", "code": 4403}
        ]

    @pytest.mark.parametrize("wrong", [5, ["chat.read", None], inside, None])
    def test_a_permission_is_a_str(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"expects a permission such as 'chat\.add_room'"):
            permission_required(wrong)

    def test_a_permission_is_required(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="would let every user pass"):
            permission_required([])


class Generous:
    """A backend that lets everybody read."""

    def has_perm(self, user: Any, perm: str, obj: Any = None) -> bool:
        return perm == "chat.read"


class Hello(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept(self.scope["url_route"]["kwargs"].get("name"))
        await self.close()


class TestApplications:
    async def test_both_can_be_used_as_decorators(self) -> None:
        for decorator in (
            login_required,
            login_required(),
            login_required(login_url="/in/"),
            permission_required("a.b"),
            permission_required("a.b", login_url="/in/"),
        ):
            guarded: Any = decorator(inside)
            assert await may_pass(guarded, websocket(somebody(is_superuser=True)))
            assert not await may_pass(guarded, websocket())
        assert await location(permission_required("a.b", login_url="/in/")(never), http()) == (
            "/in/?next=/rooms/"
        )

    @pytest.mark.parametrize("application", [Hello, Hello.as_asgi()])
    async def test_a_consumer_and_a_router_may_stand_inside(self, application: Any) -> None:
        rooms = login_required(URLRouter([path("<name>/", application)]))
        router = ProtocolTypeRouter({"websocket": URLRouter([path("rooms/", rooms)])})
        for user, kind in ((somebody(), "websocket.accept"), (None, "websocket.close")):
            link = ApplicationCommunicator(router, websocket(user, path="/rooms/tea/"))
            await link.send_input({"type": "websocket.connect"})
            first = await link.receive_output(SECONDS)
            assert first["type"] == kind
            if user:
                assert first["subprotocol"] == "tea"
                await link.send_input({"type": "websocket.disconnect", "code": 1000})
            await link.wait(SECONDS)

    async def test_a_two_step_application_may_stand_inside(self) -> None:
        class TwoSteps:
            def __init__(self, scope: Scope) -> None:
                self.scope = scope

            async def __call__(self, receive: Receive, send: Send) -> None:
                await inside(self.scope, receive, send)

        assert await may_pass(login_required(TwoSteps), websocket(somebody()))

    async def test_the_scope_is_copied(self) -> None:
        async def changing(scope: Scope, receive: Receive, send: Send) -> None:
            scope["path"] = ""

        scope = websocket(somebody())
        await answer(login_required(changing), scope)
        assert scope["path"] == "/rooms/"

    async def test_a_non_application_is_refused_at_once(self) -> None:
        with pytest.raises(TypeError, match="Expected an ASGI application"):
            login_required("/in/")
        with pytest.raises(TypeError, match="Expected an ASGI application"):
            permission_required("a.b", "c.d")

    async def test_none_is_refused_at_once(self) -> None:
        for guard in (login_required, partial(permission_required, "a.b")):
            with pytest.raises(TypeError, match=r"Expected an ASGI application .* got None"):
                guard(None)

    @pytest.mark.parametrize("extra", [{}, {"user": None}])
    async def test_a_user_is_needed_in_the_scope(self, extra: Any) -> None:
        scope = {"type": "websocket", "path": "/", **extra}
        with pytest.raises(ValueError, match=r"login_required found no user .*AuthMiddlewareStack"):
            await answer(login_required(never), scope)
        with pytest.raises(ValueError, match="permission_required found no user in the scope of"):
            await answer(permission_required("a.b", never), scope)

    async def test_lifespan_passes(self) -> None:
        unused: Any = None
        guarded: Any = login_required(inside)
        assert await guarded({"type": "lifespan"}, unused, unused) == "inside"

    async def test_other_scopes_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="type 'channel' has no user"):
            await answer(login_required(never), {"type": "channel", "channel": "a"})


class TestLog:
    async def test_a_refusal_is_logged_in_one_line(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "django.channels")
        await answer(login_required(never), websocket(path="/a\nb/" + "x" * 500))
        [line] = caplog.messages
        assert line.startswith(r"websocket '/a\nb/xxx")
        assert line.endswith(" was refused with status 401")
        assert len(line) < 300

    async def test_a_redirect_is_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "django.channels")
        await answer(login_required(never), http())
        await answer(login_required(inside), http(somebody()))
        assert not caplog.records
