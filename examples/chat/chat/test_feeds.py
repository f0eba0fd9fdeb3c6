"""Tests of the pages without WebSockets: run them with `python manage.py test`."""

import json
import re
from typing import Any
from unittest import mock
from urllib.parse import quote

from channels.routing import URLRouter
from channels.testing import HttpCommunicator
from django import urls
from django.contrib.auth.models import User
from django.test import Client, TestCase, override_settings

from chat.feeds import BATCH, FeedConsumer, PollConsumer, read_after
from chat.models import Message
from chat.saying import say
from chat.tests import websocket
from chatsite.asgi import application

#: Django's views ask under which name they are served.
HOST = [(b"host", b"testserver")]


class Feed(HttpCommunicator):
    """The request of a page that follows all rooms."""

    def __init__(self, query: str = "", last_event_id: str = "", **who: Any) -> None:
        """Prepare the request, optionally with the id of the last event that the browser has."""
        headers = {"last-event-id": last_event_id.encode()} if last_event_id else {}
        super().__init__(application, "GET", f"/feed/events/{query}", headers=headers, **who)

    async def begin(self) -> str:
        """Return the id that the browser has before the first event."""
        assert await self.receive_body() == b": \n\n"
        fields = await self.event()
        assert "data" not in fields, fields
        return fields["id"]

    async def event(self) -> dict[str, str]:
        """Return the fields of the next event."""
        lines = (await self.receive_body()).decode().splitlines()
        return dict(line.split(": ", 1) for line in lines if line)

    async def hear(self) -> Any:
        """Return the next message, which has the id of its event."""
        fields = await self.event()
        message = json.loads(fields["data"])
        assert fields["id"] == str(message["id"]), fields
        return message

    async def texts(self, number: int) -> list[str]:
        """Return the texts of the next messages."""
        return [(await self.hear())["text"] for _ in range(number)]


async def said(*texts: str, room: str = "tea") -> list[int]:
    """Store messages, and return their ids."""
    return [
        (await Message.objects.acreate(room=room, author="Anna", text=text)).pk for text in texts
    ]


class FeedTests(TestCase):
    """The stream of messages of all rooms."""

    anna: User
    ben: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create the members."""
        cls.anna = User.objects.create_user("Anna")
        cls.ben = User.objects.create_user("Ben")

    async def test_all_messages_arrive(self) -> None:
        """From each room, sent over a WebSocket or by a form."""
        async with Feed(user=self.ben) as feed:
            await feed.begin()

            async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
                await anna.send_json_to({"text": "<b>Milk</b>,\nanyone?"})
                message = await feed.hear()
            self.assertEqual((message["room"], message["author"]), ("tea", "Anna"))
            self.assertEqual(message["text"], "<b>Milk</b>,\nanyone?")

            await self.async_client.aforce_login(self.anna)
            await self.async_client.post("/rooms/coffee/plain/", {"text": "Sugar?"})
            message = await feed.hear()
            self.assertEqual((message["room"], message["text"]), ("coffee", "Sugar?"))

    async def test_a_new_page_gets_the_last_twenty_messages(self) -> None:
        """The first id is the one before them, in case the page reconnects at once."""
        ids = await said(*map(str, range(25)))
        async with Feed(user=self.ben) as feed:
            self.assertEqual(await feed.begin(), str(ids[4]))
            self.assertEqual(await feed.texts(20), [str(number) for number in range(5, 25)])

    async def test_a_page_that_reconnects_gets_what_it_missed(self) -> None:
        """All of it, in order, and nothing else; the header takes precedence over the parameter."""
        ids = await said(*map(str, range(BATCH + 30)))
        missed = [str(number) for number in range(2, BATCH + 30)]
        for query, header in (
            ("", str(ids[1])),
            (f"?after={ids[1]}", ""),
            (f"?after={ids[7]}", str(ids[1])),
        ):
            async with Feed(query, header, user=self.ben) as feed:
                await feed.begin()
                self.assertEqual(await feed.texts(len(missed)), missed)
                self.assertTrue(await feed.receive_nothing())

    async def test_what_is_said_while_the_database_is_read_comes_once(self) -> None:
        """Whether or not the query has already found it."""
        [last] = await said("before")
        catch_up = FeedConsumer.catch_up

        async def slow(consumer: FeedConsumer) -> None:
            if not done:
                done.append(True)
                await say("tea", "Anna", "not yet read")
                await catch_up(consumer)
                await say("tea", "Anna", "read already")
            else:
                await catch_up(consumer)

        done: list[bool] = []
        with mock.patch.object(FeedConsumer, "catch_up", slow):
            async with Feed(last_event_id=str(last), user=self.ben) as feed:
                await feed.begin()
                self.assertEqual(await feed.texts(2), ["not yet read", "read already"])
                self.assertTrue(await feed.receive_nothing())

    async def test_a_message_that_the_layer_lost_arrives_with_the_next(self) -> None:
        """The layer reports that there is something new; the database has the messages."""
        async with Feed(user=self.ben) as feed:
            await feed.begin()
            await said("lost")
            await say("tea", "Anna", "found")
            self.assertEqual(await feed.texts(2), ["lost", "found"])

    async def test_an_invalid_id_counts_as_none(self) -> None:
        """Whatever a client sends."""
        await said("Hello")
        for nonsense in ("x", "-1", "1.5", "\x01", "9" * 5000, "\xff", "\u0663", "NaN", "1 OR 1"):
            for query, header in ((f"?after={quote(nonsense)}", ""), ("", nonsense)):
                async with Feed(query, header, user=self.ben) as feed:
                    await feed.begin()
                    if nonsense != "\u0663":  # three in another script, and so an id
                        self.assertEqual(await feed.texts(1), ["Hello"])

    async def test_an_id_that_was_never_given(self) -> None:
        """As after the database was replaced: new messages arrive."""
        [last] = await said("before")
        for number in (last + 1, 2**63 - 1):
            async with Feed(last_event_id=str(number), user=self.ben) as feed:
                self.assertEqual(await feed.begin(), str(last))
                await say("tea", "Anna", "after")
                self.assertEqual(await feed.texts(1), ["after"])
            last += 1

    async def test_a_stream_ends_after_a_while(self) -> None:
        """The browser reconnects, for which the login must still be valid."""

        class Brief(FeedConsumer, response_timeout=0):
            """Ends at once."""

        request = HttpCommunicator(Brief.as_asgi(), "GET", "/", user=self.ben)
        self.assertEqual((await request.get_response()).status, 200)
        await self.async_client.aforce_login(self.ben)
        cookies = self.async_client.cookies
        await self.ben.adelete()
        self.assertEqual((await Feed(cookies=cookies).get_response()).status, 401)

    async def test_visitors_who_are_not_logged_in_get_no_stream(self) -> None:
        """They get a status instead of a redirect, which a script could not use."""
        for path in ("/feed/events/", "/parrot/events/", "/rooms/tea/poll/"):
            for cookies in ({}, {"sessionid": "nowhere"}):
                request = HttpCommunicator(application, "GET", path, cookies=cookies)
                self.assertEqual((await request.get_response()).status, 401)


class PollTests(TestCase):
    """Waiting for messages by ordinary requests."""

    ben: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create the member who polls."""
        cls.ben = User.objects.create_user("Ben")

    def poll(self, query: str = "", room: str = "tea", method: str = "GET") -> HttpCommunicator:
        """Return a request of the member, which has not been sent yet."""
        path = f"/rooms/{room}/poll/{query}"
        return HttpCommunicator(application, method, path, headers=HOST, user=self.ben)

    async def texts(self, request: HttpCommunicator) -> list[str]:
        """Return the texts of the answer."""
        response = await request.get_response()
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["content-type"], "application/json")
        return [message["text"] for message in response.json()["messages"]]

    async def test_existing_messages_arrive_at_once(self) -> None:
        """Those that the client does not have, or the last twenty for a new client."""
        ids = await said(*map(str, range(25)))
        await said("elsewhere", room="coffee")
        for query, first in (("", 5), ("?after=", 5), (f"?after={ids[22]}", 23), ("?after=0", 0)):
            expected = [str(number) for number in range(first, 25)]
            self.assertEqual(await self.texts(self.poll(query)), expected)

    async def test_a_request_waits_for_the_next_message_of_its_room(self) -> None:
        """Not for one of another room, nor for one that the client has."""
        [last] = await said("before")
        for after in (last, 10**6):
            async with self.poll(f"?after={after}") as request:
                await say("coffee", "Anna", "elsewhere")
                self.assertTrue(await request.receive_nothing())
                await say("tea", "Anna", "after")
                self.assertEqual(await self.texts(request), ["after"])

    async def test_what_is_said_while_the_database_is_read_comes(self) -> None:
        """The query has not found it, so the layer must report it."""
        said_meanwhile: list[bool] = []

        async def slow(*args: Any) -> list[Message]:
            found = await read_after(*args)
            if not said_meanwhile:
                said_meanwhile.append(True)
                await say("tea", "Anna", "meanwhile")
            return found

        with mock.patch("chat.feeds.read_after", slow):
            self.assertEqual(await self.texts(self.poll()), ["meanwhile"])

    async def test_a_request_does_not_wait_for_ever(self) -> None:
        """It ends without a message, and the client sends another request."""

        class Brief(PollConsumer, response_timeout=0):
            """Waits for nothing."""

        router = URLRouter([urls.path("<room>/", Brief.as_asgi())])
        request = HttpCommunicator(router, "GET", "/tea/", user=self.ben)
        self.assertEqual(await self.texts(request), [])

    async def test_a_client_may_leave(self) -> None:
        """Nothing of its request is left."""
        async with self.poll():
            pass
        await say("tea", "Anna", "Hello?")

    async def test_nonsense_is_answered(self) -> None:
        """The answer names the invalid parameter."""
        for nonsense in ("x", "-1", "1.5", "%00", "9" * 5000, "%ff"):
            response = await self.poll(f"?after={nonsense}").get_response()
            self.assertEqual((response.status, list(response.json()["errors"])), (400, ["after"]))

    async def test_a_poll_changes_nothing(self) -> None:
        """Methods that could change something are refused."""
        for method in ("POST", "PUT", "DELETE"):
            response = await self.poll(method=method).get_response()
            self.assertEqual(response.status, 405)

    async def test_invalid_room_names_have_no_poll(self) -> None:
        """The request goes to Django, which has no such page either."""
        self.assertEqual((await self.poll(room="caf\u00e9").get_response()).status, 404)


class ParrotTests(TestCase):
    """The stream of words."""

    anna: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create the member who asks."""
        cls.anna = User.objects.create_user("Anna")

    def setUp(self) -> None:
        """Let the parrot think faster."""
        self.enterContext(override_settings(WORD_SECONDS=0))

    async def ask(self, query: str, last_event_id: str = "") -> list[tuple[str, str]]:
        """Return the ids and the words of the answer, which ends by itself."""
        headers = {"last-event-id": last_event_id.encode()} if last_event_id else {}
        request = HttpCommunicator(
            application, "GET", f"/parrot/events/?{query}", headers=headers, user=self.anna
        )
        body = (await request.get_response()).body.decode()
        self.assertTrue(body.endswith("event: end\ndata: end\n\n"), body)
        return re.findall(r"id: (\d+)\ndata: (.*)\n", body)

    async def test_an_answer_goes_on_after_the_last_word(self) -> None:
        """It has the same words for the same question. A client may send anything as an id."""
        answer = await self.ask("question=What+is+a+group?")
        self.assertEqual([word for _, word in answer[:5]], ["What", "is", "a", "group?", "Good"])
        self.assertEqual([int(number) for number, _ in answer], [*range(1, len(answer) + 1)])
        self.assertEqual(await self.ask("question=What+is+a+group?", "7"), answer[7:])
        self.assertEqual(await self.ask("question=What+is+a+group?", "9" * 15), [])
        for nonsense in ("x", "-1", "\xff"):
            self.assertEqual(await self.ask("question=What+is+a+group?", nonsense), answer)
        self.assertNotEqual(await self.ask("question=Why?"), answer)

    async def test_any_question_is_answered(self) -> None:
        """Also one that is empty, that has several lines, or that is not Unicode."""
        for query in ("", "question=", "question=%0A%0Aevent:+stolen", "question=%ff", "\xff"):
            self.assertGreater(len(await self.ask(query)), 10)

    async def test_the_parrot_stops_when_the_visitor_leaves(self) -> None:
        """Its loop is cancelled."""
        with override_settings(WORD_SECONDS=3600):
            request = HttpCommunicator(application, "GET", "/parrot/events/", user=self.anna)
            async with request:
                await request.receive_body()
        self.assertTrue(request.future.done())


class PlainPageTests(TestCase):
    """The pages beside the consumers."""

    anna: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create a member, because only members see the pages."""
        cls.anna = User.objects.create_user("Anna")

    def setUp(self) -> None:
        """Log in."""
        self.client.force_login(self.anna)

    def test_a_form_writes_into_a_room(self) -> None:
        """Under the name of the login, as over a WebSocket; text stays text."""
        form = {"text": " <b>Milk</b>? ", "author": "Ben"}
        response = self.client.post("/rooms/tea/plain/", form)
        self.assertRedirects(response, "/rooms/tea/plain/")
        message = Message.objects.get()
        self.assertEqual((message.room, message.author), ("tea", "Anna"))
        page = self.client.get("/rooms/tea/plain/")
        self.assertContains(page, "&lt;b&gt;Milk&lt;/b&gt;?</span>")

    async def test_members_with_a_websocket_receive_it(self) -> None:
        """Both ways lead into the same room."""
        member = await User.objects.acreate_user("Ben")
        await self.async_client.aforce_login(self.anna)
        async with websocket("/ws/rooms/tea/", user=member) as ben:
            await self.async_client.post("/rooms/tea/plain/", {"text": "Milk?"})
            self.assertEqual((await ben.receive_json_from())["text"], "Milk?")

    def test_invalid_messages_are_not_stored(self) -> None:
        """The form is shown again, with the reason and the text."""
        for nonsense, reason in (
            ("", "This field is required."),
            ("a" * 501, "at most 500 characters"),
            ("\x00", "Null characters are not allowed."),
        ):
            response = self.client.post("/rooms/tea/plain/", {"text": nonsense})
            self.assertContains(response, reason, status_code=400)
        self.assertFalse(Message.objects.exists())

    def test_another_site_cannot_post(self) -> None:
        """It has no CSRF token."""
        careful = Client(enforce_csrf_checks=True)
        careful.force_login(self.anna)
        response = careful.post("/rooms/tea/plain/", {"text": "Milk?"})
        self.assertEqual(response.status_code, 403)
        self.assertFalse(Message.objects.exists())

    def test_the_pages_are_for_members(self) -> None:
        """Each page has a link to the feed."""
        for path in ("/feed/", "/parrot/", "/rooms/tea/plain/"):
            self.assertRedirects(Client().get(path), f"/accounts/log-in/?next={path}")
            self.assertContains(self.client.get(path), '<a href="/feed/">Live feed</a>')

    async def test_requests_without_a_consumer_reach_django(self) -> None:
        """Django's views handle them."""
        for path, status in (("/feed/", 302), ("/accounts/log-in/", 200), ("/feed/other/", 404)):
            request = HttpCommunicator(application, "GET", path, headers=HOST)
            self.assertEqual((await request.get_response()).status, status)
