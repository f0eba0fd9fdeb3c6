"""Tests of the accounts: run them with `python manage.py test`."""

from typing import Any
from unittest import mock

from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import AsyncClient, Client, TestCase, TransactionTestCase, override_settings

from accounts.consumers import ATTEMPTS, TOO_MANY_ATTEMPTS
from chat.tests import websocket

PASSWORD = "correct horse battery"

# Checking a password takes much of a second, on purpose, unless it is stored like this.
fast_passwords = override_settings(
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]
)


def log_in(name: str, password: str) -> dict[str, str]:
    """Return what the page sends to log a visitor in."""
    return {"action": "log_in", "username": name, "password": password}


@fast_passwords
class PageTests(TestCase):
    """Signing up, logging in and logging out with forms."""

    def sign_up(self, name: str, page: str = "") -> str:
        """Sign up, and return the address that the response redirects to."""
        form = {"username": name, "password1": PASSWORD, "password2": PASSWORD, "next": page}
        return self.client.post("/accounts/sign-up/", form).headers.get("location", "")

    def test_a_new_member_is_logged_in(self) -> None:
        """The page that was requested comes next, if it belongs to this site."""
        self.assertEqual(self.sign_up("Anna", "/rooms/tea/"), "/rooms/tea/")
        self.assertContains(self.client.get("/"), '<strong id="member">Anna</strong>')
        self.assertEqual(self.sign_up("Ben"), "/")
        self.assertEqual(self.sign_up("Carla", "https://example.org/"), "/")
        self.assertContains(self.client.get("/"), '<strong id="member">Carla</strong>')

    def test_a_bad_form_is_shown_again_with_the_reasons(self) -> None:
        """No account is created, and the page that was requested is remembered."""
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
        """Logging out and exchanging a token both need a form with a CSRF token."""
        careful = Client(enforce_csrf_checks=True)
        for path in ("/accounts/log-out/", "/accounts/log-in/exchange/"):
            self.assertEqual(careful.get(path).status_code, 405)
            self.assertEqual(careful.post(path).status_code, 403)


@fast_passwords
class SocketTests(TestCase):
    """Logging in and out over a WebSocket."""

    async def token(self, name: str) -> str:
        """Create an account, log in with its password, and return the token."""
        await User.objects.acreate_user(name, password=PASSWORD)
        async with websocket("/ws/account/") as visitor:
            await visitor.send_json_to(log_in(name, PASSWORD))
            return str((await visitor.receive_json_from())["token"])

    async def assert_logged_in(self, client: AsyncClient, name: str) -> None:
        """Check that the pages show this name."""
        self.assertContains(await client.get("/"), f'<strong id="member">{name}</strong>')

    async def assert_logged_out(self, client: AsyncClient) -> None:
        """Check that the pages redirect the client to the log-in page."""
        response = await client.get("/")
        self.assertEqual(response.headers["location"], "/accounts/log-in/?next=/")

    async def test_a_token_becomes_a_login_once(self) -> None:
        """The socket returns the token, an HTTP request the cookie."""
        form = {"token": await self.token("Anna"), "next": "/rooms/tea/"}
        response = await self.async_client.post("/accounts/log-in/exchange/", form)
        self.assertEqual(response.headers["location"], "/rooms/tea/")
        await self.assert_logged_in(self.async_client, "Anna")

        thief = AsyncClient()
        response = await thief.post("/accounts/log-in/exchange/", form)
        self.assertContains(response, "Please log in again", status_code=400)
        await self.assert_logged_out(thief)

    async def test_a_name_may_be_spelled_in_another_way(self) -> None:
        """A letter followed by an accent equals the accented letter, over the socket too."""
        name = "Zoe\u0308"
        form = {"username": name, "password1": PASSWORD, "password2": PASSWORD}
        await self.async_client.post("/accounts/sign-up/", form)
        await self.assert_logged_in(self.async_client, "Zo\xeb")

        async with websocket("/ws/account/") as visitor:
            await visitor.send_json_to(log_in(name, PASSWORD))
            self.assertIn("token", await visitor.receive_json_from())

    async def test_an_invalid_token_is_refused(self) -> None:
        """Empty, malformed, modified and expired tokens."""
        token = await self.token("Anna")
        for bad in ("", "\x00", "a:b:c", token[:-1], token.swapcase()):
            response = await self.async_client.post("/accounts/log-in/exchange/", {"token": bad})
            self.assertEqual(response.status_code, 400)
        with mock.patch("time.time", return_value=4e9):
            response = await self.async_client.post("/accounts/log-in/exchange/", {"token": token})
        self.assertEqual(response.status_code, 400)
        await self.assert_logged_out(self.async_client)

    async def test_a_wrong_password_may_be_tried_a_few_times(self) -> None:
        """After that the connection is closed."""
        await User.objects.acreate_user("Anna", password=PASSWORD)
        async with websocket("/ws/account/") as visitor:
            for _ in range(ATTEMPTS - 1):
                await visitor.send_json_to(log_in("Anna", "guess"))
                problem = (await visitor.receive_json_from())["problem"]
                self.assertIn("correct username and password", problem)
            await visitor.send_json_to(log_in("Anna", "guess"))
            await visitor.assert_closed(TOO_MANY_ATTEMPTS)

    async def test_nonsense_is_answered(self) -> None:
        """The connection stays open."""
        bad: list[Any] = [None, [], {}, {"action": ["log_in"]}, {"action": "log_in"}]
        bad.append({"action": "log_in", "username": ["Anna"], "password": {}})
        bad.append(log_in("\x00", "\ud800"))
        async with websocket("/ws/account/") as visitor:
            for nonsense in bad:
                await visitor.send_json_to(nonsense)
                self.assertRegex((await visitor.receive_json_from())["problem"], r"\w")


@fast_passwords
class LogoutTests(TransactionTestCase):
    """Every way to log out closes the WebSockets of the login.

    They are notified after the commit, and a `TestCase` commits nothing.
    """

    async def browser(self, name: str) -> AsyncClient:
        """Return the browser of a new member."""
        client = AsyncClient()
        await client.aforce_login(await User.objects.acreate_user(name, password=PASSWORD))
        return client

    def room(self, browser: AsyncClient) -> WebsocketCommunicator:
        """Return the WebSocket of a room, with the cookies of the browser."""
        return websocket("/ws/rooms/tea/", cookies=browser.cookies)

    async def test_over_http(self) -> None:
        """All WebSockets of this browser are closed, and no others."""
        anna, ben = await self.browser("Anna"), await self.browser("Ben")
        async with self.room(anna) as first, self.room(anna) as second, self.room(ben) as other:
            await anna.post("/accounts/log-out/")
            await first.assert_closed(4401)
            await second.assert_closed(4401)
            self.assertTrue(await other.receive_nothing())

    async def test_another_member_logs_in(self) -> None:
        """A login in the same browser ends the previous login, without a logout."""
        anna = await self.browser("Anna")
        await self.browser("Ben")
        async with self.room(anna) as room:
            await anna.post("/accounts/log-in/", {"username": "Ben", "password": PASSWORD})
            await room.assert_closed(4401)

    async def test_over_the_socket(self) -> None:
        """The session is deleted on the server, so the cookie is useless."""
        anna = await self.browser("Anna")
        async with (
            self.room(anna) as room,
            websocket("/ws/account/", cookies=anna.cookies) as account,
        ):
            await account.send_json_to({"action": "log_out"})
            await room.assert_closed(4401)
            await account.assert_closed()
        response = await anna.get("/rooms/tea/")
        self.assertEqual(response.headers["location"], "/accounts/log-in/?next=/rooms/tea/")
