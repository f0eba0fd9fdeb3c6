"""Under which names the sockets of a login are reached over a channel layer, and with what."""

import hashlib
from typing import Any, Final

from channels_core.exceptions import InvalidChannelLayerError
from channels_core.layers import BaseChannelLayer, get_channel_layer, has_groups
from channels_core.typing import Message

__all__ = [
    "DISCONNECT",
    "REVALIDATE",
    "UNAUTHORIZED",
    "disconnect_message",
    "key_group",
    "password_digest",
    "require_layer",
    "revalidate_message",
    "session_digest",
    "session_group",
    "user_group",
]

#: Close code of a login that has ended, or is none: 4000 and the HTTP status.
UNAUTHORIZED: Final = 4401

#: The types of the messages to sockets.
DISCONNECT: Final = "auth.disconnect"
REVALIDATE: Final = "auth.revalidate"


def user_group(user: Any) -> str:
    """Return the name of the group of all sockets of a user.

    Args:
        user: A user, perhaps in a lazy object, or of a proxy or a subclass of the user model.

    Raises:
        ValueError: The user is nobody whom another process could know: anonymous or not saved.
    """
    # Here, because it needs the settings.
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
    return _group(label, key)


def key_group(key: Any) -> str:
    """Return the name of the group of all sockets of a user.

    Args:
        key: Primary key of the user model, or what its field takes for one.

    Raises:
        ValueError: The field does not take it.
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
    return _group(meta.label_lower, value)


def _group(label: str, key: object) -> str:
    # Any primary key gives a valid name so, and the layer's store learns of none.
    return f"auth.user.{_digest(f'{label}:{key}')}"


def session_digest(session_key: str) -> str:
    """Return what stands for a session on a layer: who can read there must not get its key."""
    return _digest(session_key)


def session_group(digest: str) -> str:
    """Return the name of the group of all sockets of a session, by its digest."""
    return f"auth.session.{digest}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def password_digest(user: Any) -> str | None:
    """Return what stands for a user's present password on a layer; None if it is not at hand.

    It is made of the hash that the database has, with the settings' secret.
    """
    # Here, because it needs the settings.
    from django.utils.crypto import salted_hmac

    deferred = getattr(user, "get_deferred_fields", None)
    # Only a model's password is a hash; and one that is deferred would be a query.
    if deferred is None or "password" in deferred():
        return None
    password = getattr(user, "password", None)
    if not isinstance(password, str):
        return None
    return salted_hmac("channels_auth.password", password, algorithm="sha256").hexdigest()[:40]


def disconnect_message(
    group: str, code: int, session_key: str | None = None, *, unless: str | None = None
) -> Message:
    """Build the message that closes sockets of a group.

    Args:
        group: The name of a user's group. A socket may have left it when the message arrives.
        code: Close code.
        session_key: Key of the session whose sockets are meant; None for all.
        unless: Digest of a password; sockets whose user was found with this one stay.
    """
    session = None if session_key is None else session_digest(session_key)
    return {"type": DISCONNECT, "group": group, "code": code, "session": session, "unless": unless}


def revalidate_message(group: str) -> Message:
    """Build the message that has sockets of a user, or of a session, look at their login again."""
    return {"type": REVALIDATE, "group": group}


def require_layer(what: str) -> BaseChannelLayer:
    """Return the default channel layer.

    Args:
        what: Who needs it, for the error.

    Raises:
        InvalidChannelLayerError: There is none, or it has no groups.
    """
    layer = get_channel_layer()
    if layer is None:
        raise InvalidChannelLayerError(
            f"{what} reaches sockets over the channel layer, and CHANNEL_LAYERS has no 'default'. "
            "Add one: channels.layers.InMemoryChannelLayer for a site in a single process, "
            "channels_redis.core.RedisChannelLayer for more"
        )
    if not has_groups(layer):
        raise InvalidChannelLayerError(
            f"{what} needs a channel layer with groups, and {type(layer).__name__}, the 'default' "
            "of CHANNEL_LAYERS, has none; configure another one"
        )
    return layer
