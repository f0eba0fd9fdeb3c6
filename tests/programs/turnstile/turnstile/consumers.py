"""A consumer that performs an action during the handshake, named by its address."""

from channels.auth import LoginOnOpenConnectionError, login
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth.models import User


class Turnstile(AsyncJsonWebsocketConsumer):
    """Perform the action, answer the handshake, and send the result."""

    async def connect(self) -> None:
        action, answer = self.scope["url_route"]["kwargs"].values()
        problem = ""
        if action == "begin":
            await self.scope["session"].aset("cart", ["tea"])
        elif action == "log-in":
            try:
                await login(self.scope, await User.objects.aget(username="ben"))
            except LoginOnOpenConnectionError:
                problem = "LoginOnOpenConnectionError"
        match answer:
            case "close":
                await self.close()
            case "deny":
                await self.deny(status=403)
            case "fail":
                raise RuntimeError("as the address says")
            case _:
                await self.accept()
                await self.send_json(
                    {"user": self.scope["user"].get_username(), "problem": problem}
                )
