"""A chat with GraphQL, as in the documentation of django-channels-graphql-ws."""

import asyncio
from typing import Any

import channels_graphql_ws
import graphene
from channels.db import database_sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.models import User
from django.urls import path
from graphql import GraphQLError

#: Requests, responses and signals, in order.
EVENTS: list[Any] = []
#: The last holds the reports of `Progress` back until it is set. Each event loop needs its own.
RELEASES: list[asyncio.Event] = []


class OnMessage(channels_graphql_ws.Subscription):
    text = graphene.String()
    author = graphene.String()

    class Arguments:
        room = graphene.String()

    @staticmethod
    def subscribe(root: Any, info: Any, room: str | None = None) -> Any:
        EVENTS.append(("subscribed", room))
        return [room] if room is not None else None

    @staticmethod
    def publish(payload: Any, info: Any, room: str | None = None) -> Any:
        if payload["text"] == "skip":
            return OnMessage.SKIP if hasattr(OnMessage, "SKIP") else None
        author = payload.get("author")
        return OnMessage(text=payload["text"], author=author and author.username)

    @staticmethod
    def unsubscribed(root: Any, info: Any, room: str | None = None) -> None:
        EVENTS.append(("unsubscribed", room))


class Progress(channels_graphql_ws.Subscription):
    """Reports, of which only the latest matters."""

    notification_queue_limit = 1
    percent = graphene.Int()

    @staticmethod
    async def publish(payload: Any, info: Any) -> Any:
        await RELEASES[-1].wait()
        return Progress(percent=payload)


class Say(graphene.Mutation):
    class Arguments:
        text = graphene.String()
        room = graphene.String()

    ok = graphene.Boolean()

    @staticmethod
    async def mutate(root: Any, info: Any, text: str, room: str | None = None) -> Any:
        await OnMessage.broadcast(group=room, payload={"text": text})
        return Say(ok=True)


class Sign(graphene.Mutation):
    class Arguments:
        name = graphene.String()

    name = graphene.String()

    @staticmethod
    async def mutate(root: Any, info: Any, name: str) -> Any:
        user = await database_sync_to_async(User.objects.create)(username=name)
        await OnMessage.broadcast(payload={"text": "signed", "author": user})
        return Sign(name=name)


class Query(graphene.ObjectType):
    hello = graphene.String(name=graphene.String(default_value="you"))
    users = graphene.Int()
    broken = graphene.String()
    path_ = graphene.String(name="path")

    @staticmethod
    async def resolve_hello(root: Any, info: Any, name: str) -> str:
        await asyncio.sleep(0)
        return f"hello {name}"

    @staticmethod
    async def resolve_users(root: Any, info: Any) -> int:
        return await database_sync_to_async(User.objects.count)()

    @staticmethod
    def resolve_broken(root: Any, info: Any) -> str:
        raise ValueError("no chat")

    @staticmethod
    def resolve_path_(root: Any, info: Any) -> str:
        return info.context.channels_scope["path"]


class Mutation(graphene.ObjectType):
    say = Say.Field()
    sign = Sign.Field()


class Subscription(graphene.ObjectType):
    on_message = OnMessage.Field()
    progress = Progress.Field()


class ChatConsumer(channels_graphql_ws.GraphqlWsConsumer):
    schema = graphene.Schema(query=Query, mutation=Mutation, subscription=Subscription)
    confirm_subscriptions = True

    async def on_connect(self, payload: Any) -> None:
        # The package's own client sends an empty text.
        if payload and payload.get("token") == "wrong":
            raise RuntimeError("who are you?")

    async def on_operation(self, op_id: Any, payload: Any) -> None:
        if payload.get("operationName") == "forbidden":
            raise GraphQLError("not now")


class OrderedConsumer(ChatConsumer):
    strict_ordering = True


class PatientConsumer(ChatConsumer):
    connection_init_wait_timeout = 0.1


class PingingConsumer(ChatConsumer):
    send_ping_every = 0.05


application = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [
                path("chat/", ChatConsumer.as_asgi()),
                path("ordered/", OrderedConsumer.as_asgi()),
                path("patient/", PatientConsumer.as_asgi()),
                path("pinging/", PingingConsumer.as_asgi()),
            ]
        )
    }
)
