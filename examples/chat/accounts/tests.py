"""Tests of the accounts: run them with `python manage.py test`."""

import threading
from typing import Any
from unittest import mock

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import (
    AsyncClient,
    Client,
    SimpleTestCase,
    TestCase,
    TransactionTestCase,
    override_settings,
)

from accounts.attempts import client_of
from accounts.consumers import TOO_MANY_ATTEMPTS
from chat.tests import websocket

# A safety net, for a busy machine.
SECONDS = 60
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
        self.assertNotContains(self.client.get("/"), "Anna")
        self.assertRedirects(self.client.get("/feed/"), "/accounts/log-in/?next=/feed/")

    def test_a_guest_needs_only_a_name(self) -> None:
        """The first page asks for it. No two guests have the same name, and nobody's password."""
        for name, expected in (
            ("Zoe", "Zoe (guest)"),
            ("Zoe", "Zoe (guest 2)"),
            ("A&B", "A&amp;B (guest)"),
        ):
            guest = Client()
            self.assertContains(guest.get("/?next=/rooms/tea/"), 'name="next" value="/rooms/tea/"')
            form = {"name": name, "next": "/rooms/tea/"}
            self.assertRedirects(guest.post("/accounts/guest/", form), "/rooms/tea/")
            self.assertContains(guest.get("/"), f'<strong id="member">{expected}</strong>')
        self.assertFalse(any(member.has_usable_password() for member in User.objects.all()))
        self.assertEqual(self.sign_up("Zoe (guest 3)"), "")

    def test_a_guest_without_a_name_is_asked_again(self) -> None:
        """The reason is shown, and no account is created."""
        for name in ("", "   ", "a" * 31, "\x00"):
            response = self.client.post("/accounts/guest/", {"name": name})
            self.assertContains(response, 'id="problem"')
        self.assertFalse(User.objects.exists())

    def test_the_first_member_may_use_the_desk_while_the_site_is_tried(self) -> None:
        """With DEBUG on; in production, nobody becomes staff by signing up."""
        self.sign_up("Anna")
        with override_settings(DEBUG=True):
            self.sign_up("Ben")
            User.objects.all().delete()
            self.sign_up("Carla")
            self.sign_up("Dora")
        self.assertEqual(
            list(User.objects.filter(is_staff=True)), [User.objects.get(username="Carla")]
        )

    def test_nobody_is_logged_out_by_a_link(self) -> None:
        """Logging out and exchanging a token both need a form with a CSRF token."""
        careful = Client(enforce_csrf_checks=True)
        for path in ("/accounts/log-out/", "/accounts/log-in/exchange/"):
            self.assertEqual(careful.get(path).status_code, 405)
            self.assertEqual(careful.post(path).status_code, 403)


@fast_passwords
class SocketTests(TransactionTestCase):
    """Logging in and out over a WebSocket.

    Another thread checks the password. It does not see what the transaction of a `TestCase` has
    stored.
    """

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
        response = await client.get("/feed/")
        self.assertEqual(response.headers["location"], "/accounts/log-in/?next=/feed/")

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
class AttemptTests(TransactionTestCase):
    """The limits hold for forms and WebSockets together."""

    def setUp(self) -> None:
        """Forget the attempts of other tests, and create the account."""
        cache.clear()
        self.addCleanup(cache.clear)
        # No count begins anew during a test.
        clock = mock.patch("accounts.attempts.time", return_value=1e9)
        self.time = clock.start()
        self.addCleanup(clock.stop)
        User.objects.create_user("Anna", password=PASSWORD)

    def try_form(self, password: str, address: str) -> tuple[int, str]:
        """Submit the form to log in, and return the status and the page."""
        form = {"username": "Anna", "password": password}
        response = self.client.post("/accounts/log-in/", form, REMOTE_ADDR=address)
        return response.status_code, response.content.decode()

    async def try_socket(self, password: str, address: str) -> dict[str, str]:
        """Open a new WebSocket, log in over it, and return the answer."""
        async with websocket("/ws/account/") as visitor:
            visitor.scope["client"] = [address, 1234]
            await visitor.send_json_to(log_in("Anna", password))
            answer = await visitor.receive_json_from()
            if answer.get("problem", "").startswith("Too many"):
                await visitor.assert_closed(TOO_MANY_ATTEMPTS)
            return dict(answer)

    async def test_one_account_from_many_addresses(self) -> None:
        """Only wrong passwords count. After too many, the right one does not help either."""
        await self.try_socket(PASSWORD, "192.0.2.1")
        for number in range(settings.ATTEMPTS_OF_ACCOUNT):
            answer = await self.try_socket("a guess", f"192.0.2.{number}")
            self.assertIn("correct username and password", answer["problem"])
        answer = await self.try_socket(PASSWORD, "198.51.100.1")
        self.assertEqual(answer, {"problem": "Too many attempts. Please try again in 10 minutes."})

    def test_a_form_after_websockets(self) -> None:
        """There is one count for both."""
        for _ in range(settings.ATTEMPTS_OF_ACCOUNT):
            self.assertEqual(self.try_form("a guess", "192.0.2.1")[0], 200)
        status, page = self.try_form(PASSWORD, "198.51.100.1")
        self.assertEqual(status, 429)
        self.assertIn("Too many attempts.", page)
        self.time.return_value += settings.ATTEMPTS_SECONDS
        self.assertEqual(self.try_form(PASSWORD, "198.51.100.1")[0], 302)

    def test_many_accounts_from_one_address(self) -> None:
        """Signing up counts too, because it takes as long."""
        for number in range(settings.ATTEMPTS_OF_ADDRESS):
            form = {"username": f"Ben-{number}", "password": "a guess"}
            self.client.post("/accounts/log-in/", form, REMOTE_ADDR="192.0.2.1")
        form = {"username": "Ben", "password1": PASSWORD, "password2": PASSWORD}
        for path in ("/accounts/sign-up/", "/accounts/guest/"):
            response = self.client.post(path, {**form, "name": "Ben"}, REMOTE_ADDR="192.0.2.1")
            self.assertContains(response, "Too many attempts.", status_code=429)
        self.assertFalse(User.objects.filter(username="Ben").exists())
        response = self.client.post("/accounts/sign-up/", form, REMOTE_ADDR="192.0.2.2")
        self.assertEqual(response.status_code, 302)

    async def test_members_do_not_wait_for_passwords(self) -> None:
        """Not even while more of them are checked than there are threads for it."""
        client = AsyncClient()
        await client.aforce_login(await User.objects.aget())
        checked = threading.Event()
        with mock.patch.object(MD5PasswordHasher, "verify", lambda *args: checked.wait(SECONDS)):
            strangers = [websocket("/ws/account/") for _ in range(20)]
            try:
                for number, stranger in enumerate(strangers):
                    stranger.scope["client"] = [f"192.0.2.{number}", 1234]
                    await stranger.connect()
                    await stranger.send_json_to(log_in("Anna", "a guess"))
                async with websocket("/ws/rooms/tea/", cookies=client.cookies) as room:
                    await room.send_json_to({"text": "Milk, anyone?"})
                    self.assertEqual((await room.receive_json_from())["author"], "Anna")
                self.assertFalse(checked.is_set())
            finally:
                checked.set()
                for stranger in strangers:
                    await stranger.disconnect()

    def test_a_busy_site_says_so(self) -> None:
        """A visitor does not wait for long."""
        with mock.patch("accounts.attempts.turns.acquire", return_value=False):
            status, page = self.try_form(PASSWORD, "192.0.2.1")
        self.assertEqual(status, 429)
        self.assertIn("The site is busy.", page)


class AddressTests(SimpleTestCase):
    """One client, one count."""

    def test_a_client_has_half_of_an_address_of_ipv6(self) -> None:
        """Its provider gives it that many addresses."""
        for address, client in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
            ("", ""),
        ):
            self.assertEqual(client_of(address), client)


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
