import json
from typing import Any

import pytest

from channels_core.consumer import AsyncConsumer, hook
from channels_core.exceptions import DenyConnection, InvalidFrame
from channels_core.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels_core.typing import Message
from colours import both_colours, consumer, throw
from fakes import LocalLayer, Server


class TestOptions:
    async def test_they_are_inherited_and_may_be_replaced(self) -> None:
        class Chat(AsyncJsonWebsocketConsumer, max_message_size=10, json_encoder=json.JSONEncoder):
            pass

        class Quiet(Chat):
            pass

        class Loud(Chat, max_message_size=None):
            pass

        for kind, answer in ((Quiet, "websocket.close"), (Loud, None)):
            server = Server(kind.as_asgi())
            await server.connect()
            server.text('"a long message"')
            if answer is None:
                await server.leave()
                assert len(server.received) == 1
            else:
                with pytest.raises(InvalidFrame, match="10 bytes"):
                    await server.end()
                assert server.received[-1] == {"type": answer, "code": 1009}

    def test_one_that_there_is_not_is_named(self) -> None:
        with pytest.raises(TypeError, match="keyword") as caught:
            type("Chat", (AsyncWebsocketConsumer,), {}, max_size=10)
        assert caught.value.__notes__ == ["Chat has no option max_size"]

    def test_a_base_of_the_programs_own_has_its_keywords(self) -> None:
        class Tagged:
            def __init_subclass__(cls, *, tag: str = "", **kwargs: Any) -> None:
                if tag == "none":
                    raise TypeError("a tag is needed")
                super().__init_subclass__(**kwargs)
                cls.tag = tag

            tag: str

        kind: Any = type("Chat", (AsyncConsumer, Tagged), {}, tag="a", cleanup_timeout=1)
        assert kind.tag == "a"
        with pytest.raises(TypeError, match=r"^a tag is needed$"):
            type("Chat", (AsyncConsumer, Tagged), {}, tag="none")


class TestHooks:
    def test_a_mark_on_another_method_is_an_error(self) -> None:
        with pytest.raises(TypeError, match=r"^Chat\.invalid_fram is marked as a hook, but there"):

            class Chat(AsyncWebsocketConsumer):
                @hook
                async def invalid_fram(self, error: Any) -> None: ...

    async def test_an_override_of_a_programs_hook_is_one(self) -> None:
        class Base(AsyncWebsocketConsumer, max_message_size=1):
            @hook
            async def invalid_frame(self, error: InvalidFrame) -> None:
                await self.send(text_data="base")

        class Chat(Base):
            async def invalid_frame(self, error: InvalidFrame) -> None:
                await super().invalid_frame(error)
                await self.send(text_data="chat")

        server = Server(Chat.as_asgi())
        await server.connect()
        server.text("too large")
        assert [message["text"] for message in await server.reply(2)] == ["base", "chat"]
        await server.leave()

    async def test_a_message_of_the_layer_does_not_reach_one(self, layer: LocalLayer) -> None:
        called: list[Any] = []

        class Chat(AsyncWebsocketConsumer):
            groups = ["chat"]

            @hook
            async def invalid_frame(self, error: Any) -> None:
                called.append(error)

            async def chat_message(self, message: Message) -> None:
                await self.send(text_data="next")

        server = Server(Chat.as_asgi())
        await server.connect()
        await layer.group_send("chat", {"type": "invalid.frame"})
        await layer.group_send("chat", {"type": "chat.message"})
        await server.reply()
        await server.leave()
        assert called == []


class TestNamesOfTheProgram:
    """Methods and attributes of a program that have names of ours, but are not overrides."""

    @both_colours
    @pytest.mark.parametrize(
        "name",
        [
            "body_timeout",
            "cleanup_timeout",
            "close_code",
            "close_reason",
            "deny",
            "invalid_frame",
            "is_open",
            "join_group",
            "json_encoder",
            "leave_group",
            "max_message_size",
            "report_exception",
        ],
    )
    async def test_an_attribute_a_method_and_a_property(self, colour: str, name: str) -> None:
        def receive_json(self: Any, content: Any) -> Any:
            seen = getattr(self, name)
            yield self.send_json(seen() if callable(seen) else seen)

        base = consumer(colour, json=True, receive_json=receive_json)
        for own in (3, staticmethod(lambda: 3), property(lambda self: 3)):
            program: Any = type("Program", (base,), {name: own})
            server = Server(program.as_asgi())
            await server.connect()
            server.text('"a long frame"')
            [answer] = await server.reply()
            assert answer == {"type": "websocket.send", "text": "3"}
            server.text("{bad")
            with pytest.raises(InvalidFrame):
                await server.end()

    def test_on_a_class_they_say_nothing(self) -> None:
        assert AsyncWebsocketConsumer.close_code not in (None, 1000)

    @both_colours
    async def test_they_may_be_set(self, colour: str) -> None:
        def receive_json(self: Any, content: Any) -> Any:
            self.is_open, self.close_code, self.close_reason = "mine", "my code", "my reason"
            yield self.send_json(self.is_open)

        def disconnect(self: Any, code: int) -> Any:
            seen.append((self.is_open, self.close_code, self.close_reason))
            yield None

        seen: list[Any] = []
        program = consumer(colour, json=True, receive_json=receive_json, disconnect=disconnect)
        server = Server(program.as_asgi())
        await server.connect()
        server.text("1")
        await server.reply()
        await server.leave()
        assert seen == [("mine", "my code", "my reason")]

    @both_colours
    @pytest.mark.parametrize("name", ["close_code", "deny", "is_open", "report_exception"])
    async def test_a_message_of_the_layer_reaches_them(
        self, colour: str, name: str, layer: LocalLayer
    ) -> None:
        def method(self: Any, message: Message) -> Any:
            yield self.send_json(message["type"])

        server = Server(consumer(colour, json=True, groups=["chat"], **{name: method}).as_asgi())
        await server.connect()
        await layer.group_send("chat", {"type": name})
        assert (await server.reply())[0]["text"] == f'"{name}"'
        await server.leave()

    @both_colours
    async def test_a_refusal_by_exception_does_not_call_a_deny(self, colour: str) -> None:
        def connect(self: Any) -> Any:
            yield throw(DenyConnection(status=404))

        def deny(self: Any) -> Any:
            yield throw(AssertionError())

        server = Server(consumer(colour, connect=connect, deny=deny).as_asgi())
        assert await server.connect() == [{"type": "websocket.close"}]
        await server.leave()


def test_a_mixin_before_a_consumer_of_ours_takes_nothing_from_it() -> None:
    """As strawberry-graphql has one, derived from the base consumer."""

    class Mixin(AsyncConsumer):
        pass

    class Patient(AsyncWebsocketConsumer, cleanup_timeout=5):
        pass

    class Program(Mixin, Patient):
        pass

    consumer = Program()
    assert isinstance(consumer._channels_connection, type(Patient()._channels_connection))
    assert consumer._channels_connection.options == {
        "cleanup_timeout": 5,
        "max_message_size": "CHANNELS_MAX_MESSAGE_SIZE",
        "max_messages_per_second": None,
        "max_pending": None,
        "slow_client": "close",
    }
