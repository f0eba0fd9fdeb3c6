"""WebSockets that end with the login."""

from functools import partial
from typing import Any

from channels.auth import AuthMiddlewareStack, disconnect_user, get_user
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path


class Inbox(AsyncWebsocketConsumer):
    """Say whose inbox it is."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=f"The inbox of {self.scope['user'].get_username()}")


class Announcements(AsyncWebsocketConsumer):
    """Ask with each frame whether the user has the permission now."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        user: Any = await get_user(self.scope)
        if not await user.ahas_perm("auth.add_user"):
            await self.close(4403)
            return
        self.scope["user"] = user
        await self.send(text_data=f"Announced: {text_data}")


# begin stack
routes = URLRouter([path("inbox/", Inbox.as_asgi())])

application = ProtocolTypeRouter(
    {
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(routes, ends_with_login=True, revalidate_every=300)
        )
    }
)
# end of stack


@login_required
def leave_everywhere(request: HttpRequest) -> HttpResponse:
    """Close all of the visitor's WebSockets, on all devices; a form of the site posts here."""
    disconnect_user(request.user)
    return HttpResponse(status=204)


# begin take_over
async def take_over(user: Any, session_key: str) -> None:
    """Close the WebSockets of one session, with a code of the site's own."""
    await disconnect_user(user, 4000, session_key=session_key)


# end of take_over


def suspend(names: list[str]) -> None:
    """Deactivate many users with one query, which sends no signals."""
    users = get_user_model().objects.filter(username__in=names)
    keys = list(users.values_list("pk", flat=True))
    users.update(is_active=False)
    for key in keys:
        transaction.on_commit(partial(disconnect_user, key))
