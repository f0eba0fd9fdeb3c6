"""What the site promises to clients without WebSockets: run with `python manage.py test`."""

import json
from typing import Any
from unittest import mock
from urllib.parse import quote

from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.test import AsyncClient, Client, TestCase

from chat.feeds import BATCH, FeedConsumer, PollConsumer, read_after
from chat.models import Message
from chat.saying import say
from chat.tests import SECONDS, Visitor, cookies_of, logged_in
from chatsite.asgi import application


class Request:
    """Stand for one HTTP request, as a server would hand it to the application."""

    def __init__(self, target: str, cookies: str = "", method: str = "GET", **headers: str) -> None:
        """Make ready to ask for a path, with its query, under the cookies."""
        path, _, query = target.partition("?")
        sent = {"host": "testserver", "cookie": cookies, **headers}
        self.link = ApplicationCommunicator(
            application,
            {
                "type": "http",
                "method": method,
                "path": path,
                "query_string": query.encode(),
                "headers": [
                    (name.replace("_", "-").encode(), value.encode())
                    for name, value in sent.items()
                ],
            },
        )

    async def start(self) -> dict[str, Any]:
        """Send the request, and return the beginning of the response."""
        await self.link.send_input({"type": "http.request"})
        return dict(await self.link.receive_output(timeout=SECONDS))

    async def part(self) -> str:
        """Return the next part of the response's body."""
        message = await self.link.receive_output(timeout=SECONDS)
        return str(message["body"].decode())

    async def end(self) -> None:
        """Return when the response has ended by itself."""
        message = await self.link.receive_output(timeout=SECONDS)
        assert not message.get("more_body"), message
        await self.link.wait(timeout=SECONDS)

    async def leave(self) -> None:
        """Close the tab, or end the program."""
        await self.link.send_input({"type": "http.disconnect"})
        await self.link.wait(timeout=SECONDS)


class Feed(Request):
    """Stand for one browser with the page that follows all rooms."""

    async def follow(self) -> str:
        """Begin, and return the id that the browser has before the first event."""
        start = await self.start()
        assert start["status"] == 200, start
        assert await self.part() == ": \n\n"
        fields = await self.event()
        assert "data" not in fields, fields
        return fields["id"]

    async def event(self) -> dict[str, str]:
        """Return the fields of what comes next."""
        lines = (await self.part()).splitlines()
        return dict(line.split(": ", 1) for line in lines if line)

    async def hear(self, number: int) -> list[str]:
        """Return the texts of the next messages, of which each has the id of its event."""
        texts = []
        for _ in range(number):
            fields = await self.event()
            message = json.loads(fields["data"])
            assert fields["id"] == str(message["id"]), fields
            texts.append(message["text"])
        return texts


async def said(*texts: str, room: str = "tea") -> list[int]:
    """Let these have been said before anybody follows, and return their ids."""
    return [
        (await Message.objects.acreate(room=room, author="Anna", text=text)).pk for text in texts
    ]


class FeedTests(TestCase):
    """The stream of what is said in all rooms."""

    async def feed(self, query: str = "", last_event_id: str | None = None) -> Feed:
        """Return the feed of a member, which has not begun."""
        if not hasattr(self, "cookies"):
            self.cookies = cookies_of(await logged_in("Ben"))
        headers = {} if last_event_id is None else {"last_event_id": last_event_id}
        return Feed(f"/feed/events/{query}", self.cookies, **headers)

    async def test_everything_that_is_said_comes(self) -> None:
        """Out of each room, whether it was said over a WebSocket or by a form."""
        feed = await self.feed()
        await feed.follow()

        anna = await logged_in("Anna")
        member = Visitor("/ws/rooms/tea/", cookies_of(anna))
        await member.knock()
        await member.say(text="<b>Milk</b>,\nanyone?")
        message = json.loads((await feed.event())["data"])
        self.assertEqual((message["room"], message["author"]), ("tea", "Anna"))
        self.assertEqual(message["text"], "<b>Milk</b>,\nanyone?")
        await member.leave()

        await anna.post("/rooms/coffee/plain/", {"text": "Sugar?"})
        message = json.loads((await feed.event())["data"])
        self.assertEqual((message["room"], message["text"]), ("coffee", "Sugar?"))
        await feed.leave()

    async def test_a_new_page_gets_the_last_twenty_messages(self) -> None:
        """And takes over where they begin, should it have to come back before the first one."""
        ids = await said(*map(str, range(25)))
        feed = await self.feed()
        self.assertEqual(await feed.follow(), str(ids[4]))
        self.assertEqual(await feed.hear(20), [str(number) for number in range(5, 25)])
        await feed.leave()

    async def test_who_comes_back_gets_what_they_missed(self) -> None:
        """All of it, in order, and nothing else; the browser's header counts first."""
        ids = await said(*map(str, range(BATCH + 30)))
        missed = [str(number) for number in range(2, BATCH + 30)]
        for query, header in (
            ("", str(ids[1])),
            (f"?after={ids[1]}", None),
            (f"?after={ids[7]}", str(ids[1])),
        ):
            feed = await self.feed(query, header)
            await feed.follow()
            self.assertEqual(await feed.hear(len(missed)), missed)
            self.assertTrue(await feed.link.receive_nothing())
            await feed.leave()

    async def test_what_is_said_while_the_database_is_read_comes_once(self) -> None:
        """Whether the database has it already or not."""
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
            feed = await self.feed(last_event_id=str(last))
            await feed.follow()
            self.assertEqual(await feed.hear(2), ["not yet read", "read already"])
            self.assertTrue(await feed.link.receive_nothing())
        await feed.leave()

    async def test_what_the_layer_has_lost_comes_with_the_next_message(self) -> None:
        """The layer tells that there is something, and the database says what."""
        feed = await self.feed()
        await feed.follow()
        await said("lost")
        await say("tea", "Anna", "found")
        self.assertEqual(await feed.hear(2), ["lost", "found"])
        await feed.leave()

    async def test_an_id_that_is_none_makes_a_new_page(self) -> None:
        """Whatever a program may send."""
        await said("Hello")
        for nonsense in ("x", "-1", "1.5", "\x00", "9" * 5000, "\xff", "\u0663", "NaN", "1 OR 1"):
            for query, header in ((f"?after={quote(nonsense)}", None), ("", nonsense)):
                feed = await self.feed(query, header)
                await feed.follow()
                if nonsense != "\u0663":  # three in another script, and so an id
                    self.assertEqual(await feed.hear(1), ["Hello"])
                await feed.leave()

    async def test_an_id_that_was_never_given(self) -> None:
        """As when the database was made anew: what is said from now on comes."""
        [last] = await said("before")
        for number in (last + 1, 2**63 - 1):
            feed = await self.feed(last_event_id=str(number))
            self.assertEqual(await feed.follow(), str(last))
            await say("tea", "Anna", "after")
            self.assertEqual(await feed.hear(1), ["after"])
            await feed.leave()
            last += 1

    async def test_a_stream_ends_after_a_while(self) -> None:
        """And the browser asks for another one, which takes a login that holds."""
        with mock.patch.object(FeedConsumer, "response_timeout", 0):
            feed = await self.feed()
            await feed.follow()
            await feed.end()
        await User.objects.all().adelete()
        again = await self.feed()
        self.assertEqual((await again.start())["status"], 401)
        await again.link.wait(timeout=SECONDS)

    async def test_who_is_not_logged_in_gets_no_stream(self) -> None:
        """And is not sent to another page, which a script could not read."""
        for path in ("/feed/events/", "/rooms/tea/poll/"):
            for cookies in ("", "sessionid=nowhere"):
                request = Request(path, cookies)
                self.assertEqual((await request.start())["status"], 401)
                await request.link.wait(timeout=SECONDS)


class PollTests(TestCase):
    """Waiting for messages by ordinary requests."""

    async def poll(self, query: str, room: str = "tea", method: str = "GET") -> Request:
        """Return a request of a member, which is not yet sent."""
        if not hasattr(self, "cookies"):
            self.cookies = cookies_of(await logged_in("Ben"))
        return Request(f"/rooms/{room}/poll/{query}", self.cookies, method)

    async def texts(self, request: Request) -> list[str]:
        """Return the texts of the answer, which ends the request."""
        body = json.loads(await request.part())
        await request.link.wait(timeout=SECONDS)
        return [message["text"] for message in body["messages"]]

    async def test_what_is_there_comes_at_once(self) -> None:
        """What is newer than the client has, or the last twenty messages for a new one."""
        ids = await said(*map(str, range(25)))
        await said("elsewhere", room="coffee")
        for query, first in (("", 5), ("?after=", 5), (f"?after={ids[22]}", 23), ("?after=0", 0)):
            request = await self.poll(query)
            start = await request.start()
            self.assertEqual(start["status"], 200)
            self.assertIn((b"content-type", b"application/json"), start["headers"])
            self.assertEqual(await self.texts(request), [str(n) for n in range(first, 25)])

    async def test_a_request_waits_for_the_next_message_of_its_room(self) -> None:
        """Another room's is not it, and neither is one that the client has."""
        [last] = await said("before")
        for after in (last, 10**6):
            request = await self.poll(f"?after={after}")
            self.assertEqual((await request.start())["status"], 200)
            await say("coffee", "Anna", "elsewhere")
            self.assertTrue(await request.link.receive_nothing())
            await say("tea", "Anna", "after")
            self.assertEqual(await self.texts(request), ["after"])

    async def test_what_is_said_while_the_database_is_read_comes(self) -> None:
        """The query has not found it, so the layer has to tell."""
        said_meanwhile: list[bool] = []

        async def slow(*args: Any) -> list[Message]:
            found = await read_after(*args)
            if not said_meanwhile:
                said_meanwhile.append(True)
                await say("tea", "Anna", "meanwhile")
            return found

        with mock.patch("chat.feeds.read_after", slow):
            request = await self.poll("")
            await request.start()
            self.assertEqual(await self.texts(request), ["meanwhile"])

    async def test_a_request_does_not_wait_for_ever(self) -> None:
        """It ends without a message, and the client asks again."""
        with mock.patch.object(PollConsumer, "response_timeout", 0):
            request = await self.poll("")
            await request.start()
            self.assertEqual(await self.texts(request), [])

    async def test_a_client_may_leave(self) -> None:
        """Nothing is kept of its request."""
        request = await self.poll("")
        await request.start()
        await request.leave()
        await say("tea", "Anna", "Hello?")

    async def test_nonsense_is_answered(self) -> None:
        """The answer names the parameter that is wrong."""
        for nonsense in ("x", "-1", "1.5", "%00", "9" * 5000, "%ff"):
            request = await self.poll(f"?after={nonsense}")
            self.assertEqual((await request.start())["status"], 400)
            self.assertEqual(list(json.loads(await request.part())["errors"]), ["after"])
            await request.link.wait(timeout=SECONDS)

    async def test_a_poll_changes_nothing(self) -> None:
        """Other methods are refused, so that no other site can have them done."""
        for method in ("POST", "PUT", "DELETE"):
            request = await self.poll("", method=method)
            self.assertEqual((await request.start())["status"], 405)
            await request.link.wait(timeout=SECONDS)

    async def test_a_room_that_cannot_be_has_no_poll(self) -> None:
        """It is left to Django, which does not know it either."""
        request = await self.poll("", room="caf\u00e9")
        self.assertEqual((await request.start())["status"], 404)
        await request.leave()


class PlainPageTests(TestCase):
    """The pages beside the consumers."""

    def setUp(self) -> None:
        """Log in, for the pages are for members."""
        self.client.force_login(User.objects.create_user("Anna"))

    def test_a_form_writes_into_a_room(self) -> None:
        """Under the name of the login, as over a WebSocket; text stays text."""
        form = {"text": " <b>Milk</b>? ", "author": "Ben"}
        response = self.client.post("/rooms/tea/plain/", form)
        self.assertRedirects(response, "/rooms/tea/plain/")
        message = Message.objects.get()
        self.assertEqual((message.room, message.author), ("tea", "Anna"))
        page = self.client.get("/rooms/tea/plain/")
        self.assertContains(page, "<strong>Anna</strong>&lt;b&gt;Milk&lt;/b&gt;?")

    async def test_who_has_a_websocket_hears_it(self) -> None:
        """One room for all, however they are in it."""
        ben = Visitor("/ws/rooms/tea/", cookies_of(await logged_in("Ben")))
        await ben.knock()
        anna = AsyncClient()
        await anna.aforce_login(await User.objects.aget(username="Anna"))
        await anna.post("/rooms/tea/plain/", {"text": "Milk?"})
        self.assertEqual((await ben.hear())["text"], "Milk?")
        await ben.leave()

    def test_nonsense_is_not_kept(self) -> None:
        """The form comes again with the reason, and with the text."""
        for nonsense, reason in (
            ("", "This field is required."),
            ("a" * 501, "at most 500 characters"),
            ("\x00", "Null characters are not allowed."),
        ):
            response = self.client.post("/rooms/tea/plain/", {"text": nonsense})
            self.assertContains(response, reason, status_code=400)
        self.assertFalse(Message.objects.exists())

    def test_another_site_cannot_post(self) -> None:
        """It has no token."""
        careful = Client(enforce_csrf_checks=True)
        careful.force_login(User.objects.get())
        response = careful.post("/rooms/tea/plain/", {"text": "Milk?"})
        self.assertEqual(response.status_code, 403)
        self.assertFalse(Message.objects.exists())

    def test_the_pages_are_for_members(self) -> None:
        """And each page leads to the feed."""
        for path in ("/feed/", "/rooms/tea/plain/"):
            self.assertRedirects(Client().get(path), f"/accounts/log-in/?next={path}")
            self.assertContains(self.client.get(path), '<a href="/feed/">Live feed</a>')

    async def test_django_s_pages_are_behind_the_consumers(self) -> None:
        """What no consumer answers is for the views."""
        for path, status in (("/feed/", 302), ("/accounts/log-in/", 200), ("/feed/other/", 404)):
            request = Request(path)
            self.assertEqual((await request.start())["status"], status)
            await request.part()
            await request.leave()
