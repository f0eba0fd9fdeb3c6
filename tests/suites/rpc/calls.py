"""A calculator with JSON-RPC, as in the documentation of channels-rpc."""

import json
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.testing import WebsocketCommunicator
from channels_rpc import (
    AsyncJsonRpcWebsocketConsumer,
    JsonRpcError,
    JsonRpcErrorCode,
    RpcContext,
)
from channels_rpc.signals import rpc_method_completed, rpc_method_failed
from django.urls import path

#: Requests, responses and signals, in order.
EVENTS: list[Any] = []


class Count:
    """Middleware that records requests and responses."""

    def process_request(self, data: Any, consumer: Any) -> Any:
        EVENTS.append(("request", data.get("method")))
        return data

    def process_response(self, response: Any, consumer: Any) -> Any:
        EVENTS.append(("response", response.get("id")))
        return response


class Calculator(AsyncJsonRpcWebsocketConsumer):
    middleware = [Count()]
    groups = ["calculators"]

    async def connect(self) -> None:
        self.validate_scope()
        await self.accept()

    async def disconnect(self, code: int) -> None:
        EVENTS.append(("disconnect", code))

    async def calculators_news(self, message: Any) -> None:
        await self.notify_clients("news", {"text": message["text"]})

    async def notify_clients(self, method: str, params: Any) -> None:
        await self.send_json({"jsonrpc": "2.0", "method": method, "params": params})


@Calculator.rpc_method()
async def subtract(minuend: int, subtrahend: int) -> int:
    return minuend - subtrahend


@Calculator.rpc_method("dates.first")
async def first() -> Any:
    return {"day": date(2026, 1, 31)}


@Calculator.rpc_method()
async def whoami(ctx: RpcContext) -> Any:
    return [ctx.method_name, ctx.rpc_id, ctx.scope["path"], ctx.scope["url_route"]["kwargs"]]


@Calculator.rpc_method()
async def divide(dividend: int, divisor: int) -> float:
    if not divisor:
        raise JsonRpcError(None, JsonRpcErrorCode.INVALID_PARAMS, data={"field": "divisor"})
    return dividend / divisor


@Calculator.rpc_method()
async def broken() -> None:
    raise ValueError("a secret of the server")


@Calculator.rpc_method()
async def announce(text: str) -> str:
    message = {"type": "calculators.news", "text": text}
    await get_channel_layer().group_send("calculators", message)
    return "sent"


@Calculator.rpc_notification()
async def remember(text: str) -> None:
    EVENTS.append(("remembered", text))


application = ProtocolTypeRouter(
    {"websocket": URLRouter([path("rpc/<slug:room>/", Calculator.as_asgi())])}
)


@pytest.fixture
async def socket() -> AsyncIterator[WebsocketCommunicator]:
    EVENTS.clear()
    communicator = WebsocketCommunicator(application, "/rpc/hall/")
    assert await communicator.connect() == (True, None)
    yield communicator
    await communicator.disconnect()


async def call(
    socket: WebsocketCommunicator, method: str, params: Any = None, rpc_id: Any = 1
) -> Any:
    request = {"jsonrpc": "2.0", "method": method, "params": params or {}, "id": rpc_id}
    await socket.send_json_to(request)
    return await socket.receive_json_from()


@pytest.mark.parametrize("params", [{"minuend": 42, "subtrahend": 23}, [42, 23]])
async def test_a_method_is_called_with_its_parameters(socket: Any, params: Any) -> None:
    assert await call(socket, "subtract", params) == {"jsonrpc": "2.0", "id": 1, "result": 19}


@pytest.mark.parametrize("rpc_id", [7, "seven", "0"])
async def test_the_answer_has_the_id_of_the_request(socket: Any, rpc_id: Any) -> None:
    assert (await call(socket, "subtract", [1, 1], rpc_id))["id"] == rpc_id


async def test_a_name_of_ones_own(socket: Any) -> None:
    assert (await call(socket, "dates.first"))["result"] == {"day": "2026-01-31"}


async def test_the_context_knows_the_connection(socket: Any) -> None:
    answer = await call(socket, "whoami", rpc_id=9)
    assert answer["result"] == ["whoami", 9, "/rpc/hall/", {"room": "hall"}]


async def test_an_unknown_method(socket: Any) -> None:
    assert (await call(socket, "add", [1, 2]))["error"]["code"] == -32601


async def test_parameters_that_do_not_fit(socket: Any) -> None:
    assert (await call(socket, "subtract", {"minuend": 1}))["error"]["code"] < 0


async def test_an_error_of_the_programs(socket: Any) -> None:
    error = (await call(socket, "divide", [1, 0]))["error"]
    assert error["code"] == -32602
    assert error["data"] == {"field": "divisor"}


async def test_an_exception_tells_nothing_and_the_connection_stays(socket: Any) -> None:
    answer = await call(socket, "broken")
    assert "error" in answer
    assert "secret" not in json.dumps(answer)
    assert (await call(socket, "subtract", [3, 1], 2))["result"] == 2


async def test_an_id_is_not_used_again_at_once(socket: Any) -> None:
    assert "result" in await call(socket, "subtract", [3, 1])
    assert (await call(socket, "subtract", [3, 1]))["error"]["code"] == -32600


@pytest.mark.parametrize(
    "request_", [[], "text", 5, {"method": "subtract", "id": 1}, {"jsonrpc": "1.0", "id": 1}]
)
async def test_what_is_no_request(socket: Any, request_: Any) -> None:
    await socket.send_json_to(request_)
    assert (await socket.receive_json_from())["error"]["code"] == -32600


async def test_a_parameter_that_is_too_large(socket: Any) -> None:
    assert (await call(socket, "subtract", ["1" * 1_100_000, 1]))["error"]["code"] == -32001


async def test_a_notification_has_no_answer(socket: Any) -> None:
    request = {"jsonrpc": "2.0", "method": "remember", "params": ["this"]}
    await socket.send_json_to(request)
    assert await socket.receive_nothing()
    assert ("remembered", "this") in EVENTS


async def test_middleware_sees_both_ways(socket: Any) -> None:
    await call(socket, "subtract", [3, 1], 5)
    assert EVENTS == [("request", "subtract"), ("response", 5)]


async def test_signals_tell_of_success_and_failure(socket: Any) -> None:
    def completed(sender: Any, method_name: str, **kwargs: Any) -> None:
        EVENTS.append(("completed", method_name))

    def failed(sender: Any, method_name: str, **kwargs: Any) -> None:
        EVENTS.append(("failed", method_name))

    rpc_method_completed.connect(completed)
    rpc_method_failed.connect(failed)
    await call(socket, "subtract", [3, 1])
    await call(socket, "broken", rpc_id=2)
    assert ("completed", "subtract") in EVENTS
    assert ("failed", "broken") in EVENTS


async def test_a_method_reaches_every_member_of_the_group(socket: Any) -> None:
    other = WebsocketCommunicator(application, "/rpc/garden/")
    assert (await other.connect())[0]
    await socket.send_json_to(
        {"jsonrpc": "2.0", "method": "announce", "params": ["hello"], "id": 1}
    )
    news = {"jsonrpc": "2.0", "method": "news", "params": {"text": "hello"}}
    assert await other.receive_json_from() == news
    answers = [await socket.receive_json_from(), await socket.receive_json_from()]
    assert news in answers
    await other.disconnect()
    assert (
        await get_channel_layer().group_send(
            "calculators", {"type": "calculators.news", "text": "x"}
        )
        is None
    )
    assert (await socket.receive_json_from())["params"] == {"text": "x"}


async def test_the_methods_of_a_consumer_are_listed() -> None:
    assert {"subtract", "dates.first", "divide"} <= set(Calculator.get_rpc_methods())


async def test_disconnect_gets_the_clients_code() -> None:
    EVENTS.clear()
    communicator = WebsocketCommunicator(application, "/rpc/hall/")
    await communicator.connect()
    await communicator.disconnect(code=4000)
    assert EVENTS == [("disconnect", 4000)]
