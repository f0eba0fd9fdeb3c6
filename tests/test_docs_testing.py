"""The tests that the page about testing shows, and the messages that it says they fail with."""

import asyncio
import re
from typing import Any

import pytest
from channels.testing import (
    ApplicationCommunicator,
    ChannelsLiveServerTestCase,
    WebsocketCommunicator,
)
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from channels_testing._live import databases as _live_databases
from docs.snippets.desk import Forgetful
from docs.snippets.desk_live import *  # noqa: F403 - the tests themselves, run here
from docs.snippets.desk_pytest import *  # noqa: F403 - the tests themselves, run here
from docs.snippets.desk_unittest import *  # noqa: F403 - the tests themselves, run here
from served import ROOT

PAGE = ROOT / "docs" / "topics" / "testing.md"


@pytest.fixture(autouse=True)
def engine(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"


@pytest.fixture
def real_timeouts() -> None:
    """Let calls time out after one second, as they do by default."""


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than a reader has to, for a machine under load."""
    if "real_timeouts" not in request.fixturenames:
        real = ApplicationCommunicator.receive_output

        async def receive_output(self: Any, timeout: float = 1, **options: Any) -> Any:
            return await real(self, 60, **options)

        monkeypatch.setattr(ApplicationCommunicator, "receive_output", receive_output)


def shown(error: BaseException) -> str:
    """Return a message as the page shows it: with short paths, and in lines of its own width."""
    text = re.sub(r"\([^()]*/snippets/(\w+\.py), line", r"(.../\1, line", str(error))
    return re.sub(r"\s+", " ", text)


async def receive(word: str) -> None:
    async with WebsocketCommunicator(Forgetful, "/") as socket:
        await socket.send_json_to(word)
        # All of it happens in this event loop, and needs its turns more than it needs time.
        for _ in range(100):
            await asyncio.sleep(0)
        await socket.receive_json_from()


async def of_a_receive(word: str) -> str:
    with pytest.raises((AssertionError, TimeoutError)) as caught:
        await receive(word)
    return shown(caught.value)


async def test_the_messages_are_the_real_ones(real_timeouts: None) -> None:
    real = [await of_a_receive(word) for word in ("hello", "wait", "close")]
    with pytest.raises(AssertionError) as caught:
        await WebsocketCommunicator(Forgetful, "/").assert_denied()
    real.append(shown(caught.value))
    blocks = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert [re.sub(r"\s+", " ", block).strip() for block in blocks] == real


async def test_what_the_application_raised_is_raised_in_the_test() -> None:
    with pytest.raises(ValueError, match="no such room"):
        await receive("fail")


class TestARealServer:
    """What the section of that name says."""

    TEXT = PAGE.read_text().split("## A real server")[1].split("\n## ")[0]

    def test_the_table_has_what_a_class_may_set(self) -> None:
        rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \|", self.TEXT, re.MULTILINE)
        defaults = {
            name: getattr(ChannelsLiveServerTestCase, name)
            for name in ChannelsLiveServerTestCase.__annotations__
            if not name.startswith("_")
        }
        written = {
            name: getattr(value, "__name__", None) or repr(value).replace("'", '"')
            for name, value in defaults.items()
        }
        assert dict(rows) == written

    def test_a_database_in_memory_is_refused_in_these_words(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = [connections["default"]]
        monkeypatch.setattr(_live_databases, "in_memory", lambda aliases: found)
        monkeypatch.setitem(found[0].settings_dict["TEST"], "NAME", None)
        with pytest.raises(ImproperlyConfigured) as caught:
            _live_databases.refuse_in_memory({"default"}, "LiveDeskTests")
        assert shown(caught.value) in re.sub(r"\s+", " ", self.TEXT.replace("\n> ", "\n"))
