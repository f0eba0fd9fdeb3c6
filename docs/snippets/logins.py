"""The user of a connection, logging in and logging out."""

from typing import Any

from channels.auth import (
    AuthMiddlewareStack,
    InvalidLoginToken,
    create_login_token,
    login,
    login_with_token,
    logout,
)
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth import aauthenticate
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST


class GreetingConsumer(AsyncWebsocketConsumer):
    """Greet whoever has connected."""

    async def connect(self) -> None:
        user = self.scope["user"]
        await self.accept()
        await self.send(f"Hello, {user.get_username() if user.is_authenticated else 'stranger'}")


class KioskConsumer(AsyncWebsocketConsumer):
    """Log in a machine by the code in its address, with the answer to the handshake."""

    async def connect(self) -> None:
        user = await aauthenticate(
            username="kiosk", password=self.scope["url_route"]["kwargs"]["code"]
        )
        if user is None:
            await self.deny(status=401)
            return
        await login(self.scope, user)
        await self.accept()


class AccountConsumer(AsyncJsonWebsocketConsumer):
    """Check a password, or log out, while the WebSocket is open."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        match content:
            case {"do": "log in", "name": str(name), "password": str(password)}:
                user = await aauthenticate(username=name, password=password)
                token = create_login_token(user) if user else None
                await self.send_json({"token": token})
            case {"do": "log out"}:
                await logout(self.scope)
                await self.close()


@require_POST
def exchange(request: HttpRequest) -> HttpResponse:
    """Log in the user of a token; Django's CSRF protection stays on."""
    try:
        user = login_with_token(request, request.POST.get("token", ""))
    except InvalidLoginToken as error:
        return JsonResponse({"problem": str(error)}, status=400)
    return JsonResponse({"name": user.get_username()})


# begin stack
routes = URLRouter(
    [
        path("greeting/", GreetingConsumer.as_asgi()),
        path("kiosk/<str:code>/", KioskConsumer.as_asgi()),
        path("account/", AccountConsumer.as_asgi()),
    ]
)

application = ProtocolTypeRouter(
    {"websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(routes))}
)
# end of stack
