from typing import Any

import pytest

from channels_core._routing.defaults import DjangoApplication
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Receive, Scope, Send


async def none(*message: Any) -> Any:
    raise NotImplementedError


async def made(scope: Scope, receive: Receive, send: Send) -> Any:
    return "django"


async def test_it_is_made_once_and_not_before_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    def get_asgi_application() -> Any:
        calls.append("made")
        return made

    monkeypatch.setattr("django.core.asgi.get_asgi_application", get_asgi_application)
    router = ProtocolTypeRouter({})
    assert not calls
    assert await router({"type": "http"}, none, none) == "django"
    assert await router({"type": "http"}, none, none) == "django"
    assert calls == ["made"]


async def test_two_first_requests_at_once_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second thread waits for the lock while the first one makes the application."""

    class Lock:
        def __enter__(self) -> None:
            application._application = made

        def __exit__(self, *exc_info: object) -> None:
            pass

    def get_asgi_application() -> Any:
        raise NotImplementedError

    monkeypatch.setattr("django.core.asgi.get_asgi_application", get_asgi_application)
    application = DjangoApplication()
    monkeypatch.setattr(application, "_lock", Lock())
    assert await application({"type": "http"}, none, none) == "django"


async def test_a_failure_is_no_reason_not_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise LookupError

    monkeypatch.setattr("django.core.asgi.get_asgi_application", fail)
    router = ProtocolTypeRouter({})
    with pytest.raises(LookupError):
        await router({"type": "http"}, none, none)
    monkeypatch.setattr("django.core.asgi.get_asgi_application", lambda: made)
    assert await router({"type": "http"}, none, none) == "django"
