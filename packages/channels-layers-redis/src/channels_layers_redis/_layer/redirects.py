"""Errors of a cluster's node, as redis-py knows them; loaded with the first error of a server.

Before version 6, redis-py's asyncio connection does not tell them from other errors of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError, TryAgainError

__all__ = ["known"]

_BY_CODE: Final[Mapping[str, type[ResponseError]]] = {
    "ASK": AskError,
    "CLUSTERDOWN": ClusterDownError,
    "MOVED": MovedError,
    "TRYAGAIN": TryAgainError,
}


def known(error: ResponseError) -> ResponseError:
    """Return the error of redis-py for an answer, if it is one of a cluster; else the same one."""
    code, _, rest = str(error).partition(" ")
    kind = _BY_CODE.get(code) if type(error) is ResponseError else None
    return error if kind is None else kind(rest)
