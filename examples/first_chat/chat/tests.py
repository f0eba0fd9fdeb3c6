"""Tests of the chat: run them with `python manage.py test`."""

from channels.testing import WebsocketCommunicator
from django.test import TestCase

from chat.models import Message
from chatsite.asgi import application


def websocket(path, origin="http://testserver"):
    """Return a WebSocket, with the header that a browser sends."""
    return WebsocketCommunicator(application, path, {"origin": origin})


class RoomTests(TestCase):
    async def test_everybody_in_the_room_gets_a_message(self):
        path = "/ws/rooms/tea/"
        async with websocket(path) as anna, websocket(path) as ben:
            message = {"author": "Anna", "text": " <b>Milk</b>? "}
            await anna.send_json_to(message)
            heard = await ben.receive_json_from()
            self.assertEqual(heard["author"], "Anna")
            self.assertEqual(heard["text"], "<b>Milk</b>?")
            self.assertEqual(await anna.receive_json_from(), heard)
        self.assertEqual(await Message.objects.acount(), 1)

    async def test_another_room_gets_nothing(self):
        async with (
            websocket("/ws/rooms/tea/") as anna,
            websocket("/ws/rooms/coffee/") as ben,
        ):
            await anna.send_json_to({"text": "Milk?"})
            heard = await anna.receive_json_from()
            self.assertEqual(heard["author"], "Guest")
            self.assertTrue(await ben.receive_nothing())

    async def test_a_later_visitor_gets_the_last_messages(self):
        for number in range(25):
            await Message.objects.acreate(room="tea", text=str(number))
        async with websocket("/ws/rooms/tea/") as ben:
            for number in range(5, 25):
                heard = await ben.receive_json_from()
                self.assertEqual(heard["text"], str(number))

    async def test_invalid_messages_are_not_stored(self):
        texts = ["", " ", "a" * 501, "\x00", "\ud800", ["Hello"]]
        messages = [{"text": text} for text in texts]
        async with websocket("/ws/rooms/tea/") as anna:
            for message in (*messages, [1, 2]):
                await anna.send_json_to(message)
                heard = await anna.receive_json_from()
                self.assertEqual(list(heard["errors"]), ["text"])
        self.assertFalse(await Message.objects.aexists())

    async def test_pages_of_other_sites_are_refused(self):
        path, origin = "/ws/rooms/tea/", "http://example.org"
        await websocket(path, origin).assert_denied()

    async def test_invalid_room_names_are_refused(self):
        for name in ("caf\u00e9", "..", "a" * 51):
            await websocket(f"/ws/rooms/{name}/").assert_denied()


class PageTests(TestCase):
    def test_the_index_leads_to_a_room(self):
        response = self.client.get("/", {"room": "tea"})
        self.assertRedirects(response, "/rooms/tea/")

    def test_the_index_says_what_is_wrong_with_a_name(self):
        response = self.client.get("/", {"room": '"/><b>'})
        self.assertContains(response, "a letter or a digit", 1, 400)
        self.assertContains(response, "&quot;/&gt;&lt;b&gt;", 1, 400)

    def test_the_index_lists_rooms_newest_first(self):
        for room in ("tea", "coffee", "tea"):
            Message.objects.create(room=room, text="Hello")
        rooms = self.client.get("/").context["rooms"]
        self.assertEqual(list(rooms), ["tea", "coffee"])
