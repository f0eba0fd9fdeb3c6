"""What Django tells of logins that end: a logout, another login, a user that changes."""

import contextlib
from collections.abc import Collection, Iterator
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished
from django.db import router
from django.db.models.signals import post_delete, post_init, post_save, pre_save

from channels_auth._disconnection.announcements import after_commit, announce, announce_soon
from channels_auth._disconnection.messages import (
    UNAUTHORIZED,
    disconnect_message,
    password_digest,
    revalidate_message,
    session_digest,
    session_group,
    user_group,
)
from channels_auth._sessions.engine import keeps_data_in_cookie
from channels_core.typing import Message

__all__ = ["connect_receivers"]

# Where an instance of the user model remembers what is stored of it, as far as it knows. As an
# attribute, it goes where the instance goes.
_KNOWN: Final = "_channels_auth_known"

# The groups of users who have logged out, but for the flush of the session.
_waiting_for_flush: Final[set[str]] = set()


def connect_receivers() -> None:
    """Connect the receivers; once more does nothing.

    Those of the user model need the models to be loaded, and a user model that is installed.
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
    # A proxy or a child sends its own signals, in the place of its parent's.
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
    # Somebody logs in over another one: Django ends the session that the browser came with, and
    # tells nobody. Whose it was, only its sockets know.
    group = session_group(session_digest(key))
    after_commit(_database_of(session), announce_soon, group, revalidate_message(group))


def _logged_out(*, request: Any, user: Any, **kwargs: object) -> None:
    # None: somebody logged out who was not logged in.
    if user is None or user.pk is None:
        return
    session: Any = getattr(request, "session", None)
    group = user_group(user)
    if not hasattr(session, "flush"):
        # There is nothing by which to tell which login it was.
        announce_soon(group, disconnect_message(group, UNAUTHORIZED))
    elif session.session_key is None:
        # The request brought a token, and no session. Or the session was flushed already.
        after_commit(_database_of(session), announce_soon, group, revalidate_message(group))
    else:
        # In a cookie the key is the content: it changes with it, and other sockets have another.
        key = None if keeps_data_in_cookie(session) else session.session_key
        _when_flushed(session, group, disconnect_message(group, UNAUTHORIZED, key))


def _database_of(session: object) -> str | None:
    """Return the alias of the database that a session is in; None if it is in none."""
    model = getattr(session, "model", None)
    return None if model is None else router.db_for_write(model)


def _when_flushed(session: Any, group: str, message: Message) -> None:
    """Announce a logout once its session is gone.

    Django tells of it before. A socket that is closed then would be connected again while the
    session is still there, and stay.
    """
    key = session.session_key
    flush, aflush = session.flush, session.aflush

    def begin() -> bool:
        for name in ("flush", "aflush"):
            with contextlib.suppress(AttributeError):
                delattr(session, name)
        _waiting_for_flush.discard(group)
        # Much later it may be another session.
        return bool(session.session_key == key)

    def flush_and_tell() -> None:
        is_meant = begin()
        flush()
        if is_meant:
            after_commit(_database_of(session), announce_soon, group, message)

    async def aflush_and_tell() -> None:
        is_meant = begin()
        await aflush()
        if is_meant:
            await announce(group, message)

    session.flush, session.aflush = flush_and_tell, aflush_and_tell
    _waiting_for_flush.add(group)


def _request_finished(**kwargs: object) -> None:
    # Somebody has sent `user_logged_out` by himself, and ended by other means what he has ended.
    while _waiting_for_flush:
        with contextlib.suppress(KeyError):  # another thread was quicker
            group = _waiting_for_flush.pop()
            announce_soon(group, revalidate_message(group))


# The user model


def _initialised(*, instance: Any, **kwargs: object) -> None:
    # Called for each instance that a query returns.
    values = instance.__dict__
    values[_KNOWN] = _state(values)


def _about_to_be_saved(*, instance: Any, **kwargs: object) -> None:
    if instance._state.adding:
        # It came out of no query. There may be a row of that key all the same.
        vars(instance).pop(_KNOWN, None)


def _saved(
    *,
    instance: Any,
    created: bool,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: object,
) -> None:
    state = _state(vars(instance))
    if update_fields is not None:
        state = {name: state[name] for name in state if name in update_fields}
    known = vars(instance).get(_KNOWN, {})
    changed = {
        name: state[name] for name in state if name not in known or known[name] != state[name]
    }
    if changed:
        # What is stored is open until the commit: there may be a rollback, to before or halfway.
        # A new dict each time: copies of the instance have the old one.
        _set_known(instance, {name: known[name] for name in known if name not in changed})
        after_commit(using, _learn, instance, changed)
    if not created and not raw:
        group = user_group(instance)
        for message in _news(group, instance, state, changed):
            after_commit(using, announce_soon, group, message)


def _news(
    group: str, instance: Any, state: dict[str, object], changed: Collection[str]
) -> Iterator[Message]:
    """Yield what the sockets of a user are told when an instance has been saved.

    What it held before may not be what was stored before: others write, too. So a needless message
    has to do no harm.
    """
    inactive = "is_active" in state and not state["is_active"]
    if inactive and "is_active" in changed:
        yield disconnect_message(group, UNAUTHORIZED)
        return
    if inactive:
        # Some authentication backends let such users in.
        yield revalidate_message(group)
    if "password" in changed:
        yield disconnect_message(group, UNAUTHORIZED, unless=password_digest(instance))


def _deleted(*, instance: Any, using: str, **kwargs: object) -> None:
    group = user_group(instance)
    after_commit(using, announce_soon, group, disconnect_message(group, UNAUTHORIZED))


def _state(values: dict[str, Any]) -> dict[str, object]:
    """Return what counts of an instance's values, without what is deferred.

    A number stands for the password: instances get into caches and logs.
    """
    state: dict[str, object] = {}
    password = values.get("password")
    if isinstance(password, str):
        # Quick, as the str keeps it; and it says something in this process only.
        state["password"] = hash(password)
    if "is_active" in values:
        state["is_active"] = values["is_active"]
    return state


def _learn(instance: Any, stored: dict[str, object]) -> None:
    _set_known(instance, {**vars(instance).get(_KNOWN, {}), **stored})


def _set_known(instance: Any, values: dict[str, object]) -> None:
    vars(instance)[_KNOWN] = values
