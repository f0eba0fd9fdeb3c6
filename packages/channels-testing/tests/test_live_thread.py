"""The server in a thread of this process, without a test case."""

import asyncio
import json
import threading
import warnings
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest

import live_site
from channels_testing._live import thread as _live_thread
from channels_testing._live.process import LiveServerError
from channels_testing._live.thread import ServerThread


def get_application() -> Any:
    return live_site.application


def ask(server: ServerThread, question: str = "pid") -> Any:
    url = f"http://127.0.0.1:{server.port.value}/{question}/"
    with urlopen(url, timeout=live_site.SECONDS) as answer:
        return json.load(answer)


@pytest.mark.live
class TestServerThread:
    def test_it_takes_the_arguments_of_daphnes_process(self) -> None:
        steps = []
        server = ServerThread(
            "127.0.0.1",
            get_application,
            {"server_name": "live"},
            setup=lambda: steps.append("set up"),
            teardown=lambda: steps.append("torn down"),
        )
        show = warnings.showwarning
        server.start()
        assert warnings.showwarning is show
        url = f"http://127.0.0.1:{server.port.value}/pid/"
        with urlopen(url, timeout=live_site.SECONDS) as answer:
            assert answer.headers["server"] == "live"
        server.terminate()
        assert steps == ["set up", "torn down"]
        server.terminate()
        assert steps == ["set up", "torn down"]

    def test_one_after_the_other_and_side_by_side(self) -> None:
        before = threading.active_count()
        first, second = (ServerThread("127.0.0.1", get_application) for _ in range(2))
        first.start()
        second.start()
        assert ask(first) == ask(second)
        first.terminate()
        assert ask(second)
        second.terminate()
        # At most the threads of Twisted's reactor and of asyncio's own pool.
        names = {thread.name for thread in threading.enumerate()}
        assert "channels-live-server" in names
        assert threading.active_count() <= before + 2

    def test_a_port_that_is_taken(self) -> None:
        first = ServerThread("127.0.0.1", get_application)
        first.start()
        second = ServerThread("127.0.0.1", get_application, port=first.port.value)
        with pytest.raises(LiveServerError, match=r"cannot listen at 127\.0\.0\.1.*in use"):
            second.start()
        assert ask(first)
        first.terminate()

    def test_a_thread_that_is_blocked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live_site, "blocked", threading.Event())
        monkeypatch.setattr(live_site, "released", threading.Event())
        monkeypatch.setattr(_live_thread, "_GRACE_SECONDS", 0.1)
        steps: list[str] = []
        server = ServerThread(
            "127.0.0.1", get_application, teardown=lambda: steps.append("torn down")
        )
        other = ServerThread("127.0.0.1", get_application)
        server.start()
        with live_site.Socket(f"ws://127.0.0.1:{server.port.value}/block/"):
            pass
        assert live_site.blocked.wait(live_site.SECONDS)
        try:
            with pytest.raises(LiveServerError, match="something blocks the thread") as ending:
                server.terminate(0)
            with pytest.raises(LiveServerError, match=r"not start in 0 seconds.*busy") as starting:
                other.start(0)
            assert live_site.refused(f"http://127.0.0.1:{server.port.value}")
        finally:
            live_site.released.set()
        for error in (ending, starting):
            assert "in _echo" in str(error.value)
        assert steps == ["torn down"]
        other.terminate()
        other.start()
        assert ask(other)
        other.terminate()

    def test_it_ends_before_it_started(self) -> None:
        ServerThread("127.0.0.1", get_application).terminate()


def test_the_reactor_is_stopped_with_the_interpreter() -> None:
    steps = []

    class Reactor:
        _asyncioEventloop = asyncio.new_event_loop()  # noqa: N815 - Twisted's name

        def stop(self) -> None:
            steps.append("stopped")

        def callFromThread(self, call: Any) -> None:  # noqa: N802 - Twisted's name
            call()

    reactor = Reactor()
    thread = threading.Thread(target=lambda: None)
    thread.start()
    _live_thread._Reactor()._stop(reactor, thread)
    assert steps == ["stopped"]
    assert not thread.is_alive()
    assert reactor._asyncioEventloop.is_closed()


def test_one_that_is_blocked_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_live_thread, "_GRACE_SECONDS", 0.1)
    released = threading.Event()
    reactor = SimpleNamespace(callFromThread=lambda call: call(), stop=lambda: None)
    thread = threading.Thread(target=released.wait)
    thread.start()
    # Its event loop, which this one does not have, is not closed.
    _live_thread._Reactor()._stop(reactor, thread)
    released.set()
    thread.join()
