"""Logging in and out over a WebSocket: docs/topics/authentication.md."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from channels.auth import create_login_token, logout
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from accounts.attempts import TOO_MANY
from accounts.forms import SocketLoginForm

__all__ = ["AccountConsumer"]

TOO_MANY_ATTEMPTS = 4429
# Checking a password takes much of a second, on purpose. In the event loop, every connection would
# wait for it. In the thread of `database_sync_to_async`, everybody who needs the database would.
passwords = ThreadPoolExecutor(8, thread_name_prefix="passwords")


class AccountConsumer(AsyncJsonWebsocketConsumer, max_message_size=8192):
    """Check the name and the password of a visitor, or end the login of a member."""

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
        address, _ = self.scope.get("client") or ("", 0)
        form = SocketLoginForm(data=content, address=address)
        check = database_sync_to_async(form.is_valid, thread_sensitive=False, executor=passwords)
        if await check():
            await self.send_json({"token": create_login_token(form.get_user())})
            return
        problems = [str(text) for texts in form.errors.values() for text in texts]
        await self.send_json({"problem": " ".join(problems)})
        if form.has_error("__all__", TOO_MANY):
            await self.close(TOO_MANY_ATTEMPTS)
