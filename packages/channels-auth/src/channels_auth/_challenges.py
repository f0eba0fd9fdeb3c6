"""The `WWW-Authenticate` headers of a refusal with status 401."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from channels_auth._scope import CHALLENGES
from channels_core.typing import Scope

__all__ = ["add_challenges", "challenge_headers"]

# RFC 9110, section 15.5.2, requires a challenge, and no scheme is registered for a login by
# cookie. Browsers do not ask for a password when they do not know the scheme.
_COOKIE: Final = ("Cookie",)


def add_challenges(scope: Scope, challenges: Iterable[str]) -> None:
    """Record in the scope how a client may authenticate, for refusals by the applications inside.

    Args:
        scope: A copy of the connection's scope, which is changed.
        challenges: Challenges, such as `Bearer`.
    """
    scope[CHALLENGES] = tuple(dict.fromkeys((*scope.get(CHALLENGES, ()), *challenges)))


def challenge_headers(scope: Scope) -> list[tuple[str, str]]:
    """Return the headers for a refusal: the recorded challenges, or else that of a cookie."""
    return [("www-authenticate", challenge) for challenge in scope.get(CHALLENGES, _COOKIE)]
