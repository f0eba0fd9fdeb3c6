import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core import _logging
from channels_core.client_log import log_of_client, one_line

logger = logging.getLogger("django.channels.consumer")


class TestOneLine:
    @given(st.text(max_size=2000))
    def test_one_line_is_printable_and_bounded(self, text: str) -> None:
        line = one_line(text)
        assert line.isprintable()
        assert len(line) <= 1003

    def test_an_ordinary_text_stays_as_it_is(self) -> None:
        assert one_line("No route for 'é'.") == "No route for 'é'."


class TestLogOfClient:
    async def test_each_address_has_some_lines_and_then_a_count(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_logging, "_PERIOD", 0.02)
        for port in range(20):
            for address in ("192.0.2.1", "192.0.2.2"):
                scope = {"client": [address, port]}
                log_of_client(logger, logging.WARNING, scope, "%s again", address)
        log_of_client(logger, logging.WARNING, {"client": None}, "%s again", "no address")
        scope = {"client": ["192.0.2.1", 1]}
        log_of_client(logger, logging.WARNING, scope, "%s again", "of a kind", kind=ValueError)
        assert len(caplog.messages) == 22
        assert caplog.messages[20:] == ["no address again", "of a kind again"]
        assert caplog.records[0].funcName.startswith("test_each_address")
        assert caplog.records[9].funcName.startswith("test_each_address")
        await asyncio.sleep(0.06)
        assert caplog.messages[22:] == [
            f"192.0.2.{number} again (10 more times within a minute)" for number in (1, 2)
        ]

    async def test_lines_of_one_kind_keep_no_other_from_the_log(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_logging, "_PERIOD", 0.02)
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            caplog.set_level(logging.INFO, logger.name)
            for number in range(150):
                scope = {"client": [f"192.0.2.{number}", 1]}
                log_of_client(logger, level, scope, "line of level %d", level)
        log_of_client(logger, logging.WARNING, {"client": ["192.0.2.1", 1]}, "another line")
        levels = [record.levelno for record in caplog.records]
        # A hundred addresses, and ten lines of all others together.
        assert levels == [logging.INFO] * 110 + [logging.WARNING] * 111
        await asyncio.sleep(0.06)
        assert caplog.messages[221:] == [
            f"line of level {level} (40 others within a minute)" for level in (20, 30)
        ]

    async def test_a_network_of_ipv6_is_one_client(self, caplog: pytest.LogCaptureFixture) -> None:
        for number in range(20):
            for address in (f"2001:db8::{number}", f"2001:db8:0:{number}::1", "no address:"):
                log_of_client(logger, logging.WARNING, {"client": [address, 1]}, "a line")
        assert len(caplog.messages) == 10 + 19 + 10

    def test_without_an_event_loop_each_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(20):
            log_of_client(logger, logging.WARNING, {}, "in a test of the program")
        assert len(caplog.messages) == 20
