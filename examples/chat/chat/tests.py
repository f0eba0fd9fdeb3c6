"""Tests of the chat: run them with `python manage.py test`."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from channels.layers import InMemoryChannelLayer
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, TestCase, override_settings

from chat.models import Message
from chat.saying import say
from chatsite.asgi import application


def websocket(path: str, origin: str = "http://testserver", **kwargs: Any) -> WebsocketCommunicator:
    """Return the WebSocket that a page would open, with the headers of a browser."""
    headers = {"host": "testserver", "origin": origin}
    return WebsocketCommunicator(application, path, headers, **kwargs)


class RoomTests(TestCase):
    """Two members who write to each other."""

    anna: User
    ben: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create the members."""
        cls.anna = User.objects.create_user("Anna")
        cls.ben = User.objects.create_user("Ben")

    async def test_everybody_in_the_room_gets_what_one_of_them_writes(self) -> None:
        """Both receive it, including its author, and it is stored."""
        async with (
            websocket("/ws/rooms/tea/", user=self.anna) as anna,
            websocket("/ws/rooms/tea/", user=self.ben) as ben,
        ):
            await anna.send_json_to({"text": "  <b>Milk</b>, anyone?  "})
            heard = await ben.receive_json_from()
            self.assertEqual((heard["author"], heard["text"]), ("Anna", "<b>Milk</b>, anyone?"))
            self.assertEqual(await anna.receive_json_from(), heard)
        self.assertEqual(await Message.objects.acount(), 1)

    async def test_another_room_hears_nothing(self) -> None:
        """Rooms are separate."""
        async with (
            websocket("/ws/rooms/tea/", user=self.anna) as anna,
            websocket("/ws/rooms/coffee/", user=self.ben) as ben,
        ):
            await anna.send_json_to({"text": "Milk, anyone?"})
            await anna.receive_json_from()
            self.assertTrue(await ben.receive_nothing())

    async def test_a_later_visitor_gets_the_last_twenty_messages(self) -> None:
        """The oldest of the twenty comes first."""
        for number in range(25):
            await Message.objects.acreate(room="tea", author="Anna", text=str(number))
        async with websocket("/ws/rooms/tea/", user=self.ben) as ben:
            heard = [(await ben.receive_json_from())["text"] for _ in range(20)]
        self.assertEqual(heard, [str(number) for number in range(5, 25)])

    async def test_invalid_messages_are_answered_and_not_stored(self) -> None:
        """The connection stays open, and the answer names the invalid field."""
        texts = ("", " ", "a" * 501, "\x00", "\ud800", ["Hello"])
        async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
            for nonsense in (*({"text": text} for text in texts), [1, 2]):
                await anna.send_json_to(nonsense)
                self.assertEqual(list((await anna.receive_json_from())["errors"]), ["text"])
        self.assertFalse(await Message.objects.aexists())

    async def test_nobody_writes_under_another_name(self) -> None:
        """The author is the logged-in user, whatever the client sends."""
        async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
            await anna.send_json_to(
                {"text": "Hello", "author": "Ben", "user": "Ben", "room": "coffee"}
            )
            self.assertEqual((await anna.receive_json_from())["author"], "Anna")
        message = await Message.objects.aget()
        self.assertEqual((message.author, message.room), ("Anna", "tea"))

    async def test_visitors_who_are_not_logged_in_are_refused(self) -> None:
        """Without a cookie, and with one that has no session."""
        for cookies in ({}, {"sessionid": ""}, {"sessionid": "nowhere"}, {"sessionid": "\x01"}):
            stranger = websocket("/ws/rooms/tea/", cookies=cookies, denial_response=True)
            await stranger.assert_denied(401)
            # A server that cannot send a response closes with a code instead.
            stranger = websocket("/ws/rooms/tea/", cookies=cookies)
            self.assertEqual(await stranger.connect(), (False, 4401))

    async def test_pages_of_other_sites_are_refused(self) -> None:
        """The origin must be the site's own."""
        path, other = "/ws/rooms/tea/", "http://example.org"
        stranger = websocket(path, origin=other, user=self.anna, denial_response=True)
        await stranger.assert_denied(403)

    async def test_invalid_room_names_are_refused(self) -> None:
        """No route matches names that are invalid for groups."""
        for path in ("/ws/rooms/caf\u00e9/", "/ws/rooms/../", f"/ws/rooms/{'a' * 51}/", "/ws/"):
            await websocket(path, user=self.anna, denial_response=True).assert_denied(404)


class PageOfARoomTests(TestCase):
    """What the script of the page asks for besides."""

    anna: User
    ben: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create the members."""
        cls.anna = User.objects.create_user("Anna")
        cls.ben = User.objects.create_user("Ben")

    async def test_a_message_that_is_sent_again_is_stored_once(self) -> None:
        """Only the page that sent it hears of it again. Others may use the same ref."""
        first = {"text": "Milk?", "ref": "1" * 32}
        async with (
            websocket("/ws/rooms/tea/", user=self.anna) as anna,
            websocket("/ws/rooms/tea/", user=self.ben) as ben,
        ):
            await anna.send_json_to(first)
            heard = await anna.receive_json_from()
            self.assertEqual(heard["ref"], first["ref"])
            await ben.receive_json_from()
            await anna.send_json_to({**first, "text": "Changed"})
            again = await anna.receive_json_from()
            self.assertEqual((again["id"], again["text"]), (heard["id"], "Milk?"))
            self.assertTrue(await ben.receive_nothing())
            await ben.send_json_to(first)
            self.assertEqual((await anna.receive_json_from())["author"], "Ben")
        self.assertEqual(await Message.objects.acount(), 2)

    async def test_a_refused_message_is_named(self) -> None:
        """The page knows which one it was, unless the ref is invalid too."""
        async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
            await anna.send_json_to({"text": " ", "ref": "1" * 32})
            self.assertEqual((await anna.receive_json_from())["ref"], "1" * 32)
            for nonsense in ("x", ["1" * 32], 7):
                await anna.send_json_to({"text": "Hello", "ref": nonsense})
                answer = await anna.receive_json_from()
                self.assertEqual((list(answer["errors"]), answer["ref"]), (["ref"], None))

    async def test_others_see_who_is_typing(self) -> None:
        """The pages of the one who types do not, and nothing of it is kept."""
        async with (
            websocket("/ws/rooms/tea/", user=self.anna) as anna,
            websocket("/ws/rooms/tea/", user=self.anna) as other,
            websocket("/ws/rooms/tea/", user=self.ben) as ben,
        ):
            await anna.send_json_to({"typing": True})
            self.assertEqual(await ben.receive_json_from(), {"typing": "Anna"})
            for page in (anna, other):
                self.assertTrue(await page.receive_nothing())

    async def test_earlier_messages_on_request(self) -> None:
        """Those before the first one on the page, twenty at a time. Nonsense finds none."""
        stored = [
            await Message.objects.acreate(room="tea", author="Anna", text=str(number))
            for number in range(45)
        ]
        await Message.objects.acreate(room="coffee", author="Anna", text="elsewhere")
        async with websocket("/ws/rooms/tea/", user=self.ben) as ben:
            for _ in range(20):
                await ben.receive_json_from()
            for before, first, last in ((25, 5, 25), (5, 0, 5), (0, 0, 0)):
                await ben.send_json_to({"before": stored[before].pk})
                answer = await ben.receive_json_from()
                self.assertEqual(answer["before"], stored[before].pk)
                texts = [message["text"] for message in answer["earlier"]]
                self.assertEqual(texts, [str(number) for number in range(first, last)])
            for nonsense in (-1, 0, -(2**70)):
                await ben.send_json_to({"before": nonsense})
                self.assertEqual((await ben.receive_json_from())["earlier"], [])

    async def test_unread_messages_are_counted(self) -> None:
        """From the last one that the page has reported, or since the member signed up."""
        await self.async_client.aforce_login(self.ben)
        first = (await say("tea", "Anna", "one"))[0]
        async with websocket("/ws/rooms/tea/", user=self.ben) as ben:
            await ben.receive_json_from()
            for last in (first.pk - 1, first.pk):
                await ben.send_json_to({"read": last})
            for nonsense in (-1, 2**63, "1", None):
                await ben.send_json_to({"read": nonsense})
                self.assertIn("errors", await ben.receive_json_from())
        for number in range(3):
            await say("tea", "Anna", str(number))
        await say("coffee", "Anna", "not yet seen")
        old = await Message.objects.acreate(room="coffee", author="Anna", text="before")
        await Message.objects.filter(pk=old.pk).aupdate(sent_at=datetime(2020, 1, 1, tzinfo=UTC))
        rooms = (await self.async_client.get("/")).context["rooms"]
        self.assertEqual(rooms, [{"name": "coffee", "unread": 1}, {"name": "tea", "unread": 3}])
        rooms = (await self.async_client.get("/rooms/tea/")).context["rooms"]
        self.assertEqual([room["unread"] for room in rooms], [1, 0])

    async def test_a_list_of_rooms_hears_where_somebody_writes(self) -> None:
        """The page of the list, and a page of a room on request."""
        async with (
            websocket("/ws/rooms/", user=self.anna) as index,
            websocket("/ws/rooms/tea/", user=self.anna) as tea,
        ):
            await tea.send_json_to({"ask": "rooms"})
            # This is answered when the first request has been handled.
            await tea.send_json_to({"before": 0})
            await tea.receive_json_from()
            await say("coffee", "Ben", "Sugar?")
            for page in (index, tea):
                self.assertEqual(await page.receive_json_from(), {"active": "coffee"})
            await say("tea", "Ben", "Milk?")
            self.assertEqual(await index.receive_json_from(), {"active": "tea"})
            self.assertEqual((await tea.receive_json_from())["text"], "Milk?")
            self.assertTrue(await tea.receive_nothing())


class ReturningTests(TestCase):
    """Pages that come back to a room, and who is there."""

    anna: User
    ben: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create the members."""
        cls.anna = User.objects.create_user("Anna")
        cls.ben = User.objects.create_user("Ben")

    def setUp(self) -> None:
        """Start with a layer that remembers nothing, and reports at once who has left."""
        default = settings.LAYERS["memory"]
        config = {**default["CONFIG"], "member_linger": 0}
        layers = {"default": {**default, "CONFIG": config}}
        self.enterContext(override_settings(CHANNEL_LAYERS=layers))

    async def test_a_page_gets_all_that_was_written_while_it_was_away(self) -> None:
        """The layer has kept more than the database sends to a new page."""
        async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
            await anna.send_json_to({"text": "before"})
            position = (await anna.receive_json_from())["position"]
        for number in range(40):
            await say("tea", "Ben", str(number))
        async with websocket(f"/ws/rooms/tea/?after={position}", user=self.anna) as anna:
            heard = [(await anna.receive_json_from())["text"] for _ in range(40)]
            self.assertEqual(heard, [str(number) for number in range(40)])
            await say("tea", "Ben", "live")
            self.assertEqual((await anna.receive_json_from())["text"], "live")

    async def test_a_page_without_a_message_knows_where_to_go_on(self) -> None:
        """The answer about the members has the position."""
        async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
            await anna.send_json_to({"ask": "members"})
            answer = await anna.receive_json_from()
        await say("tea", "Ben", "meanwhile")
        path = f"/ws/rooms/tea/?after={answer['position']}"
        async with websocket(path, user=self.anna) as anna:
            self.assertEqual((await anna.receive_json_from())["text"], "meanwhile")

    async def test_a_gap_that_cannot_be_filled_is_told(self) -> None:
        """Then the latest messages follow. A client may send anything as its position."""
        await Message.objects.acreate(room="tea", author="Ben", text="stored")
        for position in ("of.another.store", "%00", "a" * 1000):
            path = f"/ws/rooms/tea/?after={position}"
            async with websocket(path, user=self.anna) as anna:
                self.assertEqual(await anna.receive_json_from(), {"gap": True})
                self.assertEqual((await anna.receive_json_from())["text"], "stored")

    async def test_a_page_sees_who_comes_and_goes(self) -> None:
        """A member with two pages is there once."""
        async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
            await anna.send_json_to({"ask": "members"})
            self.assertEqual((await anna.receive_json_from())["members"], ["Anna"])
            async with (
                websocket("/ws/rooms/tea/", user=self.ben) as ben,
                websocket("/ws/rooms/tea/", user=self.ben),
            ):
                self.assertEqual(await anna.receive_json_from(), {"joined": "Ben"})
                await ben.send_json_to({"ask": "members"})
                self.assertEqual((await ben.receive_json_from())["members"], ["Anna", "Ben"])
            self.assertEqual(await anna.receive_json_from(), {"left": "Ben"})

    async def test_a_layer_that_keeps_nothing(self) -> None:
        """The page gets the latest messages, and is not told who is there."""
        await say("tea", "Ben", "stored")
        plain = {"default": {"BACKEND": "chat.tests.PlainLayer"}}
        with override_settings(CHANNEL_LAYERS=plain):
            async with websocket("/ws/rooms/tea/?after=1", user=self.anna) as anna:
                self.assertEqual((await anna.receive_json_from())["text"], "stored")
                await anna.send_json_to({"ask": "members"})
                await anna.send_json_to({"text": "Hello"})
                self.assertEqual((await anna.receive_json_from())["text"], "Hello")


class PlainLayer(InMemoryChannelLayer):
    """A layer with groups only, as the one of channels-redis."""

    extensions: ClassVar[list[str]] = ["groups", "flush"]


class PageTests(TestCase):
    """The pages that lead to a room."""

    def setUp(self) -> None:
        """Log in, because only members see the pages."""
        self.client.force_login(User.objects.create_user("Anna"))

    def test_visitors_who_are_not_logged_in_are_asked_to(self) -> None:
        """Then the page that was requested follows."""
        for path in ("/feed/", "/rooms/tea/"):
            response = Client().get(path)
            self.assertRedirects(response, f"/accounts/log-in/?next={path}")

    def test_the_first_page_is_for_everybody(self) -> None:
        """A visitor sees what the site is, and the ways in."""
        response = Client().get("/")
        for way in ("/accounts/guest/", "/accounts/sign-up/", "/accounts/log-in/"):
            self.assertContains(response, f'"{way}"')

    def test_each_page_shows_who_is_logged_in(self) -> None:
        """With the button to log out."""
        for path in ("/", "/rooms/tea/"):
            self.assertContains(self.client.get(path), '<strong id="member">Anna</strong>')

    def test_the_index_leads_to_the_room_that_was_typed(self) -> None:
        """A valid name redirects."""
        self.assertRedirects(self.client.get("/", {"room": "tea"}), "/rooms/tea/")

    def test_the_index_says_what_is_wrong_with_a_name(self) -> None:
        """An invalid one is shown again, with the reason."""
        response = self.client.get("/", {"room": '"/><b>'})
        self.assertContains(response, "starts with a letter", status_code=400)
        self.assertContains(response, "&quot;/&gt;&lt;b&gt;", status_code=400)

    def test_the_index_lists_rooms_with_messages_newest_first(self) -> None:
        """Each room is listed once, however many messages it has."""
        for room in ("tea", "coffee", "tea"):
            Message.objects.create(room=room, author="Anna", text="Hello")
        rooms = self.client.get("/").context["rooms"]
        self.assertEqual([room["name"] for room in rooms], ["tea", "coffee"])

    def test_a_room_has_a_page(self) -> None:
        """The script gets the room's name as JSON."""
        response = self.client.get("/rooms/a.b-c_d/")
        self.assertContains(
            response, 'type="application/json">{"room": "a.b-c_d", "member": "Anna"'
        )
        # Without a worker, the button for statistics could only fail.
        self.assertNotContains(response, "Statistics")
        with override_settings(HAS_WORKER=True):
            self.assertContains(self.client.get("/rooms/a.b-c_d/"), "Statistics")

    def test_invalid_room_names_have_no_page(self) -> None:
        """Pages and WebSockets accept the same names."""
        for path in ("/rooms/caf\u00e9/", "/rooms/.a/", f"/rooms/{'a' * 51}/", "/rooms/a%0A/"):
            self.assertEqual(self.client.get(path).status_code, 404)
