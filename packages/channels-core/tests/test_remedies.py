from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.utils.asyncio import async_unsafe

from channels_core._remedies import explain, explain_missing_key, explain_missing_layer
from channels_core.consumer import AsyncConsumer, SyncConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.layers import get_channel_layer
from channels_core.typing import Message, Scope
from fakes import LocalLayer, Server


class ReadingUser(AsyncConsumer):
    async def websocket_connect(self, message: Message) -> None:
        self.scope["user"]


class SyncReadingUser(SyncConsumer):
    def websocket_connect(self, message: Message) -> None:
        self.scope["user"]


class Sending(AsyncConsumer):
    async def websocket_connect(self, message: Message) -> None:
        await self.channel_layer.group_send("a", {"type": "b"})


class SyncSending(SyncConsumer):
    def websocket_connect(self, message: Message) -> None:
        async_to_sync(self.channel_layer.group_send)("a", {"type": "b"})


class Asking(AsyncConsumer):
    async def websocket_connect(self, message: Message) -> None:
        layer: Any = get_channel_layer()
        await layer.group_send("a", {"type": "b"})


class OfAnother(Sending):
    channel_layer_alias = "other"


class WithoutLayer(Sending):
    channel_layer_alias = None


def error_of(thing: Any, name: str) -> AttributeError:
    with pytest.raises(AttributeError) as caught:
        getattr(thing, name)
    return caught.value


class TestMissingKey:
    @pytest.mark.parametrize("consumer", [ReadingUser, SyncReadingUser])
    async def test_a_consumer_without_auth_middleware_is_told_of_it(
        self, consumer: Any, caplog: pytest.LogCaptureFixture
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
    def test_which_errors_get_a_note(
        self, error: Exception, scope: Scope, named: str | None
    ) -> None:
        before = type(error), error.args
        explain_missing_key(error, scope)
        assert (type(error), error.args) == before
        notes = getattr(error, "__notes__", [])
        assert len(notes) == (named is not None)
        assert all(str(named) in note for note in notes)


class TestMissingLayer:
    @pytest.mark.parametrize(
        ("consumer", "told"),
        [
            (Sending, "CHANNEL_LAYERS has no alias 'default'; the aliases there are: none."),
            (SyncSending, "CHANNEL_LAYERS has no alias 'default'; the aliases there are: none."),
            (Asking, "CHANNEL_LAYERS has no alias 'default'; the aliases there are: none."),
            (OfAnother, "CHANNEL_LAYERS has no alias 'other'; the aliases there are: none."),
            (WithoutLayer, "its channel_layer_alias is None."),
        ],
    )
    async def test_the_error_says_which_alias_is_missing(
        self, consumer: Any, told: str, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.CHANNEL_LAYERS = {}
        server = Server(consumer.as_asgi(), {"type": "websocket", "path": "/"})
        await server.connect()
        with pytest.raises(AttributeError) as caught:
            await server.end()
        assert str(caught.value) == "'NoneType' object has no attribute 'group_send'"
        [note] = caught.value.__notes__
        assert note.startswith(f"{consumer.__name__} has no channel layer: {told} ")
        assert note in caplog.text

    @pytest.mark.parametrize(
        "error",
        [
            error_of(None, "username"),
            error_of(object(), "group_send"),
            AttributeError("'NoneType' object has no attribute"),
            KeyError("group_send"),
        ],
    )
    def test_other_errors_get_no_note(self, error: Exception) -> None:
        explain_missing_layer(error, Sending())
        assert not hasattr(error, "__notes__")

    def test_one_with_a_layer_gets_no_note(self) -> None:
        consumer: Any = Sending()
        consumer.channel_layer = LocalLayer()
        error = error_of(None, "group_send")
        explain_missing_layer(error, consumer)
        assert not hasattr(error, "__notes__")


class TestSyncQuery:
    async def test_the_error_says_how_an_async_handler_asks(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Counting(AsyncConsumer):
            async def websocket_connect(self, message: Message) -> None:
                async_unsafe(lambda: None)()

        server = Server(Counting.as_asgi(), {"type": "websocket", "path": "/"})
        await server.connect()
        with pytest.raises(SynchronousOnlyOperation, match="You cannot call this") as caught:
            await server.end()
        [note] = caught.value.__notes__
        assert "await User.objects.acount()" in note
        assert note in caplog.text


class Forgotten(AsyncWebsocketConsumer):
    def connect(self) -> None:  # type: ignore[override] # the mistake
        pass


class AwaitingNothing(AsyncConsumer):
    async def websocket_connect(self, message: Message) -> None:
        nothing: Any = None
        await nothing


class TestWrongColour:
    async def fail(self, consumer: Any) -> TypeError:
        server = Server(consumer.as_asgi(), {"type": "websocket", "path": "/"})
        await server.connect()
        with pytest.raises(TypeError, match="await") as caught:
            await server.end()
        return caught.value

    async def test_the_error_says_that_a_handler_is_not_async(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        [note] = (await self.fail(Forgotten)).__notes__
        assert note.startswith("Forgotten is an asynchronous consumer")
        assert note in caplog.text

    async def test_a_mistake_in_the_handler_gets_no_note(self) -> None:
        assert not hasattr(await self.fail(AwaitingNothing), "__notes__")

    @pytest.mark.parametrize("error", [TypeError("await"), TypeError("other"), ValueError("await")])
    def test_other_errors_get_no_note(self, error: Exception) -> None:
        explain(error, Forgotten())
        assert not hasattr(error, "__notes__")
