import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core.typing import Message
from channels_http.generic._inbox import DISCONNECT, Inbox
from clients import until


class Server:
    """What an application receives from, and how often it asked."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message | BaseException] = asyncio.Queue()
        self.asked = 0
        self.cancelled = 0
        self.changed = asyncio.Event()

    async def receive(self) -> Message:
        self.asked += 1
        self.changed.set()
        try:
            message = await self.queue.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(message, BaseException):
            raise message
        return message

    def send(self, *messages: Message | BaseException) -> None:
        for message in messages:
            self.queue.put_nowait(message)


def part(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": True}


LEAVING: Message = {"type": DISCONNECT}


async def turns(count: int = 10) -> None:
    """Let all that can run do so."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def inbox(server: Server) -> Inbox:
    return Inbox(server.receive)


@pytest.fixture
def leavings() -> list[str]:
    return []


@pytest.fixture
def leave(leavings: list[str]) -> Callable[[], None]:
    return lambda: leavings.append("left")


@pytest.fixture
async def attentive() -> AsyncIterator[None]:
    """Fail if the event loop reports what nobody has looked at."""
    reports: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reports.append(context))
    yield
    gc.collect()
    assert reports == []
    loop.set_exception_handler(None)


class TestMessages:
    async def test_they_are_handed_on_in_order_and_asked_for_one_by_one(
        self, inbox: Inbox, server: Server
    ) -> None:
        server.send(part(b"a"), part(b"b"), part(b"c"))
        for number, body in enumerate((b"a", b"b", b"c"), 1):
            assert await inbox.get() == part(body)
            await turns()
            assert server.asked == number

    async def test_what_receiving_raises_is_raised(self, inbox: Inbox, server: Server) -> None:
        server.send(ConnectionError("broken"), part(b"a"))
        with pytest.raises(ConnectionError, match="broken"):
            await inbox.get()
        assert await inbox.get() == part(b"a")

    async def test_what_is_put_comes_first(self, inbox: Inbox, server: Server) -> None:
        server.send(part(b"server's"))
        inbox.put(part(b"a"))
        inbox.put(part(b"b"))
        assert [(await inbox.get())["body"] for _ in range(3)] == [b"a", b"b", b"server's"]

    async def test_what_was_read_ahead_comes_after_what_is_put(
        self, inbox: Inbox, server: Server, leave: Callable[[], None]
    ) -> None:
        server.send(part(b"server's"))
        inbox.watch(leave)
        await turns()
        inbox.unwatch()
        inbox.put(part(b"a"))
        assert [(await inbox.get())["body"] for _ in range(2)] == [b"a", b"server's"]
        assert server.asked == 1


def plain(inbox: Inbox) -> None:
    pass


def watching(inbox: Inbox) -> None:
    inbox.watch(lambda: None)


def expecting(inbox: Inbox) -> None:
    inbox.expect()


@pytest.mark.parametrize("prepare", [plain, watching, expecting])
class TestCancelledCalls:
    async def test_before_a_message_is_there(
        self, prepare: Callable[[Inbox], None], inbox: Inbox, server: Server
    ) -> None:
        prepare(inbox)
        for _ in range(3):
            call = asyncio.ensure_future(inbox.get())
            await turns()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        server.send(part(b"a"), part(b"b"))
        assert [(await inbox.get())["body"] for _ in range(2)] == [b"a", b"b"]

    @pytest.mark.parametrize("between", range(4))
    async def test_just_as_one_comes(
        self, prepare: Callable[[Inbox], None], between: int, inbox: Inbox, server: Server
    ) -> None:
        """Whichever turn of the event loop the cancellation hits."""
        prepare(inbox)
        call = asyncio.ensure_future(inbox.get())
        await turns()
        server.send(part(b"a"))
        await turns(between)
        call.cancel()
        got = [
            each["body"]
            for each in await asyncio.gather(call, return_exceptions=True)
            if not isinstance(each, BaseException)
        ]
        server.send(part(b"b"))
        got += [(await inbox.get())["body"] for _ in range(2 - len(got))]
        assert got == [b"a", b"b"]


class TestWatching:
    async def test_the_clients_leaving_is_told_once_and_kept(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        inbox.watch(leave)
        await turns()
        assert leavings == []
        server.send(LEAVING)
        await turns()
        assert leavings == ["left"]
        inbox.unwatch()
        assert await inbox.get() == LEAVING
        await turns()
        assert leavings == ["left"]
        assert server.asked == 1

    async def test_one_that_left_before_is_told_of(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        server.send(LEAVING)
        inbox.watch(leave)
        assert leavings == []
        await turns()
        assert leavings == ["left"]

    async def test_no_other_message_is_its_leaving(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        server.send(part(b"a"))
        inbox.watch(leave)
        await turns()
        inbox.unwatch()
        assert leavings == []
        assert await inbox.get() == part(b"a")
        await turns()
        # Nobody is watched for any more.
        assert server.asked == 1

    async def test_a_watch_that_is_over_at_once_asks_for_nothing(
        self, inbox: Inbox, server: Server, leave: Callable[[], None]
    ) -> None:
        inbox.watch(leave)
        inbox.unwatch()
        await turns()
        assert server.asked == 0
        await inbox.close()

    async def test_after_it_nothing_is_told(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        inbox.watch(leave)
        await turns()
        inbox.unwatch()
        server.send(LEAVING)
        await turns()
        assert leavings == []
        assert await inbox.get() == LEAVING

    async def test_one_message_is_read_ahead_and_no_more(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        server.send(part(b"a"), part(b"b"), part(b"c"), LEAVING)
        inbox.watch(leave)
        for number, body in enumerate((b"a", b"b", b"c"), 1):
            await turns()
            assert server.asked == number
            assert leavings == []
            assert await inbox.get() == part(body)
        await turns()
        assert leavings == ["left"]
        assert await inbox.get() == LEAVING
        # After this one there is none.
        await turns()
        assert server.asked == 4

    async def test_the_next_one_is_watched_for_though_the_first_came_to_a_call(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        inbox.watch(leave)
        call = asyncio.ensure_future(inbox.get())
        await turns()
        server.send(part(b"a"), LEAVING)
        assert await call == part(b"a")
        await turns()
        assert leavings == ["left"]

    @pytest.mark.usefixtures("attentive")
    async def test_a_failure_to_receive_is_taken_for_it_and_raised_by_the_next_call(
        self,
        inbox: Inbox,
        server: Server,
        leavings: list[str],
        leave: Callable[[], None],
    ) -> None:
        server.send(ConnectionError("broken"), part(b"a"))
        inbox.watch(leave)
        await turns()
        assert leavings == ["left"]
        inbox.unwatch()
        with pytest.raises(ConnectionError, match="broken"):
            await inbox.get()
        assert await inbox.get() == part(b"a")

    @pytest.mark.usefixtures("attentive")
    async def test_a_cancelled_receive_is_nobodys_leaving(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        server.send(asyncio.CancelledError())
        inbox.watch(leave)
        await turns()
        assert leavings == []
        with pytest.raises(asyncio.CancelledError):
            await inbox.get()

    async def test_a_server_may_give_any_awaitable(
        self, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def receive() -> Any:
            return future

        inbox = Inbox(receive)
        inbox.watch(leave)
        await turns()
        future.set_result(LEAVING)
        await turns()
        assert leavings == ["left"]
        assert await inbox.get() == LEAVING


class TestExpecting:
    async def test_what_is_put_reaches_a_call_that_waits(
        self, inbox: Inbox, server: Server
    ) -> None:
        inbox.expect()
        call = asyncio.ensure_future(inbox.get())
        await until(lambda: server.asked == 1, server.changed)
        inbox.put(part(b"a"))
        assert await call == part(b"a")

    async def test_what_the_server_sends_does_so_too(self, inbox: Inbox, server: Server) -> None:
        inbox.expect()
        call = asyncio.ensure_future(inbox.get())
        await turns()
        server.send(part(b"a"), part(b"b"))
        assert await call == part(b"a")
        assert await inbox.get() == part(b"b")

    async def test_of_two_that_come_at_once_none_is_lost(
        self, inbox: Inbox, server: Server
    ) -> None:
        inbox.expect()
        call = asyncio.ensure_future(inbox.get())
        await turns()
        inbox.put(part(b"a"))
        inbox.put(part(b"b"))
        server.send(part(b"server's"))
        assert await call == part(b"a")
        assert [(await inbox.get())["body"] for _ in range(2)] == [b"b", b"server's"]


class TestToldOnce:
    async def test_a_server_may_say_it_again(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        server.send(LEAVING, LEAVING)
        inbox.watch(leave)
        await turns()
        assert [await inbox.get(), await inbox.get()] == [LEAVING, LEAVING]
        await turns()
        assert leavings == ["left"]
        inbox.unwatch()

    async def test_who_comes_later_is_told_as_well(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        server.send(LEAVING)
        inbox.expect()
        assert await inbox.get() == LEAVING
        inbox.watch(leave)
        assert not leavings
        await turns()
        assert leavings == ["left"]
        inbox.unwatch()

    async def test_who_reads_is_told_by_the_message(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        inbox.watch(leave)
        reading = asyncio.ensure_future(inbox.read())
        await turns()
        server.send(LEAVING)
        assert await reading == LEAVING
        assert not leavings
        inbox.unwatch()

    async def test_what_is_put_comes_first_even_if_nobody_expects_it(
        self, inbox: Inbox, server: Server, leave: Callable[[], None]
    ) -> None:
        inbox.watch(leave)
        getting = asyncio.ensure_future(inbox.get())
        await turns()
        inbox.put(part(b"put"))
        server.send(part(b"a"))
        assert [await getting, await inbox.get()] == [part(b"put"), part(b"a")]
        inbox.unwatch()


class TestHolding:
    """Until a client that waits to be asked for its body is asked for it."""

    async def test_nothing_is_asked_for(
        self, inbox: Inbox, server: Server, leave: Callable[[], None]
    ) -> None:
        inbox.put(part(b"first"))
        inbox.held = True
        assert inbox.held
        assert await inbox.get() == part(b"first")
        inbox.watch(leave)
        await turns()
        inbox.unwatch()
        assert server.asked == 0

    async def test_a_call_asks(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        inbox.put(part(b"first"))
        inbox.held = True
        server.send(part(b"a"), LEAVING)
        assert await inbox.get() == part(b"first")
        inbox.watch(leave)
        assert await inbox.get() == part(b"a")
        await turns()
        assert leavings == ["left"]

    async def test_once_released_it_is_watched(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        inbox.put(part(b"first"))
        inbox.held = True
        inbox.watch(leave)
        inbox.release()
        assert not inbox.held
        server.send(LEAVING)
        await turns()
        assert leavings == ["left"]
        inbox.unwatch()

    async def test_a_release_while_nobody_watches_asks_for_nothing(
        self, inbox: Inbox, server: Server
    ) -> None:
        inbox.put(part(b"first"))
        inbox.held = True
        inbox.release()
        await turns()
        assert server.asked == 0

    async def test_a_watch_that_is_over_before_it_began_is_over(
        self, inbox: Inbox, server: Server, leave: Callable[[], None]
    ) -> None:
        inbox.put(part(b"first"))
        inbox.held = True
        inbox.watch(leave)
        inbox.release()
        inbox.unwatch()
        await turns()
        assert server.asked == 0


class TestTheEnd:
    async def test_nothing_is_read_any_more(
        self, inbox: Inbox, server: Server, leavings: list[str], leave: Callable[[], None]
    ) -> None:
        inbox.watch(leave)
        await turns()
        await inbox.close()
        assert server.cancelled == 1
        assert leavings == []

    async def test_it_waits_for_a_receive_that_takes_its_time(self) -> None:
        steps: list[str] = []

        async def receive() -> Message:
            try:
                await asyncio.Event().wait()
                return LEAVING
            finally:
                await turns()
                steps.append("received")

        inbox = Inbox(receive)
        inbox.watch(lambda: None)
        await turns()
        await inbox.close()
        steps.append("closed")
        assert steps == ["received", "closed"]

    async def test_there_may_be_nothing_to_end(self, inbox: Inbox, server: Server) -> None:
        await inbox.close()
        assert server.asked == 0

    async def test_what_was_read_may_be_left_lying(
        self, inbox: Inbox, server: Server, leave: Callable[[], None]
    ) -> None:
        server.send(LEAVING)
        inbox.watch(leave)
        await turns()
        await inbox.close()
        assert server.cancelled == 0


class Play:
    """Any course of events, and what has become of each message in it."""

    STEPS = ("send", "put", "get", "cancel", "watch", "unwatch", "turn")

    def __init__(self) -> None:
        self.server = Server()
        self.inbox = Inbox(self.server.receive)
        self.numbers = count()
        self.sent: list[int] = []
        self.put_in: list[int] = []
        self.got: list[int] = []
        self.call: asyncio.Future[Message] | None = None
        self.watched = False

    async def send(self) -> None:
        self.sent.append(next(self.numbers))
        self.server.send({"type": "sent", "number": self.sent[-1]})

    async def put(self) -> None:
        # One that waits is reached after `expect` alone.
        if self.call is None:
            self.put_in.append(next(self.numbers))
            self.inbox.put({"type": "put", "number": self.put_in[-1]})

    async def get(self) -> None:
        if self.call is None:
            self.call = asyncio.ensure_future(self.inbox.get())

    async def cancel(self) -> None:
        if self.call is not None:
            self.call.cancel()
            await asyncio.wait([self.call])

    async def watch(self) -> None:
        # A watch begins and ends between calls, as a handler does.
        if not self.watched and self.call is None:
            self.inbox.watch(lambda: None)
            self.watched = True

    async def unwatch(self) -> None:
        if self.watched and self.call is None:
            self.inbox.unwatch()
            self.watched = False

    async def turn(self) -> None:
        await asyncio.sleep(0)

    async def run(self, steps: list[str]) -> None:
        for step in steps:
            await getattr(self, step)()
            self.look()
        while len(self.got) < len(self.sent) + len(self.put_in):
            await self.get()
            call = self.call
            await turns()
            self.look()
            assert call is not self.call, "a message was lost"
        await self.cancel()
        await self.inbox.close()

    def look(self) -> None:
        if self.call is not None and self.call.done():
            if not self.call.cancelled():
                self.got.append(self.call.result()["number"])
            self.call = None
        taken = len(set(self.got) & set(self.sent))
        # Never more than one that nobody has taken.
        assert self.server.asked - self.server.cancelled <= taken + 1


@given(st.lists(st.sampled_from(Play.STEPS), max_size=60))
def test_whatever_happens_each_message_comes_once_and_in_order(steps: list[str]) -> None:
    play = Play()
    asyncio.run(play.run(steps))
    assert [number for number in play.got if number in play.sent] == play.sent
    assert [number for number in play.got if number in play.put_in] == play.put_in
