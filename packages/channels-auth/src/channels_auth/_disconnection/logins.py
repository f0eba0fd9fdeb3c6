"""Who is logged in on a connection, and whether by its session or by other means."""

from typing import Any, NamedTuple

from channels_auth._disconnection.messages import (
    DISCONNECT,
    REVALIDATE,
    password_digest,
    session_digest,
    session_group,
    user_group,
)
from channels_auth._sessions.engine import keeps_data_in_cookie
from channels_core.typing import Message, Scope

__all__ = ["Login", "read_login"]


class Login(NamedTuple):
    """Who is logged in, and by what."""

    user: Any
    group: str
    #: The connection's session if the login came out of it, and its digest.
    session: Any
    digest: str | None
    #: Digest of the password that the user had when the connection found the user.
    password: str | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups in which its sockets are."""
        if self.digest is None or keeps_data_in_cookie(self.session):
            return (self.group,)
        return (self.group, session_group(self.digest))

    @property
    def is_ahead(self) -> bool:
        """Whether the session holds what is not stored yet, so that the store says little."""
        return bool(getattr(self.session, "modified", False))

    def is_ended_by(self, message: Message) -> bool | None:
        """Tell whether a message of the layer ends this login; None if only a look can tell."""
        kind = message.get("type")
        # The group may be that of the user before.
        if message.get("group") not in self.groups or kind not in (DISCONNECT, REVALIDATE):
            return False
        if kind == REVALIDATE:
            return None
        session, password = message.get("session"), message.get("unless")
        if session is not None:
            if session == self.digest:
                return True
            # Perhaps it is this session, with its key from before it was renewed.
            return False if self.digest is None else None
        if password is not None:
            return None if self.password is None else password != self.password
        return True

    async def is_over_here(self) -> bool:
        """Tell whether the connection's own application has ended the login."""
        # Here, because it needs the settings.
        from django.contrib.auth import SESSION_KEY

        return self.session is not None and await self.session.aget(SESSION_KEY) is None


async def read_login(scope: Scope) -> Login | None:
    """Return the login of a connection, or None.

    Scope:
        `user`, and `session` if there is one.
    """
    # Here, because it needs the settings.
    from django.contrib.auth import SESSION_KEY

    user = scope["user"]
    if not user.is_authenticated:
        return None
    session: Any = scope.get("session")
    if not getattr(session, "session_key", None) or await session.aget(SESSION_KEY) != _stored(
        user
    ):
        return Login(user, user_group(user), None, None, password_digest(user))
    digest = session_digest(session.session_key)
    return Login(user, user_group(user), session, digest, password_digest(user))


def _stored(user: Any) -> str:
    """Return a user's primary key as a session holds it."""
    meta = getattr(user, "_meta", None)
    return str(user.pk) if meta is None else str(meta.pk.value_to_string(user))
