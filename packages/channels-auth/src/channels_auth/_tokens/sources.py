"""The places of a connection in which clients put tokens."""

import json
import math
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from channels_core.typing import AnyScope, Scope

__all__ = [
    "FirstMessageToken",
    "HeaderToken",
    "QueryToken",
    "SubprotocolToken",
    "TokenSource",
    "offer",
]

_PROTOCOL_HEADER: Final = b"sec-websocket-protocol"


class TokenSource:
    """A place where clients put tokens; subclass it for another one.

    Attributes:
        challenge: What `WWW-Authenticate` tells a client that is refused; None for nothing. If
            no source has one, that is `Token`.
        subprotocol: The subprotocol by which a client says that it uses this source. It is
            chosen if the application chooses none: a browser fails the handshake otherwise.
    """

    challenge: str | None = None
    subprotocol: str | None = None

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Take the tokens out of a scope.

        Args:
            scope: A copy of the connection's, to be changed so that the token is not in it any
                more. What it holds is the original's: replace lists, do not change them.

        Returns:
            The tokens; an empty one if something is there that is none. More than one, or one
            that has other characters than visible ASCII, and the connection is refused.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define take()")


class HeaderToken(TokenSource):
    """A token in a header, such as `Authorization: Bearer <token>`; it stays in the scope.

    Scripts in a browser cannot set headers of a WebSocket; other clients can.
    """

    def __init__(self, name: str = "authorization", scheme: str | None = "Bearer") -> None:
        """Say which header.

        Args:
            name: The header's name, in any case.
            scheme: What stands before the token, in any case. A header with another scheme is
                not looked at. None if there is nothing but the token.
        """
        self.name: bytes = name.lower().encode("ascii")
        self.scheme: str | None = scheme
        self.challenge: str | None = scheme

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Return what stands in the header: all of them, if it is repeated."""
        headers = scope.get("headers") or ()
        values = [value.decode("latin-1") for name, value in headers if name.lower() == self.name]
        if self.scheme is None or len(values) > 1:
            return values
        parts = (value.strip().partition(" ") for value in values)
        expected = self.scheme.lower()
        return [token.strip() for scheme, _, token in parts if scheme.lower() == expected]


class SubprotocolToken(TokenSource):
    """A token among the subprotocols: `new WebSocket(url, ["token", token, "chat.v1"])`.

    The application sees neither the name nor the token.
    """

    def __init__(self, name: str = "token") -> None:
        """Say how the token is announced.

        Args:
            name: The subprotocol that comes right before the token.
        """
        self.subprotocol: str | None = name

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Take each entry that comes after the name."""
        tokens = []
        others = []
        entries = iter(scope.get("subprotocols") or ())
        for entry in entries:
            if entry == self.subprotocol:
                tokens.append(next(entries, ""))
            else:
                others.append(entry)
        if tokens:
            offer(scope, others)
        return tokens


class QueryToken(TokenSource):
    """A token in the query string: `wss://example.com/chat/?token=<token>`.

    Servers and proxies write query strings to their access logs. Take another source where you
    can, and short-lived tokens where you cannot.
    """

    def __init__(self, parameter: str = "token") -> None:
        """Say which parameter.

        Args:
            parameter: The parameter's name.
        """
        self.parameter: bytes = parameter.encode()

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Take each parameter of the name; the others stay as they are."""
        tokens = []
        others = []
        for pair in (scope.get("query_string") or b"").split(b"&"):
            name, _, value = pair.partition(b"=")
            if unquote_to_bytes(name.replace(b"+", b" ")) == self.parameter:
                tokens.append(unquote_to_bytes(value).decode("latin-1"))
            else:
                others.append(pair)
        if tokens:
            scope["query_string"] = b"&".join(others)
        return tokens


class FirstMessageToken(TokenSource):
    """A token in the first frame, from a WebSocket that brings no token otherwise.

    The handshake is accepted before the application runs. So the application's own accept sends
    nothing any more, and its refusal closes the socket.
    """

    def __init__(
        self, timeout: float = 5.0, *, key: str | None = None, subprotocols: Iterable[str] = ()
    ) -> None:
        """Say how long to wait, and what for.

        Args:
            timeout: Seconds from the accept to the frame: a positive number, as anybody can have
                a socket wait that long.
            key: The frame is a JSON object with the token under this key; None if the text of
                the frame is the token.
            subprotocols: The first of these that the client offers is chosen. The application
                finds it as the only one that is offered.

        Raises:
            TypeError: The subprotocols are one str, or the timeout is no number.
            ValueError: The timeout is not positive, or without end.
        """
        if isinstance(timeout, bool) or not isinstance(timeout, int | float):
            raise TypeError(f"timeout is a number of seconds, not {timeout!r}")
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout is a positive and finite number of seconds, not {timeout}")
        if isinstance(subprotocols, str):
            raise TypeError(f"subprotocols takes several, as in [{subprotocols!r}], not one str")
        self.timeout = timeout
        self.key = key
        self.subprotocols: tuple[str, ...] = tuple(subprotocols)

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Return nothing: the frame is not there yet."""
        return ()

    def read(self, text: str) -> str:
        """Return the token in a text frame, or an empty str; override it for another format.

        Args:
            text: The frame, of at most `max_length` characters.
        """
        if self.key is None:
            return text
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        token = content.get(self.key) if isinstance(content, dict) else None
        return token if isinstance(token, str) else ""


def offer(scope: Scope, subprotocols: list[str]) -> None:
    """Leave no other subprotocols in a scope than these, nor in its headers."""
    scope["subprotocols"] = subprotocols
    headers = [pair for pair in scope.get("headers") or () if pair[0].lower() != _PROTOCOL_HEADER]
    if subprotocols:
        headers.append((_PROTOCOL_HEADER, ", ".join(subprotocols).encode("latin-1", "replace")))
    scope["headers"] = headers
