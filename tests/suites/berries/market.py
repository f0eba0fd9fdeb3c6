"""A berry market with a GraphQL interface."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import strawberry
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path, re_path
from strawberry.channels import (
    GraphQLHTTPConsumer,
    GraphQLProtocolTypeRouter,
    GraphQLWSConsumer,
    SyncGraphQLHTTPConsumer,
)
from strawberry.file_uploads import Upload
from strawberry.types import Info

#: Requests, responses and signals, in order.
EVENTS: list[Any] = []


@strawberry.type
class Berry:
    name: str
    price: int = 1


@strawberry.type
class Query:
    @strawberry.field
    def berries(self) -> list[Berry]:
        return [Berry(name="straw"), Berry(name="goose", price=2)]

    @strawberry.field
    async def hello(self, name: str = "you") -> str:
        await asyncio.sleep(0)
        return f"hello {name}"

    @strawberry.field
    def broken(self) -> str:
        raise ValueError("no berries")

    @strawberry.field
    def stall(self, info: Info) -> str:
        info.context["response"].headers["X-Stall"] = "7"
        info.context["response"].status_code = 203
        request = info.context["request"]
        return request.headers["x-name"] + request.consumer.scope["path"]


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def sell(self, name: str, price: int) -> Berry:
        message = {"type": "berry.sold", "name": name, "price": price}
        await get_channel_layer().group_send("market", message)
        return Berry(name=name, price=price)

    @strawberry.mutation
    async def read(self, file: Upload) -> str:
        return file.read().decode()


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, up_to: int) -> AsyncGenerator[int, None]:
        try:
            for number in range(up_to):
                yield number
                await asyncio.sleep(0)
        finally:
            EVENTS.append("counted")

    @strawberry.subscription
    async def wait(self) -> AsyncGenerator[str, None]:
        try:
            yield "waiting"
            await asyncio.Event().wait()
        finally:
            EVENTS.append("waited")

    @strawberry.subscription
    async def broken(self) -> AsyncGenerator[str, None]:
        yield "whole"
        raise ValueError("no berries")

    @strawberry.subscription
    async def sales(self, info: Info, timeout: float | None = None) -> AsyncGenerator[Berry, None]:
        socket = info.context["ws"]
        async with socket.listen_to_channel(
            "berry.sold", timeout=timeout, groups=["market"]
        ) as messages:
            yield Berry(name="open", price=0)
            async for message in messages:
                yield Berry(name=message["name"], price=message["price"])

    @strawberry.subscription
    async def params(self, info: Info) -> AsyncGenerator[str, None]:
        yield str(info.context["connection_params"]["token"])


@strawberry.type
class SyncQuery:
    @strawberry.field
    def berries(self) -> list[Berry]:
        return [Berry(name="black")]


schema = strawberry.Schema(Query, Mutation, Subscription)
sync_schema = strawberry.Schema(SyncQuery)


def page(request: Any) -> HttpResponse:
    return HttpResponse("the page")


urlpatterns = [path("", page)]
application = GraphQLProtocolTypeRouter(schema, django_application=get_asgi_application())
own = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("sync/", SyncGraphQLHTTPConsumer.as_asgi(schema=sync_schema)),
                path(
                    "<slug:stall>/",
                    GraphQLHTTPConsumer.as_asgi(
                        schema=schema, multipart_uploads_enabled=True, allow_queries_via_get=False
                    ),
                ),
            ]
        ),
        "websocket": URLRouter(
            [re_path("^own/$", GraphQLWSConsumer.as_asgi(schema=schema, keep_alive=False))]
        ),
    }
)
