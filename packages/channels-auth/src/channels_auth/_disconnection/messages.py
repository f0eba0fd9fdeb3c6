"""The groups of sockets on the channel layer, and the messages that are sent to them.

A watched socket is in the group of its user, and in the group of its session if it has one. Two
messages go to a group: `auth.disconnect` closes the sockets that it applies to, and
`auth.revalidate` makes them check in the database whether their login is still valid.

Whoever can read the channel layer must not learn a session key or a password hash from it. So
names and messages contain digests of them. The digest in the name of a user's group is keyed, since
primary keys can be guessed: a program may send to a group that its client has named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

from channels_auth._keyed_digests import keyed_digests
from channels_core.typing import Message

__all__ = [
    "DISCONNECT",
    "REVALIDATE",
    "disconnect_messages",
    "groups_of_key",
    "password_digest",
    "revalidate_messages",
    "session_digest",
    "session_group",
    "user_groups",
]

#: The types of the messages.
DISCONNECT: Final = "auth.disconnect"
REVALIDATE: Final = "auth.revalidate"


def user_groups(user: Any) -> tuple[str, ...]:
    """Return the names of the groups of all sockets of a user.

    There is one group; while `SECRET_KEY` is replaced, there is one more for each fallback. A
    socket joins all of them, and a message goes to all.

    Args:
        user: A user; also in a lazy object, or of a proxy or a subclass of the user model.

    Raises:
        ValueError: The user is anonymous or not saved, so another process could not identify it.
    """
    # Imported here because it needs the settings.
    from django.contrib.auth import get_user_model

    model = get_user_model()
    label, key = model._meta.label_lower, user.pk
    if isinstance(user, model):
        # A child of the user model may have a primary key of its own.
        key = getattr(user, model._meta.pk.attname)
    elif hasattr(user, "_meta"):
        label = user._meta.concrete_model._meta.label_lower
    if key is None:
        raise ValueError(
            f"Expected a user that is saved in the database, got {user!r} without a primary key; "
            "anonymous users have no sockets of their own"
        )
    return _groups(label, key)


def groups_of_key(key: Any) -> tuple[str, ...]:
    """Return the names of the groups of all sockets of a user, given the user's primary key.

    Args:
        key: Primary key of the user model, or a value that its field converts to one.

    Raises:
        ValueError: The field cannot convert the value.
    """
    from django.contrib.auth import get_user_model
    from django.core.exceptions import ValidationError

    meta = get_user_model()._meta
    try:
        value = meta.pk.to_python(key)
    except ValidationError:
        value = None
    if value is None:
        raise ValueError(f"Expected a user, or a primary key of {meta.label}, got {key!r}")
    return _groups(meta.label_lower, value)


def _groups(label: str, key: object) -> tuple[str, ...]:
    digests = keyed_digests("channels_auth.user_group", f"{label}:{key}")
    return tuple(f"auth.user.{digest}" for digest in digests)


def session_digest(session_key: str) -> str:
    """Return the digest that identifies a session on a layer."""
    return hashlib.sha256(session_key.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def session_group(digest: str) -> str:
    """Return the name of the group of all sockets of a session, given the session's digest."""
    return f"auth.session.{digest}"


def password_digest(user: Any) -> str | None:
    """Return the digest that identifies a user's present password on a layer.

    It is computed from the stored hash of the password and the setting `SECRET_KEY`.

    Returns:
        The digest; None if the user's object does not hold a hash, or has it deferred.
    """
    # Imported here because it needs the settings.
    from django.utils.crypto import salted_hmac

    deferred = getattr(user, "get_deferred_fields", None)
    # Only a model stores a hash as `password`. Reading a deferred field would query the database.
    if deferred is None or "password" in deferred():
        return None
    password = getattr(user, "password", None)
    if not isinstance(password, str):
        return None
    return salted_hmac("channels_auth.password", password, algorithm="sha256").hexdigest()[:40]


def disconnect_messages(
    groups: Iterable[str], code: int, session_key: str | None = None, *, unless: str | None = None
) -> list[Message]:
    """Build the messages that close sockets, one for each group.

    Args:
        groups: The names of a user's groups. A socket may have left its group when the message
            arrives, so the message names it.
        code: Close code.
        session_key: Key of a session, to close its sockets only; None closes all.
        unless: Digest of a password. Sockets whose user was loaded with that password stay open.
    """
    session = None if session_key is None else session_digest(session_key)
    return [
        {"type": DISCONNECT, "group": group, "code": code, "session": session, "unless": unless}
        for group in groups
    ]


def revalidate_messages(groups: Iterable[str]) -> list[Message]:
    """Build the messages that make sockets check their login, one for each group."""
    return [{"type": REVALIDATE, "group": group} for group in groups]
