"""Sessions and cookies on a connection."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.sessions import CookieMiddleware, SessionMiddlewareStack


class CartConsumer(AsyncJsonWebsocketConsumer):
    """Keep a cart in the visitor's session, where the views of the site find it too."""

    async def connect(self) -> None:
        session = self.scope["session"]
        await session.asetdefault("cart", [])
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        session = self.scope["session"]
        cart = [*await session.aget("cart"), str(content)[:50]]
        await session.aset("cart", cart)
        await self.send_json(cart)


class ThemeConsumer(AsyncJsonWebsocketConsumer):
    """Set a cookie of its own with the answer to the handshake."""

    async def connect(self) -> None:
        message: dict[str, Any] = {"type": "websocket.accept"}
        if "theme" not in self.scope["cookies"]:
            CookieMiddleware.set_cookie(message, "theme", "dark", max_age=3600, samesite="Lax")
        await self.base_send(message)


# begin stack
application = SessionMiddlewareStack(CartConsumer.as_asgi())
# end of stack
