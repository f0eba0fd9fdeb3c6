import asyncio
import pickle
import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.cache import caches
from django.core.exceptions import SynchronousOnlyOperation
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from channels_auth._session_storage import keeps_data_in_cookie
from channels_auth._sessions import engine as session_engine
from channels_auth._sessions.engine import (
    ConnectionSession,
    merge,
    record_headers_sent,
    session_class,
)

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]

STORED = [name for name in ENGINES if name != "signed_cookies"]


def use(settings: Any, name: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{name}"


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    yield
    caches["default"].clear()


@pytest.fixture(params=STORED)
def engine(request: Any, settings: Any) -> str:
    use(settings, request.param)
    return str(request.param)


@pytest.fixture(params=ENGINES)
def every_engine(request: Any, settings: Any) -> str:
    use(settings, request.param)
    return str(request.param)


def test_a_setting_that_is_deleted_is_missed_with_one_error(settings: Any) -> None:
    del settings.SESSION_ENGINE
    with pytest.raises(AttributeError) as raised:
        session_class()
    assert raised.value.__context__ is None


def stored(data: dict[str, Any]) -> str:
    """Return the key of a new session with this data, as an HTTP request leaves it."""
    session = session_class()()
    session.update(data)
    session.save()
    assert session.session_key is not None
    return session.session_key


def now_stored(key: str | None) -> dict[str, Any]:
    """Return the data that a new HTTP request finds."""
    return dict(session_class().__mro__[2](key).items())


pytestmark = pytest.mark.django_db(transaction=True)


class TestTheClass:
    def test_it_derives_from_the_engine(self, every_engine: str) -> None:
        plain = session_class().__mro__[2]
        assert plain.__module__ == f"django.contrib.sessions.backends.{every_engine}"
        assert issubclass(session_class(), plain)
        assert session_class() is session_class()

    def test_it_and_django_read_each_others_sessions(self, every_engine: str) -> None:
        ours = session_class()
        plain = ours.__mro__[2]
        first = ours()
        first["a"] = 1
        first.save()
        second = plain(first.session_key)
        assert second["a"] == 1
        second["b"] = 2
        second.save()
        assert dict(ours(second.session_key).items()) == {"a": 1, "b": 2}

    def test_it_is_known_where_the_data_is_stored(self, every_engine: str) -> None:
        assert keeps_data_in_cookie(session_class()()) is (every_engine == "signed_cookies")


class TestBeforeTheHeaders:
    def test_it_behaves_as_django_does(self, engine: str) -> None:
        key = stored({"a": 1})
        session = session_class()(key)
        assert not session.accessed
        session["b"] = 2
        session.save()
        assert session.modified
        assert now_stored(key) == {"a": 1, "b": 2}

    def test_a_session_that_is_deleted_meanwhile_cannot_be_saved(self, engine: str) -> None:
        key = stored({"a": 1})
        session = session_class()(key)
        session["b"] = 2
        session_class()(key).delete()
        with pytest.raises(UpdateError):
            session.save()


def late(key: str | None) -> ConnectionSession:
    session = session_class()(key)
    session.get("a")
    record_headers_sent(session)
    return session


class TestAfterTheHeaders:
    def test_a_save_keeps_what_others_stored_meanwhile(self, engine: str) -> None:
        key = stored({"a": 1, "b": 1, "c": 1})
        session = late(key)
        other = session_class()(key)
        other["a"] = 2
        other["new"] = 2
        del other["c"]
        other.save()

        session["b"] = 3
        assert session.modified
        session.save()

        assert now_stored(key) == {"a": 2, "b": 3, "new": 2}
        assert dict(session.items()) == {"a": 2, "b": 3, "new": 2}
        assert not session.modified

    async def test_an_asynchronous_save_keeps_what_others_stored(self, engine: str) -> None:
        session = session_class()()
        await session.aupdate({"a": 1, "b": 1})
        await session.asave()
        key = session.session_key
        record_headers_sent(session)
        other = session_class()(key)
        await other.aset("a", 2)
        await other.asave()

        await session.apop("b")
        await session.asave()

        fresh = session_class()(key)
        assert dict(await fresh.aitems()) == {"a": 2}
        assert not session.modified

    def test_two_sessions_that_save_in_turn_lose_nothing(self, engine: str) -> None:
        key = stored({})
        one, two = late(key), late(key)
        for number in range(3):
            one[f"one{number}"] = number
            one.save()
            two[f"two{number}"] = number
            two.save()
        assert sorted(now_stored(key)) == ["one0", "one1", "one2", "two0", "two1", "two2"]

    def test_a_change_inside_a_value_is_a_change(self, engine: str) -> None:
        key = stored({"cart": ["tea"], "a": 1})
        session = late(key)
        session["cart"].append("milk")
        session.modified = True
        session.save()
        assert now_stored(key) == {"cart": ["tea", "milk"], "a": 1}

    def test_a_session_that_is_deleted_meanwhile_cannot_be_saved(self, engine: str) -> None:
        key = stored({"a": 1})
        session = late(key)
        session["b"] = 2
        session_class()(key).delete()
        with pytest.raises(UpdateError):
            session.save()
        assert now_stored(key) == {}

    async def test_a_deleted_session_cannot_be_saved_asynchronously(self, engine: str) -> None:
        session = session_class()()
        await session.aset("a", 1)
        await session.asave()
        record_headers_sent(session)
        await session_class()(session.session_key).adelete()
        await session.aset("b", 2)
        with pytest.raises(UpdateError):
            await session.asave()

    def test_a_new_session_is_stored(self, engine: str) -> None:
        session = late(None)
        session["a"] = 1
        session.save()
        session["b"] = 1
        session.save()
        assert now_stored(session.session_key) == {"a": 1, "b": 1}

    def test_a_new_key_keeps_the_data(self, engine: str) -> None:
        key = stored({"a": 1})
        session = late(key)
        session.cycle_key()
        session["b"] = 1
        session.save()
        assert session.session_key != key
        assert now_stored(session.session_key) == {"a": 1, "b": 1}
        assert now_stored(key) == {}

    def test_data_that_was_never_read_is_replaced(self, engine: str) -> None:
        key = stored({"a": 1})
        session = session_class()(key)
        record_headers_sent(session)
        session.clear()
        session["b"] = 1
        session.save()
        assert now_stored(key) == {"b": 1}

    def test_in_the_cookie_nothing_is_merged(self, settings: Any) -> None:
        use(settings, "signed_cookies")
        session = late(stored({"a": 1}))
        session["b"] = 1
        session.save()
        assert now_stored(session.session_key) == {"a": 1, "b": 1}


class TestWithoutAwait:
    async def test_it_is_read_in_an_event_loop(self, every_engine: str) -> None:
        session = session_class()()
        await session.aset("a", 1)
        await session.asave()
        again = session_class()(session.session_key)
        assert again["a"] == 1

    async def test_the_thread_that_read_it_leaves_no_connection(self, settings: Any) -> None:
        from django.db.backends.signals import connection_created

        use(settings, "db")
        opened = []

        def note(*, connection: Any, **kwargs: Any) -> None:
            opened.append(connection)

        session = session_class()()
        await session.aset("a", 1)
        await session.asave()
        connection_created.connect(note)
        try:
            assert session_class()(session.session_key)["a"] == 1
        finally:
            connection_created.disconnect(note)
        assert [connection.connection for connection in opened] == [None]

    async def test_an_error_in_the_thread_is_raised(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def load(self: db.SessionStore) -> None:
            raise LookupError("the database is gone")

        use(settings, "db")
        monkeypatch.setattr(db.SessionStore, "load", load)
        with pytest.raises(LookupError, match="the database is gone"):
            session_class()("a" * 32)["a"]

    async def test_the_wait_is_limited(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def load(self: db.SessionStore) -> dict[str, Any]:
            assert free.wait(20)
            done.set()
            return {}

        free, done = threading.Event(), threading.Event()
        use(settings, "db")
        monkeypatch.setattr(db.SessionStore, "load", load)
        monkeypatch.setattr(session_engine, "_LOAD_TIMEOUT", 0.01)
        try:
            with pytest.raises(SynchronousOnlyOperation, match=r"await session.aget\(key\)"):
                session_class()("a" * 32)["a"]
        finally:
            free.set()
            assert done.wait(20)


@pytest.mark.django_db(transaction=False)
def test_under_an_outer_async_to_sync_it_sees_the_transaction(settings: Any) -> None:
    """As in a Django TestCase."""

    async def read() -> Any:
        await asyncio.sleep(0)
        return session_class()(key)["a"]

    use(settings, "db")
    key = stored({"a": "of this transaction"})
    assert async_to_sync(read)() == "of this transaction"


DATA = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))


@given(DATA, DATA, DATA)
def test_a_merge_makes_our_changes_and_no_others(
    base: dict[str, int], ours: dict[str, int], theirs: dict[str, int]
) -> None:
    merged = merge(base, ours, theirs)
    missing = object()
    for key in "abcd":
        before, mine = base.get(key, missing), ours.get(key, missing)
        assert merged.get(key, missing) == (theirs.get(key, missing) if before == mine else mine)


def test_a_merge_without_others_changes_nothing() -> None:
    ours = {"a": 1, "b": pickle.dumps(2)}
    assert merge({"a": 0}, ours, {"a": 0}) == ours


def test_any_engine_can_be_derived_from() -> None:
    """A program's own need not know of us."""

    class Own(SessionBase):
        kept: dict[str, Any] = {}

        def load(self) -> dict[str, Any]:
            return dict(self.kept)

        def exists(self, session_key: str) -> bool:
            return False

        def save(self, must_create: bool = False) -> None:
            self._session_key = "the only one"
            Own.kept = dict(self._session)  # type: ignore[attr-defined] # private there

    session = session_engine._derived(Own)()
    session["a"] = 1
    session.save()
    record_headers_sent(session)
    session["b"] = 1
    session.save()
    assert Own.kept == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, True), (0, False), (1, 1.0), ([1], [True]), ({"a": 0}, {"a": False}), ([1, 2], [1])],
)
def test_a_value_of_another_type_is_a_change(before: Any, after: Any) -> None:
    assert repr(merge({"a": before}, {"a": after}, {"a": before})) == repr({"a": after})


async def test_a_change_during_a_save_is_saved_the_next_time(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(settings, "db")
    session = session_class()()
    await session.aset("a", 1)
    await session.asave()
    record_headers_sent(session)
    await session.aset("b", 1)
    save = db.SessionStore.asave

    async def save_and_change(self: db.SessionStore, must_create: bool = False) -> None:
        await save(self, must_create)
        await session.aset("c", 1)

    with monkeypatch.context() as patch:
        patch.setattr(db.SessionStore, "asave", save_and_change)
        await session.asave()
    assert session.modified
    await session.asave()
    fresh = session_class()(session.session_key)
    assert dict(await fresh.aitems()) == {"a": 1, "b": 1, "c": 1}


async def test_a_session_that_is_deleted_during_the_save(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(self: db.SessionStore, must_create: bool = False) -> None:
        raise UpdateError

    use(settings, "db")
    session = session_class()()
    await session.aset("a", 1)
    await session.asave()
    record_headers_sent(session)
    monkeypatch.setattr(db.SessionStore, "asave", gone)
    await session.aset("b", 1)
    with pytest.raises(SessionInterrupted, match=r"^The request's session was deleted before"):
        await session.asave()


async def test_a_save_that_fails_can_be_tried_again(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: db.SessionStore, must_create: bool = False) -> None:
        raise ConnectionError("the database is gone")

    use(settings, "db")
    session = session_class()()
    await session.aset("a", 1)
    await session.asave()
    record_headers_sent(session)
    await session.aset("b", 1)
    with monkeypatch.context() as patch:
        patch.setattr(db.SessionStore, "asave", fail)
        with pytest.raises(ConnectionError):
            await session.asave()
    assert session.modified
    await session.asave()
    fresh = session_class()(session.session_key)
    assert dict(await fresh.aitems()) == {"a": 1, "b": 1}


async def test_an_engine_that_hides_errors_is_read_without_await(settings: Any) -> None:
    """Django's takes any error of its cache for a missing session, a forbidden query's too."""
    use(settings, "cache")
    key = "channels_auth_cache"
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": key}
    }
    await sync_to_async(call_command)("createcachetable", verbosity=0)
    session = session_class()()
    await session.aset("a", 1)
    await session.asave()
    assert session_class()(session.session_key)["a"] == 1


async def test_with_async_unsafe_it_is_loaded_in_the_same_thread(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: db.SessionStore) -> dict[str, Any]:
        return {"thread": threading.current_thread()}

    use(settings, "db")
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    monkeypatch.setattr(db.SessionStore, "load", load)
    monkeypatch.setattr(session_engine, "copy", Mock(deepcopy=dict))
    assert session_class()("a" * 32)["thread"] is threading.current_thread()
