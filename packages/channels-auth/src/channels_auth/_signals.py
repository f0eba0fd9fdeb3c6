"""What Django tells of logins that end: logout, a new password, deactivation, deletion."""

import contextlib
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.db import router
from django.db.models.signals import post_delete, post_init, post_save

from channels_auth._addresses import UNAUTHORIZED, disconnect_message, user_group
from channels_auth._announce import after_commit, announce, announce_soon
from channels_auth._store import keeps_data_in_cookie

__all__ = ["connect_receivers"]

# Where an instance of the user model remembers what is stored of it. As an attribute, it goes
# where the instance goes.
_STORED: Final = "_channels_auth_stored"

_UNKNOWN: Final = "unknown"


def connect_receivers() -> None:
    """Connect the receivers; once more does nothing.

    Those of the user model need the models to be loaded, and a user model that is installed.
    """
    user_logged_out.connect(_logged_out, dispatch_uid="channels_auth.logged_out")
    if not apps.models_ready:
        return
    try:
        user_model = get_user_model()
    except ImproperlyConfigured:
        return
    receivers = ((post_init, _initialised), (post_save, _saved), (post_delete, _deleted))
    # A proxy or a child sends its own signals, in the place of its parent's.
    for model in apps.get_models():
        if issubclass(model, user_model):
            for signal, receiver in receivers:
                uid = f"channels_auth.{receiver.__name__}"
                signal.connect(receiver, sender=model, dispatch_uid=uid)


# Logout


def _logged_out(*, request: Any, user: Any, **kwargs: object) -> None:
    # None: somebody logged out who was not logged in.
    if user is None or user.pk is None:
        return
    session = getattr(request, "session", None)
    group = user_group(user)
    message = disconnect_message(group, UNAUTHORIZED, _stored_key(session))
    if hasattr(session, "flush"):
        _when_flushed(session, group, message)
    else:
        announce_soon(group, message)


def _stored_key(session: Any) -> str | None:
    """Return the key of a session on the server; None if there is none by which to tell it."""
    # In a cookie the key is the content: it changes with it, and other sockets have another.
    return None if keeps_data_in_cookie(session) else getattr(session, "session_key", None)


def _when_flushed(session: Any, group: str, message: Any) -> None:
    """Announce a logout once its session is gone.

    Django tells of it before. A socket that is closed then would be connected again while the
    session is still there, and stay.
    """
    model = getattr(session, "model", None)
    using = None if model is None else router.db_for_write(model)
    flush, aflush = session.flush, session.aflush

    def restore() -> None:
        for name in ("flush", "aflush"):
            with contextlib.suppress(AttributeError):
                delattr(session, name)

    def flush_and_tell() -> None:
        restore()
        flush()
        after_commit(using, announce_soon, group, message)

    async def aflush_and_tell() -> None:
        restore()
        await aflush()
        await announce(group, message)

    session.flush, session.aflush = flush_and_tell, aflush_and_tell


# The user model


def _initialised(*, instance: Any, **kwargs: object) -> None:
    _remember(instance, _present(instance))


def _saved(
    *,
    instance: Any,
    created: bool,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: object,
) -> None:
    present = _present(instance)
    stored = getattr(instance, _STORED, {})
    written = {
        name: value
        for name, value in present.items()
        if (update_fields is None or name in update_fields) and value != stored.get(name, _UNKNOWN)
    }
    if not written:
        return
    # After the commit: a rollback leaves both the database and this as they were.
    after_commit(using, _remember, instance, {**stored, **written})
    deactivated = "is_active" in written and not written["is_active"]
    if not created and not raw and ("password" in written or deactivated):
        _announce_all(instance, using)


def _deleted(*, instance: Any, using: str, **kwargs: object) -> None:
    _announce_all(instance, using)


def _announce_all(user: Any, using: str) -> None:
    group = user_group(user)
    after_commit(using, announce_soon, group, disconnect_message(group, UNAUTHORIZED))


def _present(instance: Any) -> dict[str, object]:
    """Return what an instance holds of what counts, without loading what is deferred."""
    values = vars(instance)
    return {name: values[name] for name in ("password", "is_active") if name in values}


def _remember(instance: Any, values: dict[str, object]) -> None:
    setattr(instance, _STORED, values)
