"""Which databases a server uses, tested without a server."""

import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django.plugin import DjangoDbBlocker

import live_site
from channels_testing._live import databases as _live_databases
from channels_testing._live.databases import (
    forget_inherited,
    in_memory,
    names_in_use,
    record_names,
    refuse_in_memory,
    refuse_other_than,
    shared,
    use_test_databases,
)
from live_site import execute

IN_MEMORY = "file:live-databases?mode=memory&cache=shared"
INSERT = "INSERT INTO note VALUES ('any')"


@pytest.fixture(autouse=True)
def two(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with (
        django_db_blocker.unblock(),
        live_site.databases(default=tmp_path / "file", memory=IN_MEMORY),
    ):
        yield


def in_a_thread(call: Any) -> Any:
    """Return the result of a call in a thread of its own."""
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


class TestNames:
    def test_names_are_the_current_ones(self, tmp_path: Path) -> None:
        connections["default"].settings_dict["NAME"] = "at-present"
        assert names_in_use() == {"default": "at-present", "memory": IN_MEMORY}

    def test_names_from_the_parent_are_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_live_databases, "_names_from_parent", {})
        connections["default"].settings_dict["TEST"]["NAME"] = "another"
        record_names({"default": "told", "memory": "told, too"})
        use_test_databases()
        assert names_in_use() == {"default": "told", "memory": "told, too"}
        assert in_a_thread(names_in_use) == names_in_use()

    def test_names_from_the_settings_are_used(self) -> None:
        connections["default"].settings_dict["TEST"]["NAME"] = "for-tests"
        use_test_databases()
        assert names_in_use() == {"default": "for-tests", "memory": IN_MEMORY}


class TestInMemory:
    def test_it_is_known(self) -> None:
        assert [one.alias for one in in_memory(["default", "memory"])] == ["memory"]
        assert in_memory(["default"]) == []

    def test_it_is_refused(self) -> None:
        refuse_in_memory(["default"], "Case")
        with pytest.raises(
            ImproperlyConfigured,
            match=r'^Case serves.*DATABASES\["memory"\]\["TEST"\]\["NAME"\] to',
        ):
            refuse_in_memory(["default", "memory"], "Case")

    @pytest.mark.parametrize(
        ("name", "parent", "method"),
        [("path/of/a/file", None, "fork"), (None, object(), "spawn")],
    )
    def test_a_path_does_not_help_where_django_copies_databases_into_memory(
        self, monkeypatch: pytest.MonkeyPatch, name: str | None, parent: object, method: str
    ) -> None:
        monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
        monkeypatch.setattr(multiprocessing, "get_start_method", lambda: method)
        connections["memory"].settings_dict["TEST"]["NAME"] = name
        with pytest.raises(ImproperlyConfigured) as caught:
            refuse_in_memory(["memory"], "Case")
        assert str(caught.value).endswith(
            "Django's parallel tests copy it there where their processes are not forked, whatever "
            'DATABASES["memory"]["TEST"]["NAME"] says. Run these tests without --parallel, or set '
            "serve_in_thread = True on the class, which then serves from a thread of this process"
        )

    @pytest.mark.parametrize("name", [None, ":memory:", IN_MEMORY])
    def test_a_path_is_asked_for_in_a_forked_process(
        self, monkeypatch: pytest.MonkeyPatch, name: str | None
    ) -> None:
        monkeypatch.setattr(multiprocessing, "parent_process", object)
        monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
        connections["memory"].settings_dict["TEST"]["NAME"] = name
        with pytest.raises(ImproperlyConfigured, match="to the path of a file, or set serve_in"):
            refuse_in_memory(["memory"], "Case")


class TestForgetInherited:
    def test_what_is_open_stays_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inherited: list[Any] = []
        monkeypatch.setattr(_live_databases, "_inherited", inherited)
        execute(INSERT)
        before = connections["default"]
        pools = {"default": object()}
        vars(before)["_connection_pools"] = kept = dict(pools)
        forget_inherited()
        assert connections["default"] is not before
        assert before in inherited
        assert before.connection is not None
        # The pools of the library have threads, which are not needed here.
        assert kept == {}
        assert pools in inherited
        for one in inherited:
            if isinstance(one, BaseDatabaseWrapper):
                BaseDatabaseWrapper.close(one)


class TestOnly:
    def test_others_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ensure_connection = BaseDatabaseWrapper.ensure_connection
        monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", ensure_connection)
        refuse_other_than(["default"], "Case")
        execute(INSERT)
        BaseDatabaseWrapper.close(connections["memory"])
        with pytest.raises(AssertionError, match=r"add 'memory' to Case\.databases"):
            execute(INSERT, "memory")

        def ask() -> str:
            with pytest.raises(AssertionError) as error:
                execute(INSERT, "memory")
            return str(error.value)

        assert "add 'memory'" in in_a_thread(ask)


class TestShared:
    def test_what_threads_have_opened_is_closed(self) -> None:
        def open_all() -> list[BaseDatabaseWrapper]:
            for alias in ("default", "memory"):
                execute(INSERT, alias)
            return list(connections.all())

        with shared(["default", "memory"]):
            opened = in_a_thread(open_all)
            assert all(one.connection is not None for one in opened)
            own = connections["memory"].connection
            execute(INSERT)
        assert all(one.connection is None for one in opened)
        assert not any(one.allow_thread_sharing for one in opened)
        # The test's own connection is unchanged.
        assert connections["memory"].connection is own
        assert execute("PRAGMA read_uncommitted", "memory") == [(0,)]
        assert execute("SELECT * FROM note", "memory") == [("any",)]

    def test_a_write_waits(self) -> None:
        with shared(["memory"]):
            refused = live_site.refusals
            refused.clear()
            done = threading.Event()

            def write() -> None:
                execute(INSERT, "memory")
                done.set()

            thread = threading.Thread(target=write)
            with transaction.atomic("memory"):
                execute(INSERT, "memory")
                thread.start()
                assert refused.wait(live_site.SECONDS)
                assert not done.is_set()
            assert done.wait(live_site.SECONDS)
            thread.join()
        assert len(execute("SELECT * FROM note", "memory")) == 2

    def test_it_does_not_wait_for_ever(self) -> None:
        connections["memory"].settings_dict["OPTIONS"]["timeout"] = 0

        def write() -> str:
            with pytest.raises(OperationalError) as error:
                execute(INSERT, "memory")
            return str(error.value)

        with shared(["memory"]), transaction.atomic("memory"):
            execute(INSERT, "memory")
            assert "locked" in in_a_thread(write)

    def test_other_errors_are_raised(self) -> None:
        with shared(["memory"]), pytest.raises(OperationalError, match="no such table"):
            execute("SELECT * FROM absent", "memory")

    def test_one_that_cannot_be_opened_twice(self) -> None:
        connections["memory"].settings_dict["NAME"] = ":memory:"
        with (
            pytest.raises(ImproperlyConfigured, match="'memory' is in the memory of one"),
            shared(["memory"]),
        ):
            raise AssertionError("it does not begin")
