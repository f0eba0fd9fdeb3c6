"""The user of a connection, logging in and logging out."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from time import time
from typing import Any

from channels.auth import (
    AuthMiddlewareStack,
    InvalidLoginToken,
    create_login_token,
    login,
    login_with_token,
    logout,
)
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth import authenticate
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

# begin check
# So many passwords are checked at once. The others wait here, and nothing else waits for them.
passwords = ThreadPoolExecutor(2, thread_name_prefix="passwords")
ATTEMPTS, SECONDS = 10, 600
# JSON can contain these: NUL, and half of a character. No account has them.
UNUSABLE = re.compile("[\0\ud800-\udfff]")


def check(scope: Any, name: str, password: str) -> Any:
    """Return the user with this name and password, or None; also None after too many failures."""
    if UNUSABLE.search(name + password):
        return None
    address, _ = scope.get("client") or ("", 0)
    # New keys for each ten minutes, hashed because a cache does not accept every character.
    window = int(time() / SECONDS)
    # The address first: what it tries over its limit does not count for any account.
    counted = (f"address {address}", f"account {name.casefold()}")
    keys = [sha256(f"{window} {each}".encode()).hexdigest() for each in counted]
    for key in keys:
        # Counted in one step, and before the password is checked: connecting again does not help,
        # and neither does trying many at once.
        cache.add(key, 0, 2 * SECONDS)
        if cache.incr(key) > ATTEMPTS:
            return None
    if user := authenticate(username=name, password=password):
        for key in keys:
            with suppress(ValueError):  # the cache has dropped it
                cache.decr(key)
    return user


acheck = database_sync_to_async(check, thread_sensitive=False, executor=passwords)
# end of check


class GreetingConsumer(AsyncWebsocketConsumer):
    """Greet whoever has connected."""

    async def connect(self) -> None:
        user = self.scope["user"]
        await self.accept()
        await self.send(f"Hello, {user.get_username() if user.is_authenticated else 'stranger'}")


class KioskConsumer(AsyncWebsocketConsumer):
    """Log in a machine by the code in its address, with the answer to the handshake."""

    async def connect(self) -> None:
        user = await acheck(self.scope, "kiosk", self.scope["url_route"]["kwargs"]["code"])
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
                user = await acheck(self.scope, name, password)
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
