"""Identify members of the lobby by a token in the query string."""

from typing import Any
from urllib.parse import parse_qs

from channels.middleware import BaseMiddleware


class MemberMiddleware(BaseMiddleware):
    """Set `scope["member"]`."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        [member] = parse_qs(scope["query_string"].decode()).get("member", [None])
        await super().__call__(dict(scope, member=member), receive, send)
