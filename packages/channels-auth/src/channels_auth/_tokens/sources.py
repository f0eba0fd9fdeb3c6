"""The places where a connection may carry a token."""

from __future__ import annotations

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
    """A place where clients put tokens; subclass it for a place of your own.

    Attributes:
        challenge: The `WWW-Authenticate` header for a client that is refused; None adds no
            header. If no source has a challenge, the header is `Token`.
        subprotocol: The subprotocol by which a client announces that it uses this source. It is
            chosen if the application chooses no other one, because a browser fails the handshake
            without it.
    """

    challenge: str | None = None
    subprotocol: str | None = None

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Return the tokens in a scope, and remove them from it.

        Args:
            scope: A shallow copy of the connection's scope. Replace lists in it; do not change
                them, since they belong to the original.

        Returns:
            The tokens; an empty str for a value that is not a token. The connection is refused if
            there is more than one, or if one has characters other than visible ASCII.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define take()")


class HeaderToken(TokenSource):
    """A token in a header, such as `Authorization: Bearer <token>`; it stays in the scope.

    Scripts in a browser cannot set the headers of a WebSocket; other clients can.
    """

    def __init__(self, name: str = "authorization", scheme: str | None = "Bearer") -> None:
        """Configure the header.

        Args:
            name: The header's name, in upper or lower case.
            scheme: The word before the token, in upper or lower case. A header with another
                scheme is ignored. None if the header contains only the token.
        """
        self.name: bytes = name.lower().encode("ascii")
        self.scheme: str | None = scheme
        self.challenge: str | None = scheme

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Return the header's token; all values, if the header is repeated."""
        headers = scope.get("headers") or ()
        values = [value.decode("latin-1") for name, value in headers if name.lower() == self.name]
        if self.scheme is None or len(values) > 1:
            return values
        parts = (value.strip().partition(" ") for value in values)
        expected = self.scheme.lower()
        return [token.strip() for scheme, _, token in parts if scheme.lower() == expected]


class SubprotocolToken(TokenSource):
    """A token among the subprotocols: `new WebSocket(url, ["token", token, "chat.v1"])`.

    Both are removed from the scope.
    """

    def __init__(self, name: str = "token") -> None:
        """Configure the name before the token.

        Args:
            name: The subprotocol directly before the token.
        """
        self.subprotocol: str | None = name

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Return each entry that follows the name, and remove both."""
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

    Servers and proxies write query strings to their access logs. Use another source if you can,
    and short-lived tokens if you cannot.
    """

    def __init__(self, parameter: str = "token") -> None:
        """Configure the parameter.

        Args:
            parameter: The parameter's name.
        """
        self.parameter: bytes = parameter.encode()

    def take(self, scope: AnyScope) -> Iterable[str]:
        """Return the values of the parameter, and remove it; other parameters stay unchanged."""
        tokens = []
        others = []
        for pair in (scope.get("query_string") or b"").split(b"&"):
            if not pair:
                others.append(pair)
                continue
            name, _, value = pair.partition(b"=")
            # Decoded only if necessary: a query may have tens of thousands of names.
            if b"%" in name or b"+" in name:
                name = unquote_to_bytes(name.replace(b"+", b" "))
            if name == self.parameter:
                tokens.append(unquote_to_bytes(value).decode("latin-1"))
            else:
                others.append(pair)
        if tokens:
            scope["query_string"] = b"&".join(others)
        return tokens


class FirstMessageToken(TokenSource):
    """A token in the first frame of a WebSocket whose handshake carries no token.

    The handshake is accepted before the application runs. So the application's own accept sends
    nothing, and its refusal closes the socket.
    """

    def __init__(
        self, timeout: float = 5.0, *, key: str | None = None, subprotocols: Iterable[str] = ()
    ) -> None:
        """Configure the time-out and the format of the frame.

        Args:
            timeout: Seconds from the accept to the frame, a positive number. Any client can hold
                a socket open for this time without a token.
            key: The frame is a JSON object that has the token under this key; None if the text of
                the frame is the token.
            subprotocols: The first of these that the client offers is chosen. The application
                sees it as the only one that the client offers.

        Raises:
            TypeError: `subprotocols` is a str, or the timeout is not a number.
            ValueError: The timeout is not positive, or is infinite.
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
        """Return no tokens: the frame has not arrived yet."""
        return ()

    def read(self, text: str) -> str:
        """Return the token in a text frame, or an empty str; override this for another format.

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
    """Replace the subprotocols that a client offers, in the scope and in its headers."""
    scope["subprotocols"] = subprotocols
    headers = [pair for pair in scope.get("headers") or () if pair[0].lower() != _PROTOCOL_HEADER]
    if subprotocols:
        headers.append((_PROTOCOL_HEADER, ", ".join(subprotocols).encode("latin-1", "replace")))
    scope["headers"] = headers
