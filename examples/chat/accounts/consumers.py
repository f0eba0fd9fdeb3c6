"""Logging in and out over a WebSocket."""

from typing import Any

from channels.auth import create_login_token, logout
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from accounts.forms import SocketLoginForm

__all__ = ["AccountConsumer"]

ATTEMPTS = 5
TOO_MANY_ATTEMPTS = 4429


class AccountConsumer(AsyncJsonWebsocketConsumer, max_message_size=8192):
    """Check the name and the password of a visitor, or end the login of a member."""

    async def connect(self) -> None:
        """Accept everybody: a visitor may not have logged in yet."""
        self.attempts = 0
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Handle the request of the page."""
        match content:
            case {"action": "log_in"}:
                await self.log_in(content)
            case {"action": "log_out"}:
                await logout(self.scope)
                await self.close()
            case _:
                await self.send_json({"problem": "Unknown request."})

    async def log_in(self, content: dict[str, Any]) -> None:
        """Answer with a token, for which the page gets the cookie by an HTTP request."""
        self.attempts += 1
        form = SocketLoginForm(data=content)
        # In a thread, because checking a password takes much of a second, on purpose. Every other
        # connection would have to wait for it.
        if await database_sync_to_async(form.is_valid)():
            await self.send_json({"token": create_login_token(form.get_user())})
        elif self.attempts < ATTEMPTS:
            problems = [str(text) for texts in form.errors.values() for text in texts]
            await self.send_json({"problem": " ".join(problems)})
        else:
            await self.close(TOO_MANY_ATTEMPTS)
