"""The login of a connection, and which messages end it."""

from __future__ import annotations

from typing import Any, NamedTuple

from channels_auth._disconnection.messages import (
    DISCONNECT,
    REVALIDATE,
    password_digest,
    session_digest,
    session_group,
    user_groups,
)
from channels_auth._session_storage import keeps_data_in_cookie
from channels_core.typing import Message, Scope

__all__ = ["Login", "read_login"]


class Login(NamedTuple):
    """The user of a connection, and how the user was identified."""

    user: Any
    #: The names of the user's groups.
    user_groups: tuple[str, ...]
    #: The connection's session if the user comes from it; None for a login by other means.
    session: Any
    #: The digest of the session's key; None without a session.
    digest: str | None
    #: The digest of the password that the user had when the connection loaded the user.
    password: str | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups of the connection."""
        if self.digest is None or keeps_data_in_cookie(self.session):
            return self.user_groups
        return (*self.user_groups, session_group(self.digest))

    @property
    def has_unsaved_session(self) -> bool:
        """Whether the session has changes that are not stored, so that a check would be wrong."""
        return bool(getattr(self.session, "modified", False))

    def is_ended_by(self, message: Message) -> bool | None:
        """Return whether a message of the layer ends this login.

        Returns:
            True or False; None if only a check in the database can decide.
        """
        kind = message.get("type")
        # The group may be that of the connection's previous user.
        if message.get("group") not in self.groups or kind not in (DISCONNECT, REVALIDATE):
            return False
        if kind == REVALIDATE:
            return None
        session, password = message.get("session"), message.get("unless")
        if session is not None:
            if session == self.digest:
                return True
            # It may be the key that this session had before it was renewed.
            return False if self.digest is None else None
        if password is not None:
            return None if self.password is None else password != self.password
        return True

    async def was_ended_by_application(self) -> bool:
        """Return whether the connection's own application has ended the login."""
        # Imported here because it needs the settings.
        from django.contrib.auth import SESSION_KEY

        return self.session is not None and await self.session.aget(SESSION_KEY) is None


async def read_login(scope: Scope) -> Login | None:
    """Return the login of a connection, or None if the user is anonymous.

    Scope:
        `user` is read, and `session` if there is one.
    """
    # Imported here because it needs the settings.
    from django.contrib.auth import SESSION_KEY

    user = scope["user"]
    if not user.is_authenticated:
        return None
    session: Any = scope.get("session")
    if not getattr(session, "session_key", None) or (
        await session.aget(SESSION_KEY) != _key_in_session(user)
    ):
        return Login(user, user_groups(user), None, None, password_digest(user))
    digest = session_digest(session.session_key)
    return Login(user, user_groups(user), session, digest, password_digest(user))


def _key_in_session(user: Any) -> str:
    """Return a user's primary key in the form that Django stores in a session."""
    meta = getattr(user, "_meta", None)
    return str(user.pk) if meta is None else str(meta.pk.value_to_string(user))
