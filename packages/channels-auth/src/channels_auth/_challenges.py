"""What `WWW-Authenticate` tells a client that is refused with status 401."""

from collections.abc import Iterable
from typing import Final

from channels_core.typing import Scope

__all__ = ["add_challenges", "challenge_headers"]

_KEY: Final = "channels_auth.challenges"

# RFC 9110, section 15.5.2, wants one, and there is no registered scheme for logins by a cookie.
# Browsers ask for no password for a scheme that they do not know.
_COOKIE: Final = ("Cookie",)


def add_challenges(scope: Scope, challenges: Iterable[str]) -> None:
    """Tell the applications inside how a client may say who it is.

    Args:
        scope: A copy of the connection's, which is changed.
        challenges: Challenges, such as `Bearer`.
    """
    scope[_KEY] = tuple(dict.fromkeys((*scope.get(_KEY, ()), *challenges)))


def challenge_headers(scope: Scope) -> list[tuple[str, str]]:
    """Return the headers of a refusal; where nobody has added challenges, that of a cookie."""
    return [("www-authenticate", challenge) for challenge in scope.get(_KEY, _COOKIE)]
