"""Notifications for a user, from anywhere in the site."""

# The settings have a layer, so `get_channel_layer()` does not return None.
# mypy: disable-error-code="union-attr"

from collections.abc import Mapping
from typing import Any

from channels.auth import AuthMiddlewareStack, login_required
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.http import QueryDict
from django.urls import path

# begin settings
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {"history": {"user.*": {"size": 50, "age": 3600}}},
    },
}
# end of settings


def user_group(pk: Any) -> str:
    """Return the name of the group of all pages that a user has open."""
    return f"user.{pk}"


class Notifications(AsyncJsonWebsocketConsumer):
    """Send a page what its user should know."""

    async def connect(self) -> None:
        # The user comes from the login, never from what the client sends.
        after = QueryDict(self.scope["query_string"]).get("after")
        await self.join_group(user_group(self.scope["user"].pk), after=after)
        await self.accept()

    async def user_notification(self, event: Mapping[str, Any]) -> None:
        await self.send_json({**event["notification"], "position": event["position"]})


def notify(pk: Any, **notification: Any) -> None:
    """Send a notification to all pages of a user, as soon as the transaction is committed."""
    event = {"type": "user.notification", "notification": notification}
    get_channel_layer().group_send_on_commit(user_group(pk), event)


# begin application
routes = URLRouter([path("notifications/", login_required(Notifications.as_asgi()))])

application = ProtocolTypeRouter(
    {
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(routes, ends_with_login=True)),
    }
)
# end of application
