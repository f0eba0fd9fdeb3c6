from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.core import checks
from django.core.checks.registry import registry
from django.test import override_settings
from django.urls import path

from channels_auth.auth import AuthMiddleware, AuthMiddlewareStack
from channels_auth.checks import (
    check_login_tokens,
    check_middleware,
    check_origins,
    register_checks,
)
from channels_auth.cookies import CookieMiddleware
from channels_auth.disconnection import EndsWithLoginMiddleware
from channels_auth.guards import login_required, permission_required
from channels_auth.sessions import SessionMiddleware, SessionMiddlewareStack
from channels_auth.tokens import TokenAuthMiddleware
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels_core.security.websocket import AllowedHostsOriginValidator

Check = Callable[[Any], list[str | None]]


class Chat(AsyncWebsocketConsumer):
    """What all the middleware stands around."""


class Own(BaseMiddleware):
    """A program's own middleware, which may add anything to the scope."""


class OwnAuth(AuthMiddleware):
    """A program's own way to find a user."""


class OwnToken(TokenAuthMiddleware):
    """A program's own way to find a user by a token."""


def find(token: str, scope: Any) -> None:
    """Find nobody."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that puts an application where the settings name one."""
    module = ModuleType("a_site")
    monkeypatch.setitem(__import__("sys").modules, "a_site", module)

    def serve(application: Any) -> None:
        module.application = application  # type: ignore[attr-defined] # a program's module has it

    with override_settings(ASGI_APPLICATION="a_site.application"):
        yield serve


def found(messages: list[checks.CheckMessage]) -> list[str | None]:
    for message in messages:
        assert message.hint
        assert "Documentation: page " in message.hint
    return [message.id for message in messages]


class TestMiddleware:
    @pytest.mark.parametrize(
        "application",
        [
            Chat,
            CookieMiddleware(Chat),
            SessionMiddlewareStack(Chat),
            AuthMiddlewareStack(URLRouter([path("a/", Chat.as_asgi())])),
            AuthMiddlewareStack(Chat, ends_with_login=True),
            AuthMiddlewareStack(SessionMiddlewareStack(AuthMiddleware(Chat))),
            CookieMiddleware(URLRouter([path("a/", SessionMiddleware(AuthMiddleware(Chat)))])),
            TokenAuthMiddleware(EndsWithLoginMiddleware(Chat), find),
            SessionMiddlewareStack(TokenAuthMiddleware(EndsWithLoginMiddleware(Chat), find)),
            SessionMiddlewareStack(OwnAuth(EndsWithLoginMiddleware(Chat))),
            AuthMiddlewareStack(TokenAuthMiddleware(Chat, find)),
            AuthMiddlewareStack(TokenAuthMiddleware(AuthMiddlewareStack(Chat), find)),
            TokenAuthMiddleware(AuthMiddlewareStack(Chat), find, required=True),
            AuthMiddlewareStack(URLRouter([path("a/", login_required(Chat))])),
            TokenAuthMiddleware(permission_required("a.b", Chat), find),
            SessionMiddlewareStack(OwnAuth(login_required(Chat))),
        ],
    )
    def test_it_accepts_middleware_in_the_right_order(self, served: Any, application: Any) -> None:
        served(application)
        assert check_middleware() == []

    @pytest.mark.parametrize(
        ("application", "ids"),
        [
            (AuthMiddleware(Chat), ["E001"]),
            (CookieMiddleware(AuthMiddleware(SessionMiddleware(Chat))), ["E001"]),
            (SessionMiddleware(AuthMiddleware(Chat)), ["E002"]),
            (SessionMiddleware(CookieMiddleware(Chat)), ["E002"]),
            (EndsWithLoginMiddleware(Chat), ["E003"]),
            (EndsWithLoginMiddleware(AuthMiddlewareStack(Chat)), ["E003"]),
            (TokenAuthMiddleware(AuthMiddlewareStack(Chat), find), ["E005"]),
            (TokenAuthMiddleware(CookieMiddleware(AuthMiddlewareStack(Chat)), find), ["E005"]),
            (login_required(Chat), ["E006"]),
            (SessionMiddlewareStack(login_required(Chat)), ["E006"]),
            (permission_required("a.b", AuthMiddlewareStack(Chat)), ["E006"]),
            (
                EndsWithLoginMiddleware(AuthMiddleware(SessionMiddleware(Chat))),
                ["E001", "E002", "E003"],
            ),
        ],
    )
    def test_it_reports_each_fault(self, served: Any, application: Any, ids: list[str]) -> None:
        served(ProtocolTypeRouter({"http": Chat, "websocket": application}))
        messages = check_middleware()
        assert found(messages) == [f"channels_auth.{each}" for each in ids]
        assert all(message.is_serious() for message in messages)

    def test_it_reports_each_fault_once(self, served: Any) -> None:
        served(URLRouter([path(name, AuthMiddleware(Chat)) for name in ("a/", "b/")]))
        assert found(check_middleware()) == ["channels_auth.E001"]

    @pytest.mark.parametrize(
        "application",
        [
            Own(AuthMiddleware(Chat)),
            CookieMiddleware(Own(AuthMiddleware(Chat))),
            Own(SessionMiddleware(Chat)),
            Own(EndsWithLoginMiddleware(Chat)),
            OwnAuth(Chat),
            Own(login_required(Chat)),
            OwnToken(AuthMiddlewareStack(Chat), find),
            Own(TokenAuthMiddleware(AuthMiddlewareStack(Chat), find)),
            TokenAuthMiddleware(Own(AuthMiddlewareStack(Chat)), find),
        ],
    )
    def test_it_trusts_the_programs_own_middleware(self, served: Any, application: Any) -> None:
        served(application)
        assert check_middleware() == []

    @pytest.mark.parametrize("engine", ["db", "cached_db", "cache"])
    def test_sessions_in_a_table_need_the_table(
        self, served: Any, engine: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served(SessionMiddlewareStack(Chat))
        with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
            assert check_middleware() == []
            monkeypatch.setattr(apps, "is_installed", lambda name: False)
            expected = [] if engine == "cache" else ["channels_auth.E004"]
            assert found(check_middleware()) == expected


class TestOrigins:
    @pytest.mark.parametrize(
        "application",
        [
            Chat,
            CookieMiddleware(Chat),
            TokenAuthMiddleware(Chat, find),
            AllowedHostsOriginValidator(AuthMiddlewareStack(Chat)),
            AuthMiddlewareStack(AllowedHostsOriginValidator(Chat)),
            ProtocolTypeRouter({"http": AuthMiddlewareStack(Chat)}),
            AuthMiddlewareStack(ChannelNameRouter({"jobs": Chat})),
            ProtocolTypeRouter(
                {"websocket": AllowedHostsOriginValidator(SessionMiddlewareStack(Chat))}
            ),
            URLRouter([path("a/", AllowedHostsOriginValidator(AuthMiddlewareStack(Chat)))]),
        ],
    )
    def test_it_accepts_applications_with_a_validator(self, served: Any, application: Any) -> None:
        served(application)
        assert check_origins() == []

    @pytest.mark.parametrize(
        "application",
        [
            AuthMiddlewareStack(Chat),
            SessionMiddlewareStack(Chat),
            Own(OwnAuth(Chat)),
            ProtocolTypeRouter({"websocket": AuthMiddlewareStack(Chat)}),
            AuthMiddlewareStack(ProtocolTypeRouter({"websocket": Chat})),
        ],
    )
    def test_it_warns_of_applications_without_a_validator(
        self, served: Any, application: Any
    ) -> None:
        served(application)
        messages = check_origins()
        assert found(messages) == ["channels_auth.W001"]
        assert messages[0].level == checks.WARNING
        assert f"{__name__}.Chat." in messages[0].msg

    def test_it_names_a_few_of_many(self, served: Any) -> None:
        guarded = AllowedHostsOriginValidator(Chat)
        others = [type(f"Chat{number}", (Chat,), {}) for number in range(7)]
        routes = [path("a/", guarded)]
        routes += [path(each.__name__, each.as_asgi()) for each in others]  # type: ignore[attr-defined] # a consumer
        served(AuthMiddlewareStack(URLRouter(routes)))
        [message] = check_origins()
        assert message.msg.count(f"{__name__}.") == 5
        assert message.msg.endswith(" and 2 more.")


@pytest.mark.parametrize("name", [None, "nothing", "no_such_module.application", "a_site.broken"])
def test_a_failing_import_is_left_to_other_checks(served: Any, name: Any) -> None:
    with override_settings(ASGI_APPLICATION=name):
        assert check_middleware() == []
        assert check_origins() == []


def test_a_module_that_exits_does_not_end_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_site_that_exits.py").write_text("import sys; sys.exit('not today')")
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(ASGI_APPLICATION="a_site_that_exits.application"):
        assert check_middleware() == []
        assert check_origins() == []


@pytest.mark.parametrize("cache", ["locmem.LocMemCache", "dummy.DummyCache"])
@pytest.mark.parametrize("model", ["auth.User", "accounts.Guest", "no.Such"])
def test_something_remembers_the_used_login_tokens(settings: Any, model: str, cache: str) -> None:
    settings.AUTH_USER_MODEL = model
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{cache}"}}
    forgets = (model, cache) == ("accounts.Guest", "dummy.DummyCache")
    ids = [message.id for message in check_login_tokens()]
    assert ids == (["channels_auth.W002"] if forgets else [])


def test_they_are_registered_once() -> None:
    register_checks()
    before = len(registry.registered_checks), len(registry.deployment_checks)
    register_checks()
    assert (len(registry.registered_checks), len(registry.deployment_checks)) == before
    every: Any = registry.registered_checks | registry.deployment_checks
    ours = [check for check in every if check.__module__ == "channels_auth.apps"]
    assert {check.__name__: check.tags for check in ours} == {
        "_check_login_tokens": ("channels", "security"),
        "_check_middleware": ("channels",),
        "_check_origins": ("channels", "security"),
    }


def test_django_runs_them(served: Any) -> None:
    register_checks()
    served(AuthMiddleware(AuthMiddlewareStack(Chat)))
    ids = [message.id for message in checks.run_checks(tags=["channels"])]
    assert ids == ["channels_auth.E001"]
    ids = [m.id for m in checks.run_checks(tags=["channels"], include_deployment_checks=True)]
    assert sorted(map(str, ids)) == ["channels_auth.E001", "channels_auth.W001"]
