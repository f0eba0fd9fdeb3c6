"""Who may connect: guards, and tokens in place of cookies."""

# The model's app is not installed here, so a type checker does not know its manager.
# mypy: disable-error-code="attr-defined"

from typing import Any

from channels.auth import (
    AuthMiddlewareStack,
    EndsWithLoginMiddleware,
    FirstMessageToken,
    HeaderToken,
    SubprotocolToken,
    TokenAuthMiddleware,
    login_required,
    permission_required,
)
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.signing import BadSignature, TimestampSigner
from django.db import models
from django.urls import path


class Greeting(AsyncWebsocketConsumer):
    """Say who has connected."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=f"Hello, {self.scope['user'].get_username() or 'stranger'}")


# begin guards
staff = URLRouter([path("reports/", Greeting.as_asgi()), path("logs/", Greeting.as_asgi())])

routes = URLRouter(
    [
        path("lobby/", Greeting.as_asgi()),
        path("members/", login_required(Greeting.as_asgi())),
        path("staff/", permission_required("auth.view_user", staff)),
    ]
)

application = ProtocolTypeRouter(
    {"websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(routes))}
)
# end of guards


class Token(models.Model):
    """One key for each user, as in Django REST framework."""

    key = models.CharField(max_length=40, primary_key=True)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

    class Meta:
        app_label = "tokens"

    def __str__(self) -> str:
        return f"of {self.user}"  # Not the key: this may be logged.


def user_of_key(token: str, scope: dict[str, Any]) -> Any:
    """Return the user to whom the key belongs, or None to refuse the connection."""
    found = Token.objects.select_related("user").filter(key=token, user__is_active=True).first()
    return found.user if found else None


# begin keys
for_programs = TokenAuthMiddleware(
    routes, user_of_key, [HeaderToken(scheme="Token")], required=True
)
# end of keys


class Tickets:
    """Tokens that need no table and are valid for a minute: a view makes one for its page."""

    # No colon between the parts: a subprotocol cannot have one.
    signer = TimestampSigner(salt="websocket tickets", sep=".")

    def make(self, user: Any) -> str:
        return self.signer.sign(str(user.pk))

    async def authenticate(self, token: str, scope: dict[str, Any]) -> Any:
        try:
            key = self.signer.unsign(token, max_age=60)
        except BadSignature:
            return None
        return await get_user_model().objects.filter(pk=key, is_active=True).afirst()


# begin tickets
for_browsers = TokenAuthMiddleware(
    EndsWithLoginMiddleware(routes),
    Tickets(),
    [SubprotocolToken("ticket"), FirstMessageToken(timeout=5.0, key="ticket")],
)
# end of tickets
