"""What the site promises: run with `python manage.py test`."""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.test import AsyncClient, Client, TestCase

from chat.models import Message
from chatsite.asgi import application

# How long to wait for what should come at once, on a machine that is busy.
SECONDS = 30


class Visitor:
    """Stand for one browser: its WebSocket as a server would hand it to the application."""

    def __init__(self, path: str, cookies: str, origin: str = "http://testserver") -> None:
        """Make ready to open the path with the cookies, coming from a page of the origin."""
        self.socket = ApplicationCommunicator(
            application,
            {
                "type": "websocket",
                "path": path,
                "query_string": b"",
                "headers": [
                    (b"host", b"testserver"),
                    (b"origin", origin.encode()),
                    (b"cookie", cookies.encode()),
                ],
                "subprotocols": [],
            },
        )

    async def knock(self) -> dict[str, Any]:
        """Ask to come in and return the answer."""
        await self.socket.send_input({"type": "websocket.connect"})
        return dict(await self.socket.receive_output(timeout=SECONDS))

    async def say(self, **content: Any) -> None:
        """Send what the page would send."""
        await self.socket.send_input({"type": "websocket.receive", "text": json.dumps(content)})

    async def hear(self) -> dict[str, Any]:
        """Return the next thing the page would get."""
        event = await self.socket.receive_output(timeout=SECONDS)
        return dict(json.loads(event["text"]))

    async def leave(self) -> None:
        """Close the tab."""
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.socket.wait(timeout=SECONDS)


def cookies_of(client: AsyncClient) -> str:
    """Return what a browser with the client's cookies would send."""
    return "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())


async def logged_in(name: str) -> AsyncClient:
    """Return the browser of a new member."""
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate_user(name))
    return client


class RoomTests(TestCase):
    """Two members, and what they say to each other."""

    async def enter(self, room: str, name: str) -> Visitor:
        """Let a new member into the room."""
        member = Visitor(f"/ws/rooms/{room}/", cookies_of(await logged_in(name)))
        self.assertEqual((await member.knock())["type"], "websocket.accept")
        return member

    async def test_everybody_in_the_room_gets_what_one_of_them_writes(self) -> None:
        """Both hear it, the one who wrote it included, and it is kept."""
        anna, ben = await self.enter("tea", "Anna"), await self.enter("tea", "Ben")

        await anna.say(text="  <b>Milk</b>, anyone?  ")

        heard = await ben.hear()
        self.assertEqual((heard["author"], heard["text"]), ("Anna", "<b>Milk</b>, anyone?"))
        self.assertEqual(await anna.hear(), heard)
        self.assertEqual(await Message.objects.acount(), 1)
        await anna.leave()
        await ben.leave()

    async def test_another_room_hears_nothing(self) -> None:
        """Rooms are apart."""
        anna, ben = await self.enter("tea", "Anna"), await self.enter("coffee", "Ben")
        await anna.say(text="Milk, anyone?")
        await anna.hear()
        self.assertTrue(await ben.socket.receive_nothing())
        await anna.leave()
        await ben.leave()

    async def test_who_comes_later_gets_the_last_twenty_messages(self) -> None:
        """The oldest of the twenty comes first."""
        for number in range(25):
            await Message.objects.acreate(room="tea", author="Anna", text=str(number))
        ben = await self.enter("tea", "Ben")
        heard = [(await ben.hear())["text"] for _ in range(20)]
        self.assertEqual(heard, [str(number) for number in range(5, 25)])
        await ben.leave()

    async def test_nonsense_is_answered_and_not_kept(self) -> None:
        """The connection lives on, and the answer names the field that is wrong."""
        anna = await self.enter("tea", "Anna")
        for nonsense in ("", " ", "a" * 501, "\x00", "\ud800"):
            await anna.say(text=nonsense)
            self.assertEqual(list((await anna.hear())["errors"]), ["text"])
        await anna.socket.send_input({"type": "websocket.receive", "text": "[1, 2]"})
        self.assertEqual(list((await anna.hear())["errors"]), ["text"])
        await anna.socket.send_input({"type": "websocket.receive", "text": '{"text": ["Hello"]}'})
        self.assertEqual(list((await anna.hear())["errors"]), ["text"])
        self.assertFalse(await Message.objects.aexists())
        await anna.leave()

    async def test_nobody_writes_under_another_name(self) -> None:
        """The name is that of the login, whatever the client sends."""
        anna = await self.enter("tea", "Anna")
        await anna.say(text="Hello", author="Ben", user="Ben", room="coffee")
        self.assertEqual((await anna.hear())["author"], "Anna")
        message = await Message.objects.aget()
        self.assertEqual((message.author, message.room), ("Anna", "tea"))
        await anna.leave()

    async def test_who_is_not_logged_in_is_not_let_in(self) -> None:
        """Neither without a cookie nor with one that leads nowhere."""
        for cookies in ("", "sessionid=", "sessionid=nowhere", "sessionid=\x00; sessionid"):
            stranger = Visitor("/ws/rooms/tea/", cookies)
            answer = await stranger.knock()
            self.assertEqual((answer["type"], answer["code"]), ("websocket.close", 4401))
            await stranger.socket.wait(timeout=SECONDS)

    async def test_a_page_of_another_site_is_not_let_in(self) -> None:
        """The origin has to be the site's own."""
        cookies = cookies_of(await logged_in("Anna"))
        stranger = Visitor("/ws/rooms/tea/", cookies, origin="http://example.org")
        self.assertEqual((await stranger.knock())["type"], "websocket.close")
        await stranger.socket.wait(timeout=SECONDS)

    async def test_a_room_that_cannot_be_is_not_let_in(self) -> None:
        """Names that no group may have find no consumer."""
        cookies = cookies_of(await logged_in("Anna"))
        for path in ("/ws/rooms/caf\u00e9/", "/ws/rooms/../", f"/ws/rooms/{'a' * 51}/", "/ws/"):
            lost = Visitor(path, cookies)
            self.assertEqual((await lost.knock())["type"], "websocket.close")
            await lost.socket.wait(timeout=SECONDS)


class PageTests(TestCase):
    """The pages that lead to a room."""

    def setUp(self) -> None:
        """Log in, for the pages are for members."""
        self.client.force_login(User.objects.create_user("Anna"))

    def test_who_is_not_logged_in_is_asked_to(self) -> None:
        """Afterwards, the page that was asked for comes."""
        for path in ("/", "/rooms/tea/"):
            response = Client().get(path)
            self.assertRedirects(response, f"/accounts/log-in/?next={path}")

    def test_each_page_says_who_is_logged_in(self) -> None:
        """And offers to log out."""
        for path in ("/", "/rooms/tea/"):
            self.assertContains(self.client.get(path), '<strong id="member">Anna</strong>')

    def test_the_index_leads_to_the_room_that_was_typed(self) -> None:
        """A good name is followed."""
        self.assertRedirects(self.client.get("/", {"room": "tea"}), "/rooms/tea/")

    def test_the_index_says_what_is_wrong_with_a_name(self) -> None:
        """A bad one is shown again, with the reason."""
        response = self.client.get("/", {"room": '"/><b>'})
        self.assertContains(response, "starts with a letter", status_code=400)
        self.assertContains(response, "&quot;/&gt;&lt;b&gt;", status_code=400)

    def test_the_index_lists_rooms_with_messages_newest_first(self) -> None:
        """A room stands there once, however much was written in it."""
        for room in ("tea", "coffee", "tea"):
            Message.objects.create(room=room, author="Anna", text="Hello")
        self.assertEqual(list(self.client.get("/").context["rooms"]), ["tea", "coffee"])

    def test_a_room_has_a_page(self) -> None:
        """Its name reaches the script as data."""
        response = self.client.get("/rooms/a.b-c_d/")
        self.assertContains(response, '<script id="room-name" type="application/json">"a.b-c_d"')

    def test_a_room_that_cannot_be_has_none(self) -> None:
        """The pages and the sockets agree about names."""
        for path in ("/rooms/caf\u00e9/", "/rooms/.a/", f"/rooms/{'a' * 51}/", "/rooms/a%0A/"):
            self.assertEqual(self.client.get(path).status_code, 404)
