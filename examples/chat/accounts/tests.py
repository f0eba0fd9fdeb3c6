"""What the site promises its members: run with `python manage.py test`."""

import re
from unittest import mock

from django.contrib.auth import aget_user
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import AsyncClient, Client, TestCase, TransactionTestCase

from accounts.consumers import ATTEMPTS, TOO_MANY_ATTEMPTS
from chat.tests import SECONDS, Visitor, cookies_of, logged_in

PASSWORD = "correct horse battery"


class PageTests(TestCase):
    """Signing up, logging in and logging out with forms."""

    def sign_up(self, name: str, page: str = "") -> str:
        """Sign up, and return where the answer leads to."""
        form = {"username": name, "password1": PASSWORD, "password2": PASSWORD, "next": page}
        return self.client.post("/accounts/sign-up/", form).headers.get("location", "")

    def test_a_new_member_is_logged_in(self) -> None:
        """The page that was asked for comes next, if it is one of this site."""
        self.assertEqual(self.sign_up("Anna", "/rooms/tea/"), "/rooms/tea/")
        self.assertContains(self.client.get("/"), '<strong id="member">Anna</strong>')
        self.assertEqual(self.sign_up("Ben"), "/")
        self.assertEqual(self.sign_up("Carla", "https://example.org/"), "/")
        self.assertContains(self.client.get("/"), '<strong id="member">Carla</strong>')

    def test_a_bad_form_comes_again_with_the_reasons(self) -> None:
        """No account is made, and the page that was asked for is not forgotten."""
        form = {"username": "Anna", "password1": "123", "password2": "123"}
        response = self.client.post("/accounts/sign-up/?next=/rooms/tea/", form)
        self.assertContains(response, "This password is too short")
        self.assertContains(response, 'name="next" value="/rooms/tea/"')
        self.assertFalse(User.objects.exists())

    def test_a_member_logs_in_and_out(self) -> None:
        """By ordinary forms, without a script."""
        User.objects.create_user("Anna", password=PASSWORD)
        page = self.client.get("/accounts/log-in/?next=/rooms/tea/")
        self.assertContains(page, "/accounts/sign-up/?next=/rooms/tea/")
        form = {"username": "Anna", "password": PASSWORD, "next": "/rooms/tea/"}
        self.assertRedirects(self.client.post("/accounts/log-in/", form), "/rooms/tea/")
        self.assertEqual(self.client.post("/accounts/log-out/").headers["location"], "/")
        self.assertRedirects(self.client.get("/"), "/accounts/log-in/?next=/")

    def test_nobody_is_logged_out_by_a_link(self) -> None:
        """Logging out takes a form with its CSRF token, and so does the exchange of a token."""
        careful = Client(enforce_csrf_checks=True)
        for path in ("/accounts/log-out/", "/accounts/log-in/exchange/"):
            self.assertEqual(careful.get(path).status_code, 405)
            self.assertEqual(careful.post(path).status_code, 403)


class SocketTests(TestCase):
    """Logging in and out over a WebSocket."""

    async def open(self, cookies: str = "") -> Visitor:
        """Open the WebSocket about the account."""
        visitor = Visitor("/ws/account/", cookies)
        self.assertEqual((await visitor.knock())["type"], "websocket.accept")
        return visitor

    async def token(self, name: str) -> str:
        """Make an account, log in with its password, and return the token that comes."""
        await User.objects.acreate_user(name, password=PASSWORD)
        visitor = await self.open()
        await visitor.say(action="log_in", username=name, password=PASSWORD)
        token = (await visitor.hear())["token"]
        await visitor.leave()
        return str(token)

    async def name(self, client: AsyncClient) -> str:
        """Return who is logged in with the client's cookies."""
        request = HttpRequest()
        request.session = await client.asession()
        return (await aget_user(request)).get_username()

    async def test_a_token_becomes_a_login_once(self) -> None:
        """The socket gives the token, an HTTP request the cookie."""
        form = {"token": await self.token("Anna"), "next": "/rooms/tea/"}
        response = await self.async_client.post("/accounts/log-in/exchange/", form)
        self.assertEqual(response.headers["location"], "/rooms/tea/")
        self.assertEqual(await self.name(self.async_client), "Anna")

        thief = AsyncClient()
        response = await thief.post("/accounts/log-in/exchange/", form)
        self.assertContains(response, "Please log in again", status_code=400)
        self.assertEqual(await self.name(thief), "")

    async def test_a_name_may_be_spelt_in_another_way(self) -> None:
        """An accent after its letter is the letter with the accent, over the socket as well."""
        name = "Zoe\u0308"
        form = {"username": name, "password1": PASSWORD, "password2": PASSWORD}
        await self.async_client.post("/accounts/sign-up/", form)
        self.assertEqual(await self.name(self.async_client), "Zo\xeb")

        visitor = await self.open()
        await visitor.say(action="log_in", username=name, password=PASSWORD)
        self.assertIn("token", await visitor.hear())
        await visitor.leave()

    async def test_a_token_that_is_none_is_refused(self) -> None:
        """Nothing, nonsense, one that was changed, one that lay around."""
        token = await self.token("Anna")
        for bad in ("", "\x00", "a:b:c", token[:-1], token.swapcase()):
            response = await self.async_client.post("/accounts/log-in/exchange/", {"token": bad})
            self.assertEqual(response.status_code, 400)
        with mock.patch("time.time", return_value=4e9):
            response = await self.async_client.post("/accounts/log-in/exchange/", {"token": token})
        self.assertEqual(response.status_code, 400)
        self.assertEqual(await self.name(self.async_client), "")

    async def test_a_wrong_password_may_be_tried_a_few_times(self) -> None:
        """Then the connection ends."""
        await User.objects.acreate_user("Anna", password=PASSWORD)
        visitor = await self.open()
        for _ in range(ATTEMPTS - 1):
            await visitor.say(action="log_in", username="Anna", password="guess")
            self.assertIn("correct username and password", (await visitor.hear())["problem"])
        await visitor.say(action="log_in", username="Anna", password="guess")
        event = await visitor.socket.receive_output(timeout=SECONDS)
        self.assertEqual((event["type"], event["code"]), ("websocket.close", TOO_MANY_ATTEMPTS))
        await visitor.leave()

    async def test_nonsense_is_answered(self) -> None:
        """The connection lives on."""
        visitor = await self.open()
        for nonsense in (
            "null",
            "[]",
            "{}",
            '{"action": ["log_in"]}',
            '{"action": "log_in"}',
            '{"action": "log_in", "username": ["Anna"], "password": {}}',
            r'{"action": "log_in", "username": "\u0000", "password": "\ud800"}',
        ):
            await visitor.socket.send_input({"type": "websocket.receive", "text": nonsense})
            self.assertTrue(re.search(r"\w", (await visitor.hear())["problem"]))
        await visitor.leave()


class LogoutTests(TransactionTestCase):
    """Logging out ends the WebSockets of the login, however it is done.

    They are told after the commit, and a `TestCase` commits nothing.
    """

    async def enter(self, client: AsyncClient) -> Visitor:
        """Let the member into a room."""
        member = Visitor("/ws/rooms/tea/", cookies_of(client))
        self.assertEqual((await member.knock())["type"], "websocket.accept")
        return member

    async def assert_ended(self, member: Visitor) -> None:
        """Check that the connection is closed with the code that the page knows."""
        event = await member.socket.receive_output(timeout=SECONDS)
        self.assertEqual((event["type"], event["code"]), ("websocket.close", 4401))
        await member.leave()

    async def test_over_http(self) -> None:
        """All of the browser's rooms are left, and nobody else's."""
        anna, ben = await logged_in("Anna"), await logged_in("Ben")
        first, second, other = [await self.enter(client) for client in (anna, anna, ben)]
        await anna.post("/accounts/log-out/")
        await self.assert_ended(first)
        await self.assert_ended(second)
        self.assertTrue(await other.socket.receive_nothing())
        await other.leave()

    async def test_another_member_logs_in(self) -> None:
        """In the same browser, without a logout: the login before is over all the same."""
        anna = await logged_in("Anna")
        member = await self.enter(anna)
        await User.objects.acreate_user("Ben", password=PASSWORD)
        await anna.post("/accounts/log-in/", {"username": "Ben", "password": PASSWORD})
        await self.assert_ended(member)

    async def test_over_the_socket(self) -> None:
        """The session is gone on the server, and the cookie leads nowhere."""
        anna = await logged_in("Anna")
        member = await self.enter(anna)
        account = Visitor("/ws/account/", cookies_of(anna))
        await account.knock()
        await account.say(action="log_out")
        await self.assert_ended(member)
        event = await account.socket.receive_output(timeout=SECONDS)
        self.assertEqual(event["type"], "websocket.close")
        await account.leave()
        response = await anna.get("/rooms/tea/")
        self.assertEqual(response.headers["location"], "/accounts/log-in/?next=/rooms/tea/")
