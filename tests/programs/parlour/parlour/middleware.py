"""Middleware in two steps, as in Channels 2: first the scope, then the connection."""

from urllib.parse import parse_qs

from channels.auth import AuthMiddleware, AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.middleware import BaseMiddleware
from channels.sessions import CookieMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.db import close_old_connections

from .models import Token


class HouseMiddleware:
    """The outermost middleware, which adds the name of the house."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, scope):
        return self.inner(dict(scope, house="parlour"))


class TokenAuthMiddleware:
    """Takes the user from a token in the query string, in an instance for each connection."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, scope):
        return TokenAuthMiddlewareInstance(scope, self)


class TokenAuthMiddlewareInstance:
    def __init__(self, scope, middleware):
        self.scope = dict(scope)
        self.inner = middleware.inner

    async def __call__(self, receive, send):
        [key] = parse_qs(self.scope["query_string"].decode()).get("token", [None])
        if key is not None:
            self.scope["user"] = await self.get_user(key)
        inner = self.inner(self.scope)
        return await inner(receive, send)

    @database_sync_to_async
    def get_user(self, key):
        try:
            return Token.objects.get(key=key).user
        except Token.DoesNotExist:
            return AnonymousUser()


def TokenAuthMiddlewareStack(inner):
    return TokenAuthMiddleware(AuthMiddlewareStack(inner))


class MemberMiddleware:
    """Looks up the user in the first step."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, scope):
        close_old_connections()
        user = User.objects.get(username=scope["query_string"].decode("utf-8"))
        return self.inner(dict(scope, user=user))


class QueryAuthMiddleware:
    """Accepts the user name that a visitor claims, without a query."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, scope):
        if b"=" in scope["query_string"]:
            return self.inner(scope)
        user = User(username=scope["query_string"].decode("utf-8"))
        return self.inner(dict(scope, user=user))


class GreetingMiddleware(BaseMiddleware):
    """Defines the two methods of the base class: one prepares the scope, one may wait."""

    def populate_scope(self, scope):
        scope["greeting"] = None

    async def resolve_scope(self, scope):
        scope["greeting"] = "good evening, %s of the %s" % (scope["user"], scope["house"])


class NamedAuthMiddleware(AuthMiddleware):
    """The middleware of the framework, with one key added."""

    async def resolve_scope(self, scope):
        await super().resolve_scope(scope)
        scope["member"] = not scope["user"].is_anonymous


class VisitMiddleware:
    """Sets a cookie on responses."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, scope):
        inner = self.inner(scope)

        async def instance(receive, send):
            async def send_with_cookie(message):
                if message["type"] == "http.response.start":
                    message.setdefault("headers", [])
                    CookieMiddleware.set_cookie(message, "visited", "yes", max_age=60)
                await send(message)

            return await inner(receive, send_with_cookie)

        return instance
