import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from unittest.mock import MagicMock

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.utils.functional import SimpleLazyObject

from channels_auth._closable_websocket import ClosableWebsocket
from channels_auth._disconnection import layer_reachability, login_watch
from channels_auth._disconnection.login_watch import LoginWatch
from channels_auth._disconnection.logins import Login
from channels_auth._disconnection.messages import (
    password_digest,
    session_digest,
    session_group,
)
from channels_core.typing import Message, Scope
from group_messages import disconnect_message, revalidate_message, user_group
from layers import GroupLayer
from servers import websocket
from timers import Timer

User: Any = get_user_model()
ANNA = User(pk=1, username="anna")
BEN = User(pk=2, username="ben")
HERS = user_group(ANNA)
HIS = user_group(BEN)
OVER = {"type": "websocket.close", "code": 4401, "reason": "The login has ended."}


class Session:
    """The part of a session that a watch reads."""

    def __init__(self, user: Any = None, key: str | None = None) -> None:
        self.session_key = key
        self.modified = False
        self.data = {} if user is None else {"_auth_user_id": str(user.pk)}

    async def aget(self, name: str) -> Any:
        return self.data.get(name)

    def flush(self) -> None:
        self.session_key, self.data, self.modified = None, {}, True


class Answers:
    """A stand-in for `login_holds`: answers, raises, or waits until it may answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any]] = []
        self.holds: bool | Exception = True
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()

    async def __call__(self, user: Any, session: Any) -> bool:
        self.asked.append((user, session))
        self.arrived.set()
        holds = self.holds
        await self.open.wait()
        if isinstance(holds, Exception):
            raise holds
        return holds


class Line:
    """The server's side of an open connection."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.changed = asyncio.Event()
        self.fault: Exception | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close" and self.fault is not None:
            fault, self.fault = self.fault, None
            self.changed.set()
            raise fault
        self.sent.append(message)
        self.changed.set()

    async def closed(self) -> Message:
        while self.sent[-1]["type"] != "websocket.close":
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 30)
        return self.sent[-1]

    @property
    def is_open(self) -> bool:
        return bool(self.sent[-1]["type"] == "websocket.accept")


class Connection:
    """An open connection with a watch."""

    def __init__(self, layer: GroupLayer, user: Any, session: Any, every: float | None) -> None:
        self.line = Line()
        self.gate = ClosableWebsocket(websocket(), self.line.send)
        self.watch = LoginWatch(layer, self.gate, revalidate_every=every)
        self.scope: Scope = websocket(user=user)
        if session is not None:
            self.scope["session"] = session

    async def change(self, user: Any) -> None:
        self.scope["user"] = user
        await self.watch.user_changed(self.scope)


@pytest.fixture
async def layer() -> GroupLayer:
    return GroupLayer()


@pytest.fixture
async def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    answers = Answers()
    monkeypatch.setattr(login_watch, "login_holds", answers)
    return answers


@asynccontextmanager
async def watched(
    layer: GroupLayer, user: Any = ANNA, session: Any = None, every: float | None = None
) -> AsyncIterator[Connection]:
    connection = Connection(layer, user, session, every)
    await connection.gate.send({"type": "websocket.accept"})
    try:
        await connection.watch.user_changed(connection.scope)
        yield connection
    finally:
        await connection.watch.stop()


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


def latest(timers: list[Timer], least: float, most: float) -> Timer:
    """Return the timer that was started last with a delay of this length."""
    return next(each for each in reversed(timers) if least <= each.delay <= most)


async def settle(condition: Callable[[], bool] = lambda: False) -> None:
    """Let everything run that can."""
    for _ in range(20):
        if condition():
            break
        await asyncio.sleep(0)


@pytest.mark.usefixtures("answers")
class TestMembership:
    async def test_a_user_is_in_the_group_and_leaves_nothing_behind(
        self, layer: GroupLayer
    ) -> None:
        async with watched(layer):
            assert layer.members == {HERS: {"specific.1!a"}}
        assert layer.members == {}
        assert layer.calls[-2:] == ["group_discard", "forget_channel"]

    async def test_a_lazy_user_is_in_the_group(self, layer: GroupLayer) -> None:
        async with watched(layer, SimpleLazyObject(lambda: ANNA)):
            assert layer.members == {HERS: {"specific.1!a"}}

    async def test_without_a_user_the_layer_is_not_used(self, layer: GroupLayer) -> None:
        async with watched(layer, AnonymousUser()):
            await settle()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        assert layer.calls == []

    async def test_a_watched_connection_costs_one_task(self, layer: GroupLayer) -> None:
        async with watched(layer):
            await settle()
            assert len(asyncio.all_tasks()) == 2
            assert layer.calls.count("new_channel") == 1

    async def test_a_login_joins_and_another_user_moves(self, layer: GroupLayer) -> None:
        async with watched(layer, AnonymousUser()) as connection:
            await connection.change(ANNA)
            assert layer.members == {HERS: {"specific.1!a"}}
            await connection.change(BEN)
            assert layer.members == {HIS: {"specific.1!a"}}
            await connection.change(BEN)
            assert layer.calls.count("group_add") == 2
            await settle()
            assert len(asyncio.all_tasks()) == 2
        assert layer.members == {}

    async def test_a_session_has_a_group_too(self, layer: GroupLayer, timers: list[Timer]) -> None:
        one, other = (session_group(session_digest(key)) for key in ("k1", "k2"))
        session = Session(ANNA, "k1")
        async with watched(layer, session=session) as connection:
            assert list(layer.members) == [HERS, one]
            session.session_key = "k2"
            await connection.change(ANNA)
            assert list(layer.members) == [HERS, other]
            layer.groups.clear()
            timers[0].run()
            await settle()
            assert list(layer.members) == [HERS, other]
            session.flush()
            await connection.change(AnonymousUser())
            assert layer.members == {}

    async def test_a_layer_without_forget_channel_works(self, layer: GroupLayer) -> None:
        layer.forget_channel = None  # type: ignore[assignment] # as if it had none
        async with watched(layer):
            pass
        assert layer.members == {}

    async def test_a_layer_may_be_a_mock_of_one(self, layer: GroupLayer) -> None:
        layer.forget_channel = MagicMock()  # type: ignore[method-assign] # as a test has it
        layer.group_expiry = MagicMock()  # type: ignore[attr-defined] # most layers have it
        async with watched(layer):
            pass
        layer.forget_channel.assert_called_once()

    async def test_a_failing_layer_fails_the_connection_at_its_beginning(
        self, layer: GroupLayer
    ) -> None:
        layer.faults["group_add"] = OSError("no server")
        with pytest.raises(OSError, match="no server"):
            async with watched(layer):
                pass
        assert layer.calls[-1] == "forget_channel"

    async def test_a_layer_that_fails_at_the_end_is_logged(
        self, layer: GroupLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with watched(layer):
            layer.faults["group_discard"] = OSError("no server")
        [record] = caplog.records
        assert record.levelname == "WARNING"
        assert "could not be removed" in record.getMessage()

    async def test_an_end_that_takes_too_long_is_given_up(
        self,
        layer: GroupLayer,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async def hang(channel: str) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(login_watch, "_CLEANUP_TIMEOUT", 0.001)
        monkeypatch.setattr(layer, "forget_channel", hang)
        async with watched(layer):
            pass
        assert "could not be removed" in caplog.text

    async def test_the_end_does_not_wait_for_an_uncancellable_check(
        self, layer: GroupLayer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def hold(user: Any, session: Any) -> bool:
            looking.set()
            with suppress(asyncio.CancelledError):
                await may_end.wait()
            await may_end.wait()
            return True

        looking, may_end = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(login_watch, "_CLEANUP_TIMEOUT", 0.001)
        monkeypatch.setattr(login_watch, "login_holds", hold)
        connection = Connection(layer, ANNA, None, None)
        await connection.watch.user_changed(connection.scope)
        await looking.wait()
        await connection.watch.stop()
        assert layer.members == {}
        may_end.set()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})

    @pytest.mark.parametrize(("expiry", "every"), [(4, 1), (86400, 60), (None, 60), (0, 60)])
    async def test_it_is_renewed_well_before_it_ends(
        self, layer: GroupLayer, timers: list[Timer], expiry: Any, every: float
    ) -> None:
        if expiry is not None:
            layer.group_expiry = expiry  # type: ignore[attr-defined] # most layers have it
        async with watched(layer):
            [renewal] = timers
            assert every * 0.9 <= renewal.delay <= every
            layer.groups.clear()
            renewal.run()
            await settle()
            assert layer.members == {HERS: {"specific.1!a"}}

    async def test_a_renewal_that_fails_is_tried_again(
        self, layer: GroupLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "django.channels.auth")
        layer.group_expiry = 0.004  # type: ignore[attr-defined] # most layers have it
        async with watched(layer):
            layer.faults["group_add"] = OSError("no server")
            layer.groups.clear()
            await layer.until(lambda: layer.calls.count("group_add") >= 3)
            layer.faults.clear()
            await layer.until(lambda: bool(layer.members))
        assert "could not be renewed" in caplog.text

    async def test_a_logged_out_user_is_not_renewed(
        self, layer: GroupLayer, timers: list[Timer]
    ) -> None:
        async with watched(layer) as connection:
            await connection.change(AnonymousUser())
            timers[0].run()
            await settle()
            assert layer.members == {}
            assert layer.calls.count("group_add") == 1


@pytest.mark.usefixtures("answers")
class TestMessages:
    async def test_a_message_for_all_closes(self, layer: GroupLayer) -> None:
        async with watched(layer) as connection:
            await layer.group_send(HERS, disconnect_message(HERS, 4401))
            assert await connection.line.closed() == OVER

    async def test_the_close_code_comes_from_the_message(self, layer: GroupLayer) -> None:
        async with watched(layer) as connection:
            await layer.group_send(HERS, disconnect_message(HERS, 4000))
            assert (await connection.line.closed())["code"] == 4000

    @pytest.mark.parametrize(
        "code", ["x", "4401", None, [], {}, -1, 0, 999, 1005, 5000, 2**63, 4401.5, True, b"4401"]
    )
    async def test_a_code_that_no_server_sends_is_not_sent(
        self, layer: GroupLayer, code: object
    ) -> None:
        async with watched(layer) as connection:
            await layer.group_send(HERS, {**disconnect_message(HERS, 4401), "code": code})
            assert await connection.line.closed() == OVER

    async def test_a_message_for_the_session_closes(self, layer: GroupLayer) -> None:
        async with watched(layer, session=Session(ANNA, "k1")) as connection:
            await layer.group_send(HERS, disconnect_message(HERS, 4401, "k1"))
            assert await connection.line.closed() == OVER

    async def test_a_new_password_closes_connections_with_another_one(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        user = User(pk=1, password="md5$x$old")
        async with watched(layer, user) as connection:
            # The application may change its user object; the digest is the one at the lookup.
            old, user.password = password_digest(user), "md5$x$new"
            await layer.group_send(HERS, disconnect_message(HERS, 4401, unless=old))
            await settle()
            assert connection.line.is_open
            new = password_digest(user)
            await layer.group_send(HERS, disconnect_message(HERS, 4401, unless=new))
            assert await connection.line.closed() == OVER
        assert len(answers.asked) == 1

    @pytest.mark.parametrize("holds", [True, False])
    async def test_a_revalidate_message_leads_to_a_check(
        self, layer: GroupLayer, answers: Answers, holds: bool
    ) -> None:
        async with watched(layer) as connection:
            await settle()
            answers.holds = holds
            await layer.group_send(HERS, revalidate_message(HERS))
            await settle()
            assert len(answers.asked) == 2
            assert connection.line.is_open == holds

    async def test_a_message_for_another_session_leads_to_a_check(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        session = Session(ANNA, "k1")
        async with watched(layer, session=session) as connection:
            await settle()
            for holds in (True, False):
                answers.holds = holds
                answers.arrived.clear()
                await layer.group_send(HERS, disconnect_message(HERS, 4401, "k2"))
                await answers.arrived.wait()
                await settle()
                assert connection.line.is_open == holds
            assert answers.asked == [(ANNA, session)] * 3

    async def test_a_message_for_a_session_spares_a_login_without_one(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        for session in (None, Session(), Session(BEN, "k1"), Session(ANNA)):
            answers.asked.clear()
            async with watched(layer, session=session) as connection:
                await layer.group_send(HERS, disconnect_message(HERS, 4401, "k1"))
                await settle()
                assert connection.line.is_open
                assert answers.asked == [(ANNA, None)]

    @pytest.mark.parametrize(
        "message", [disconnect_message(HIS, 4401), {"type": "chat.message"}, {"group": HERS}]
    )
    async def test_other_messages_are_ignored(self, layer: GroupLayer, message: Message) -> None:
        async with watched(layer) as connection:
            await layer.group_send(HERS, message)
            await settle()
            assert connection.line.is_open
            assert len(asyncio.all_tasks()) == 2

    async def test_messages_after_the_logout_are_ignored(self, layer: GroupLayer) -> None:
        async with watched(layer) as connection:
            await connection.change(AnonymousUser())
            layer.queues["specific.1!a"].put_nowait(dict(disconnect_message(HERS, 4401)))
            await settle()
            assert connection.line.is_open

    async def test_a_failing_close_does_not_end_the_watch(
        self, layer: GroupLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with watched(layer) as connection:
            connection.line.fault = RuntimeError("not now")
            await layer.group_send(HERS, disconnect_message(HERS, 4401))
            await settle(lambda: bool(caplog.records))
            assert "could not be closed" in caplog.text
            await settle()
            assert len(asyncio.all_tasks()) == 2


class TestChecks:
    async def test_a_check_runs_at_the_beginning(self, layer: GroupLayer, answers: Answers) -> None:
        answers.holds = False
        async with watched(layer) as connection:
            assert await connection.line.closed() == OVER
        assert answers.asked == [(ANNA, None)]

    async def test_checks_are_repeated(self, layer: GroupLayer, answers: Answers) -> None:
        session = Session(ANNA, "k1")
        async with watched(layer, session=session, every=0.001) as connection:
            while len(answers.asked) < 3:
                answers.arrived.clear()
                await asyncio.wait_for(answers.arrived.wait(), 30)
            assert connection.line.is_open
            answers.holds = False
            assert await connection.line.closed() == OVER
            assert answers.asked[-1] == (ANNA, session)

    async def test_an_error_decides_nothing(
        self, layer: GroupLayer, answers: Answers, caplog: pytest.LogCaptureFixture
    ) -> None:
        answers.holds = OSError("no database")
        async with watched(layer, every=0.001) as connection:
            while len(answers.asked) < 2:
                answers.arrived.clear()
                await asyncio.wait_for(answers.arrived.wait(), 30)
            assert connection.line.is_open
            assert "Could not check whether" in caplog.text
            answers.holds = False
            await connection.line.closed()

    async def test_a_check_that_fails_is_repeated_without_an_interval(
        self,
        layer: GroupLayer,
        answers: Answers,
        timers: list[Timer],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        answers.holds = OSError("no database")
        async with watched(layer) as connection:
            for _ in range(3):
                await settle()
                latest(timers, 0, 10).run()
            await settle()
            assert len(answers.asked) == 4
            assert [each.levelname for each in caplog.records] == ["ERROR"]
            assert connection.line.is_open
            answers.holds = False
            latest(timers, 0, 10).run()
            assert await connection.line.closed() == OVER

    async def test_an_unsaved_session_is_not_checked(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        session = Session(ANNA, "k1")
        session.modified = True
        async with watched(layer, session=session):
            await settle()
        assert answers.asked == []

    @pytest.mark.parametrize("meanwhile", ["save", "login"])
    async def test_an_answer_for_a_former_login_is_ignored(
        self, layer: GroupLayer, answers: Answers, meanwhile: str
    ) -> None:
        session = Session(ANNA, "k1")
        answers.open.clear()
        answers.holds = False
        async with watched(layer, session=session) as connection:
            await answers.arrived.wait()
            session.modified = True
            if meanwhile == "login":
                await connection.change(ANNA)
                session.modified = False
                answers.holds = True
            answers.open.set()
            await settle()
            assert connection.line.is_open

    async def test_a_postponed_check_runs_when_the_session_is_saved(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        session = Session(ANNA, "k1")
        for way in ("send", "handler"):
            session.modified = True
            answers.asked.clear()
            answers.holds = way == "send"
            async with watched(layer, session=session) as connection:
                for modified in (True, False, False):
                    await settle()
                    assert answers.asked == []
                    session.modified = modified
                    if way == "handler":
                        assert connection.watch.after_handler() is None
                    else:
                        await connection.watch.send({"type": "websocket.accept"})
                    if not modified:
                        break
                await answers.arrived.wait()
                await settle()
                await connection.watch.send({"type": "websocket.send"})
                await settle()
                assert len(answers.asked) == 1
                assert connection.gate.closed_from_outside != answers.holds

    async def test_a_change_during_a_check_leads_to_another_check(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        session = Session(ANNA, "k1")
        answers.open.clear()
        answers.holds = False
        async with watched(layer, session=session) as connection:
            await answers.arrived.wait()
            session.modified = True
            answers.open.set()
            await settle()
            session.modified = False
            assert connection.watch.after_handler() is None
            assert await connection.line.closed() == OVER

    async def test_a_postponed_check_is_dropped_after_a_logout(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        session = Session(ANNA, "k1")
        session.modified = True
        async with watched(layer, session=session) as connection:
            await settle()
            await connection.change(AnonymousUser())
            await connection.watch.send({"type": "websocket.send"})
            await settle()
        assert answers.asked == []

    @pytest.mark.parametrize("who", ["us", "application", "client"])
    async def test_no_checks_run_after_the_close(
        self, layer: GroupLayer, answers: Answers, timers: list[Timer], who: str
    ) -> None:
        async with watched(layer, every=1) as connection:
            await settle()
            renewal, check = timers
            if who == "us":
                await layer.group_send(HERS, disconnect_message(HERS, 4401))
                await connection.line.closed()
            elif who == "application":
                await connection.watch.send({"type": "websocket.close"})
            else:
                connection.gate.record("websocket.close")
            await settle()
            calls = list(layer.calls), list(answers.asked)
            started = len(timers)
            for timer in (renewal, check):
                timer.run()
                await settle()
            assert (layer.calls, answers.asked) == calls
            assert len(timers) == started

    async def test_a_close_does_not_wait_for_a_check(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        answers.open.clear()
        async with watched(layer) as connection:
            await answers.arrived.wait()
            await layer.group_send(HERS, disconnect_message(HERS, 4401))
            assert await connection.line.closed() == OVER


@pytest.mark.usefixtures("answers")
class TestOwnLogout:
    async def test_it_closes_after_the_handler(self, layer: GroupLayer) -> None:
        async with watched(layer) as connection:
            assert connection.watch.after_handler() is None
            await connection.change(AnonymousUser())
            await settle()
            assert connection.line.is_open
            work = connection.watch.after_handler()
            assert work is not None
            await work
            assert await connection.line.closed() == OVER

    @pytest.mark.parametrize("asked", ["message", "check"])
    async def test_a_layer_message_about_it_waits_for_the_handler(
        self, layer: GroupLayer, answers: Answers, asked: str
    ) -> None:
        session = Session(ANNA, "k1")
        async with watched(layer, session=session) as connection:
            await settle()
            session.flush()
            if asked == "message":
                await layer.group_send(HERS, disconnect_message(HERS, 4401, "k1"))
            else:
                session.modified = answers.holds = False
                await layer.group_send(HERS, revalidate_message(HERS))
            await settle()
            assert connection.line.is_open
            await layer.group_send(HERS, revalidate_message(HERS))
            await settle()
            assert connection.line.is_open
            await connection.change(AnonymousUser())
            work = connection.watch.after_handler()
            assert work is not None
            await work
            await connection.line.closed()

    async def test_a_handler_cannot_delay_it_for_ever(
        self, layer: GroupLayer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(login_watch, "_OWN_LOGOUT_TIMEOUT", 0.001)
        async with watched(layer) as connection:
            await connection.change(AnonymousUser())
            assert await connection.line.closed() == OVER

    async def test_a_new_login_in_the_same_handler_cancels_it(
        self, layer: GroupLayer, timers: list[Timer]
    ) -> None:
        async with watched(layer) as connection:
            await connection.change(AnonymousUser())
            close = timers[-1]
            await connection.change(BEN)
            assert connection.watch.after_handler() is None
            assert close.handle.cancelled()
            assert layer.members == {HIS: {"specific.1!a"}}

    async def test_a_logout_of_an_anonymous_user_ends_nothing(self, layer: GroupLayer) -> None:
        async with watched(layer, AnonymousUser()) as connection:
            await connection.change(AnonymousUser())
            assert connection.watch.after_handler() is None


class TestOutages:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(layer_reachability, "_FIRST_DELAY", 0.0)

    async def test_an_outage_is_one_line_for_all_sockets(
        self, layer: GroupLayer, answers: Answers, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "django.channels.auth")
        layer.faults["receive"] = OSError("no server")
        async with watched(layer) as anna, watched(layer, BEN) as ben:
            await layer.until(lambda: layer.calls.count("receive") >= 10)
            [record] = caplog.records
            assert record.levelname == "ERROR"
            assert "retrying until it works" in record.getMessage()
            layer.faults.clear()
            layer.groups.clear()
            await layer.until(lambda: len(layer.members) == 2)
            for group in (HERS, HIS):
                await layer.group_send(group, disconnect_message(group, 4401))
            await anna.line.closed()
            await ben.line.closed()
            await settle(lambda: len(caplog.records) == 2)
            assert [each.levelname for each in caplog.records] == ["ERROR", "INFO"]

    async def test_a_login_over_an_open_socket_raises_it(
        self, layer: GroupLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with watched(layer, AnonymousUser()) as connection:
            layer.faults["group_add"] = ConnectionError("no server")
            with pytest.raises(ConnectionError):
                await connection.change(ANNA)
            assert not caplog.records

    async def test_each_outage_is_logged(
        self,
        layer: GroupLayer,
        answers: Answers,
        caplog: pytest.LogCaptureFixture,
        timers: list[Timer],
    ) -> None:
        caplog.set_level(logging.INFO, "django.channels.auth")
        async with watched(layer):
            for number in (1, 2):
                layer.faults["receive"] = OSError("no server")
                await layer.group_send(HERS, {"type": "wakes.it"})
                await settle()
                layer.faults.clear()
                await settle()
                # The layer works again, but delivers nothing.
                timers[-1].run()
                assert [each.levelname for each in caplog.records] == ["ERROR", "INFO"] * number

    async def test_the_login_is_checked_after_an_outage(
        self, layer: GroupLayer, answers: Answers, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "django.channels.auth")
        async with watched(layer) as connection:
            await settle()
            answers.holds = False
            layer.faults["receive"] = OSError("no server")
            await layer.group_send(HERS, {"type": "wakes.it"})
            assert await connection.line.closed() == OVER
            assert [each.levelname for each in caplog.records] == ["ERROR"]

    async def test_no_check_runs_before_the_memberships_are_renewed(
        self, layer: GroupLayer, answers: Answers
    ) -> None:
        async with watched(layer):
            await settle()
            answers.asked.clear()
            layer.faults.update(receive=OSError("no server"), group_add=OSError("no server"))
            await layer.group_send(HERS, {"type": "wakes.it"})
            await layer.until(lambda: layer.calls.count("group_add") >= 5)
            assert answers.asked == []

    async def test_the_login_is_checked_once_the_memberships_are_renewed(
        self, layer: GroupLayer, answers: Answers, timers: list[Timer]
    ) -> None:
        async with watched(layer) as connection:
            await settle()
            answers.asked.clear()
            layer.faults.update(receive=OSError("no server"), group_add=OSError("no server"))
            await layer.group_send(HERS, {"type": "wakes.it"})
            renewals = layer.calls.count("group_add")
            await layer.until(lambda: layer.calls.count("group_add") > renewals)
            # `receive` works before the memberships can be renewed, and then only waits.
            layer.faults.pop("receive")
            await settle()
            assert answers.asked == []
            layer.faults.clear()
            answers.holds = False
            latest(timers, 50, 60).run()
            assert await connection.line.closed() == OVER

    async def test_a_renewal_that_fails_leads_to_a_check(
        self, layer: GroupLayer, answers: Answers, timers: list[Timer]
    ) -> None:
        async with watched(layer) as connection:
            await settle()
            answers.asked.clear()
            layer.faults["group_add"] = OSError("no server")
            latest(timers, 50, 60).run()
            await settle()
            assert answers.asked == []
            layer.faults.clear()
            answers.holds = False
            latest(timers, 50, 60).run()
            assert await connection.line.closed() == OVER

    async def test_a_message_that_cannot_be_handled_leads_to_a_check(
        self, layer: GroupLayer, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        was_ended, faults = Login.was_ended_by_application, [OSError("no store of sessions")]

        async def fails_once(self: Login) -> bool:
            if faults:
                raise faults.pop()
            return await was_ended(self)

        async with watched(layer) as connection:
            await settle()
            answers.holds = False
            monkeypatch.setattr(Login, "was_ended_by_application", fails_once)
            await layer.group_send(HERS, disconnect_message(HERS, 4401))
            assert await connection.line.closed() == OVER
