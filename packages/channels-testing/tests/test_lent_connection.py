"""Lent connections by themselves; `test_database` shows them in tests."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
    transaction,
)

from channels_testing._application.lent_connection import (
    LentConnection,
    call_at_end_of_test,
    hides_from_others,
    lend,
)


def names() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


@pytest.fixture
def owner(db: None) -> Any:
    Group.objects.create(name="anna")
    return connections["default"]


@pytest.fixture
def lent(owner: Any) -> Iterator[LentConnection]:
    """Replace the test's own connection by a lent one."""
    connections["default"] = made = lend(owner)
    try:
        yield made
    finally:
        connections["default"] = owner


@pytest.fixture
def lent_as_elsewhere(lent: Any) -> LentConnection:
    """Lend a connection as on a database where a failed statement breaks the transaction."""
    lent.vendor = "another"
    kept: LentConnection = lent
    return kept


class TestLentConnection:
    def test_it_is_an_instance_of_the_databases_wrapper(self, owner: Any, lent: Any) -> None:
        assert isinstance(lent, type(owner))
        assert lent.connection is owner.connection
        assert repr(lent) == repr(owner)

    def test_it_is_not_closed(self, lent: LentConnection) -> None:
        close_old_connections()
        connections.close_all()
        assert names() == ["anna"]

    def test_a_program_that_manages_transactions(self, lent: LentConnection) -> None:
        said: list[str] = []
        transaction.set_autocommit(False)
        transaction.set_autocommit(False)
        Group.objects.create(name="ben")
        transaction.commit()
        Group.objects.create(name="carl")
        transaction.rollback()
        with transaction.atomic():
            Group.objects.create(name="dora")
            transaction.on_commit(lambda: said.append("dora"))
        transaction.commit()
        transaction.set_autocommit(True)
        assert names() == ["anna", "ben", "dora"]
        assert said == ["dora"]

    def test_its_savepoints_are_not_those_of_the_test(self, owner: Any, lent: Any) -> None:
        with transaction.atomic(), transaction.atomic():
            assert not {*lent.savepoint_ids} & {*owner.savepoint_ids}

    def test_a_statement_that_fails_is_undone(self, lent_as_elsewhere: LentConnection) -> None:
        Group.objects.filter(name="anna").update(name="ben")
        with pytest.raises(DatabaseError, match="nowhere"), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere")
        assert names() == ["ben"]

    def test_after_the_end(self, lent: LentConnection) -> None:
        lent.end()
        with pytest.raises(InterfaceError, match="has ended"):
            names()

    def test_the_end_waits_for_a_statement(self, lent: LentConnection) -> None:
        ending = threading.Thread(target=lent.end)

        def execute(*args: Any) -> None:
            ending.start()
            ending.join(0.1)
            assert ending.is_alive()

        lent.execute_wrappers[-1](execute, "", (), False, {})
        ending.join()
        assert lent.connection is None


class Below:
    """A connection of a database driver, whose statements return a given result."""

    def __init__(self, row: Any) -> None:
        self.row = row
        self.description = row and ["column"]

    def cursor(self) -> "Below":
        return self

    def execute(self, sql: str) -> None:
        if isinstance(self.row, Exception):
            raise self.row

    def fetchone(self) -> Any:
        return self.row

    def close(self) -> None:
        """Do nothing."""


def owner_of(vendor: str, row: Any, **state: Any) -> Any:
    usual = {"needs_rollback": False, "closed_in_transaction": False}
    database = SimpleNamespace(Error=DatabaseError, OperationalError=OperationalError)
    return SimpleNamespace(
        vendor=vendor, connection=Below(row), Database=database, **{**usual, **state}
    )


class TestHidesFromOthers:
    @pytest.mark.parametrize(
        ("vendor", "row", "expected"),
        [
            ("postgresql", (None,), False),
            ("postgresql", (7,), True),
            ("postgresql", DatabaseError("aborted"), False),
            ("sqlite", (0, -1, -1), False),
            ("sqlite", OperationalError("database table is locked"), True),
            ("another", None, True),
        ],
    )
    def test_what_the_database_says(self, vendor: str, row: Any, expected: bool) -> None:
        assert hides_from_others(owner_of(vendor, row)) is expected

    @pytest.mark.parametrize("state", ["needs_rollback", "closed_in_transaction"])
    def test_a_transaction_that_will_be_rolled_back_hides_nothing(self, state: str) -> None:
        assert not hides_from_others(owner_of("another", None, **{state: True}))

    def test_a_real_connection(self, owner: Any) -> None:
        assert hides_from_others(owner)
        assert names() == ["anna"]

    def test_it_is_not_counted(self, owner: Any, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            hides_from_others(owner)


class Blocks:
    """The part of a connection that is needed here."""

    def __init__(self, *of_test_cases: bool) -> None:
        self.atomic_blocks = [SimpleNamespace(_from_testcase=one) for one in of_test_cases]


class TestCallAtEndOfTest:
    @pytest.mark.parametrize(
        ("of_test_cases", "left"),
        [([True, True], 1), ([True, True, False], 1), ([False, False], 0), ([False, True], 1)],
    )
    def test_the_innermost_block_of_a_test_case(self, of_test_cases: Any, left: int) -> None:
        owner: Any = Blocks(*of_test_cases)
        ends: list[int] = []
        for _ in range(2):
            call_at_end_of_test(owner, lambda: ends.append(len(owner.atomic_blocks)))
        while owner.atomic_blocks:
            owner.atomic_blocks.pop()
        assert ends == [left, left]

    def test_each_test_of_a_class_has_its_own(self) -> None:
        owner: Any = Blocks(True)
        for number in range(2):
            ends: list[int] = []
            owner.atomic_blocks.append(SimpleNamespace(_from_testcase=True))
            call_at_end_of_test(owner, lambda number=number, ends=ends: ends.append(number))  # type: ignore[misc] # mypy takes no defaults of a lambda
            owner.atomic_blocks.pop()
            assert ends == [number]
