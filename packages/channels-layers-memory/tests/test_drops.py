import logging

import pytest

from channels_layers_memory._layer.dropped_messages import INTERVAL, Drops
from fakes import Clock

LOGGER = "django.channels.layers.memory"


def test_the_first_drop_is_told_with_its_group_and_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drops = Drops(Clock())
    drops.add("room", 3)
    assert drops.total == 3
    [record] = caplog.records
    assert (record.name, record.levelno) == (LOGGER, logging.WARNING)
    assert "'room'" in record.getMessage()
    assert "3 message(s)" in record.getMessage()


def test_further_drops_are_told_together_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    drops = Drops(clock)
    drops.add("room", 1)
    clock.advance(INTERVAL - 1)
    drops.add("room", 4)
    drops.add("hall", 5)
    assert len(caplog.records) == 1
    clock.advance(1)
    drops.add("hall", 2)
    assert drops.total == 12
    told = caplog.records[1].getMessage()
    assert "'hall'" in told
    assert "11 message(s)" in told


def test_a_logging_handler_may_itself_send_to_a_full_group() -> None:
    drops = Drops(Clock())

    class Announcer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            drops.add("logs", 1)

    handler = Announcer()
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    try:
        drops.add("room", 1)
    finally:
        logger.removeHandler(handler)
    assert drops.total == 2
