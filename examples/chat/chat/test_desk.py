"""Tests of the desk: run them with `python manage.py test`."""

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.test import AsyncClient, Client, TransactionTestCase, override_settings

from chat.models import Message
from chat.tests import websocket


class DeskTests(TransactionTestCase):
    """What staff sees and does.

    Views are in another thread than the consumers, and see what is committed.
    """

    def setUp(self) -> None:
        """Create the members, and a room."""
        self.anna = User.objects.create_user("Anna", is_staff=True)
        self.ben = User.objects.create_user("Ben")
        Message.objects.create(room="tea", author="Ben", text="Hello")
        layers = {"default": settings.LAYERS["memory"]}
        self.enterContext(override_settings(CHANNEL_LAYERS=layers))

    async def browser(self, member: User) -> AsyncClient:
        """Return the browser of a member."""
        client = AsyncClient()
        await client.aforce_login(member)
        return client

    def room(self, browser: AsyncClient) -> WebsocketCommunicator:
        """Return the WebSocket of a page that has no messages to get."""
        return websocket("/ws/rooms/coffee/", cookies=browser.cookies)

    async def test_only_staff_may_use_it(self) -> None:
        """Visitors are asked to log in; other members are refused, and see no link."""
        path = f"/desk/disconnect/{self.anna.pk}/"
        for page in ("/desk/", path):
            response = await self.async_client.post(page)
            self.assertEqual(response.headers["location"], f"/accounts/log-in/?next={page}")
        ben, anna = await self.browser(self.ben), await self.browser(self.anna)
        for page in ("/desk/", path):
            self.assertEqual((await ben.post(page, {"text": "Hello"})).status_code, 403)
        self.assertNotContains(await ben.get("/"), "/desk/")
        self.assertContains(await anna.get("/"), "/desk/")
        self.assertEqual((await anna.get(path)).status_code, 405)

    def test_a_form_of_another_site_is_refused(self) -> None:
        """It has no CSRF token."""
        careful = Client(enforce_csrf_checks=True)
        careful.force_login(self.anna)
        for path in ("/desk/", f"/desk/disconnect/{self.ben.pk}/"):
            self.assertEqual(careful.post(path, {"text": "Hello"}).status_code, 403)

    async def test_an_announcement(self) -> None:
        """Every room shows it; an invalid one is explained."""
        anna, ben = await self.browser(self.anna), await self.browser(self.ben)
        async with self.room(ben) as room:
            response = await anna.post("/desk/", {"text": "Tea is ready"})
            self.assertEqual(response.headers["location"], "/desk/")
            self.assertEqual((await room.receive_json_from())["announcement"], "Tea is ready")
            response = await anna.post("/desk/", {"text": " "})
            self.assertContains(response, "This field is required.", status_code=400)
            self.assertTrue(await room.receive_nothing())

    async def test_a_member_is_disconnected(self) -> None:
        """All their WebSockets close. The login stays, so they may come back."""
        anna, ben = await self.browser(self.anna), await self.browser(self.ben)
        async with self.room(ben) as first, self.room(ben) as second, self.room(anna) as other:
            response = await anna.post(f"/desk/disconnect/{self.ben.pk}/")
            self.assertEqual(response.headers["location"], "/desk/")
            await first.assert_closed(4403)
            await second.assert_closed(4403)
            self.assertTrue(await other.receive_nothing())
        async with self.room(ben):
            pass
        self.assertEqual((await anna.post("/desk/disconnect/0/")).status_code, 404)

    async def test_the_members_and_their_rooms(self) -> None:
        """Only those who are somewhere have a button, if the layer knows it."""
        anna, ben = await self.browser(self.anna), await self.browser(self.ben)
        async with websocket("/ws/rooms/tea/", cookies=ben.cookies):
            page = await anna.get("/desk/")
        self.assertContains(page, "<strong>Ben</strong> in tea")
        self.assertContains(page, f"/desk/disconnect/{self.ben.pk}/")
        self.assertNotContains(page, f"/desk/disconnect/{self.anna.pk}/")
        plain = {"default": {"BACKEND": "chat.tests.PlainLayer"}}
        with override_settings(CHANNEL_LAYERS=plain):
            self.assertContains(await anna.get("/desk/"), f"/desk/disconnect/{self.anna.pk}/")
