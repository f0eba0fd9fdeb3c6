from typing import Any

import pytest

from channels_core._missing_keys import explain_missing_key
from channels_core.consumer import AsyncConsumer, SyncConsumer
from channels_core.typing import Message, Scope
from fakes import Server


class Asking(AsyncConsumer):
    async def websocket_connect(self, message: Message) -> None:
        self.scope["user"]


class SyncAsking(SyncConsumer):
    def websocket_connect(self, message: Message) -> None:
        self.scope["user"]


@pytest.mark.parametrize("consumer", [Asking, SyncAsking])
async def test_a_consumer_without_auth_middleware_is_told_of_it(
    consumer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(consumer.as_asgi(), {"type": "websocket", "path": "/"})
    await server.connect()
    with pytest.raises(KeyError) as caught:
        await server.end()
    assert caught.value.args == ("user",)
    [note] = caught.value.__notes__
    assert "wrap the application in AuthMiddlewareStack" in note
    assert note in caplog.text


@pytest.mark.parametrize(
    ("error", "scope", "named"),
    [
        (KeyError("session"), {}, "SessionMiddlewareStack"),
        (KeyError("cookies"), {}, "CookieMiddleware"),
        (KeyError("user"), {"user": None}, None),
        (KeyError("other"), {}, None),
        (KeyError(["user"]), {}, None),
        (KeyError(), {}, None),
        (KeyError("user", "b"), {}, None),
        (LookupError("user"), {}, None),
    ],
)
def test_which_errors_get_a_note(error: Exception, scope: Scope, named: str | None) -> None:
    before = type(error), error.args
    explain_missing_key(error, scope)
    assert (type(error), error.args) == before
    notes = getattr(error, "__notes__", [])
    assert len(notes) == (named is not None)
    assert all(str(named) in note for note in notes)
