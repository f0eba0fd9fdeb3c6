"""Receivers of Django's signals that report the end of logins.

A logout, a login over another one, and a user that is saved or deleted are announced to the
sockets of the user or the session. Django's `post_save` does not tell which fields have changed.
So an instance of the user model remembers the stored values of the two fields that matter, under
`_STORED` in its `__dict__`: set when it is loaded, and updated when a save is committed. As an
attribute, they go along with copies of the instance.

Each process of a site connects the receivers, and few processes see a login end. So a receiver
imports what announces it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished
from django.db.models.signals import post_delete, post_init, post_save, pre_save

from channels_auth._session_storage import keeps_data_in_cookie

if TYPE_CHECKING:
    from channels_core.typing import Message

__all__ = ["connect_receivers"]

# The attribute of a user that holds the stored values which the instance knows of.
_STORED: Final = "_channels_auth_stored"


def connect_receivers() -> None:
    """Connect the receivers; a second call does nothing.

    The receivers for the user model are connected only if the models are loaded and the user
    model is installed.
    """
    user_logged_in.connect(_logged_in, dispatch_uid="channels_auth.logged_in")
    user_logged_out.connect(_logged_out, dispatch_uid="channels_auth.logged_out")
    request_finished.connect(_request_finished, dispatch_uid="channels_auth.request_finished")
    if not apps.models_ready:
        return
    try:
        user_model = get_user_model()
    except ImproperlyConfigured:
        return
    receivers = (
        (post_init, _initialised),
        (pre_save, _about_to_be_saved),
        (post_save, _saved),
        (post_delete, _deleted),
    )
    # Proxies and child models send signals of their own instead of their parent's.
    for model in apps.get_models():
        if issubclass(model, user_model):
            for signal, receiver in receivers:
                uid = f"channels_auth.{receiver.__name__}"
                signal.connect(receiver, sender=model, dispatch_uid=uid)


# The session


def _logged_in(*, request: Any, **kwargs: object) -> None:
    session: Any = getattr(request, "session", None)
    key = getattr(request, "COOKIES", {}).get(settings.SESSION_COOKIE_NAME)
    if not key or key == getattr(session, "session_key", key) or keeps_data_in_cookie(session):
        return
    from channels_auth._disconnection.announcements import after_commit, announce_soon
    from channels_auth._disconnection.flush import database_of
    from channels_auth._disconnection.messages import (
        revalidate_messages,
        session_digest,
        session_group,
    )

    # The browser came with another session, perhaps another user's. Django deletes it without a
    # signal, and only its sockets know whose it was.
    messages = revalidate_messages([session_group(session_digest(key))])
    after_commit(database_of(session), announce_soon, messages)


def _logged_out(*, request: Any, user: Any, **kwargs: object) -> None:
    # None: the visitor who logged out was not logged in.
    if user is None or user.pk is None:
        return
    from channels_auth._close_codes import UNAUTHORIZED
    from channels_auth._disconnection.announcements import after_commit, announce_soon
    from channels_auth._disconnection.flush import announce_after_flush, database_of
    from channels_auth._disconnection.messages import (
        disconnect_messages,
        revalidate_messages,
        user_groups,
    )

    session: Any = getattr(request, "session", None)
    groups = user_groups(user)
    if not hasattr(session, "flush"):
        # Without a session, nothing shows which login of the user has ended: close all.
        announce_soon(disconnect_messages(groups, UNAUTHORIZED))
    elif session.session_key is None:
        # The request was authenticated without a session, or the session is flushed already.
        after_commit(database_of(session), announce_soon, revalidate_messages(groups))
    else:
        # The key of a session in the cookie is its content. It changes with each change, so the
        # sockets of the session have different keys.
        key = None if keeps_data_in_cookie(session) else session.session_key
        announce_after_flush(session, disconnect_messages(groups, UNAUTHORIZED, key))


def _request_finished(**kwargs: object) -> None:
    from channels_auth._disconnection.flush import announce_missing_flushes

    announce_missing_flushes()


# The user model


def _initialised(*, instance: Any, **kwargs: object) -> None:
    # This runs for each instance that a query returns, so it does as little as possible.
    values = instance.__dict__
    values[_STORED] = _watched_values(values)


def _about_to_be_saved(*, instance: Any, **kwargs: object) -> None:
    if instance._state.adding:
        # The program has built the instance. A row with its key may exist all the same, with
        # other values.
        vars(instance).pop(_STORED, None)


def _saved(
    *,
    instance: Any,
    created: bool,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: object,
) -> None:
    from channels_auth._disconnection.announcements import (
        after_commit,
        announce_soon,
        failures_logged,
    )

    saved = _watched_values(vars(instance))
    if update_fields is not None:
        saved = {name: saved[name] for name in saved if name in update_fields}
    stored = vars(instance).get(_STORED, {})
    changed = {
        name: saved[name] for name in saved if name not in stored or stored[name] != saved[name]
    }
    if changed:
        # Until the commit nobody knows what will be stored: a rollback may undo all of it, or a
        # part. A new dict, because copies of the instance share the old one.
        _set_stored(instance, {name: stored[name] for name in stored if name not in changed})
        after_commit(using, _add_stored, instance, changed)
    if not created and not raw:
        # The messages may need a setting, such as SECRET_KEY, that the change itself does not need.
        with failures_logged():
            messages = _messages_after_save(instance, saved, changed)
            if messages:
                after_commit(using, announce_soon, messages)


def _messages_after_save(
    instance: Any, saved: dict[str, object], changed: Collection[str]
) -> list[Message]:
    """Return the messages to the sockets of a user who has been saved.

    The instance may not know what was stored, since other instances write to the same row. So a
    message that turns out to be unnecessary must do no harm. Most saves need no message, so they
    compute no groups.
    """
    from channels_auth._close_codes import UNAUTHORIZED
    from channels_auth._disconnection.messages import (
        disconnect_messages,
        password_digest,
        revalidate_messages,
        user_groups,
    )

    inactive = "is_active" in saved and not saved["is_active"]
    if inactive and "is_active" in changed:
        return disconnect_messages(user_groups(instance), UNAUTHORIZED)
    messages: list[Message] = []
    if inactive:
        # Not a disconnect: some authentication backends let inactive users log in.
        messages += revalidate_messages(user_groups(instance))
    if "password" in changed:
        digest = password_digest(instance)
        groups = user_groups(instance)
        messages += disconnect_messages(groups, UNAUTHORIZED, unless=digest)
    return messages


def _deleted(*, instance: Any, using: str, **kwargs: object) -> None:
    from channels_auth._close_codes import UNAUTHORIZED
    from channels_auth._disconnection.announcements import (
        after_commit,
        announce_soon,
        failures_logged,
    )
    from channels_auth._disconnection.messages import disconnect_messages, user_groups

    with failures_logged():
        messages = disconnect_messages(user_groups(instance), UNAUTHORIZED)
        after_commit(using, announce_soon, messages)


def _watched_values(values: dict[str, Any]) -> dict[str, object]:
    """Return the values of an instance whose change may end a login; deferred ones are missing.

    A number represents the password hash, because instances get into caches and logs.
    """
    watched: dict[str, object] = {}
    password = values.get("password")
    if isinstance(password, str):
        # Fast, since a str caches its hash, and useless outside of this process.
        watched["password"] = hash(password)
    if "is_active" in values:
        watched["is_active"] = values["is_active"]
    return watched


def _add_stored(instance: Any, values: dict[str, object]) -> None:
    _set_stored(instance, {**vars(instance).get(_STORED, {}), **values})


def _set_stored(instance: Any, values: dict[str, object]) -> None:
    vars(instance)[_STORED] = values
