"""Tests for pytest, as the documentation of Channels 2 wrote them."""

import json

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from django.contrib.auth.models import User

from .consumers import EchoConsumer, ThumbnailConsumer
from .models import Thumbnail, Token
from .routing import application

HEADERS = [(b"origin", b"http://localhost"), (b"host", b"localhost")]


@pytest.mark.asyncio
async def test_echo():
    communicator = WebsocketCommunicator(EchoConsumer, "/testws/")
    connected, subprotocol = await communicator.connect()
    assert connected
    await communicator.send_to(text_data="hello")
    response = await communicator.receive_from()
    assert response == "hello"
    await communicator.disconnect()


@pytest.mark.asyncio
@pytest.mark.django_db(transaction=True)
async def test_pages():
    communicator = HttpCommunicator(application, "GET", "/", headers=HEADERS)
    response = await communicator.get_response()
    assert response["status"] == 200
    assert response["body"] == b"parlour, stranger"


@pytest.mark.asyncio
@pytest.mark.django_db(transaction=True)
async def test_a_token():
    user = await sync_to_async(User.objects.create_user)("ann")
    await sync_to_async(Token.objects.create)(user=user, key="a-key")
    communicator = WebsocketCommunicator(application, "/ws/chat/tea/?token=a-key", headers=HEADERS)
    connected, subprotocol = await communicator.connect()
    assert connected
    await communicator.send_json_to({"message": "hello"})
    assert await communicator.receive_json_from() == {"message": "ann: hello"}
    assert await communicator.receive_nothing()
    await communicator.disconnect()


@pytest.mark.asyncio
@pytest.mark.django_db(transaction=True)
async def test_the_worker():
    layer = get_channel_layer()
    name = await layer.new_channel()
    communicator = ApplicationCommunicator(
        ThumbnailConsumer, {"type": "channel", "channel": "thumbnails"}
    )
    await communicator.send_input(
        {"type": "thumbnail.make", "picture": "rose.png", "reply_channel": name}
    )
    assert json.dumps(await layer.receive(name)) == json.dumps(
        {"type": "thumbnail.made", "thumbnail": "small-rose.png"}
    )
    assert await sync_to_async(Thumbnail.objects.count)() == 1
    communicator.stop()
