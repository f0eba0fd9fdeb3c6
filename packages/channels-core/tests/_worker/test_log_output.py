import logging
from io import StringIO

import pytest
from django.utils.log import DEFAULT_LOGGING, AdminEmailHandler

from channels_core._worker.log_output import shown


@pytest.fixture
def logger() -> logging.Logger:
    """A logger of a tree of its own, which pytest does not capture."""
    loggers = logging.Manager(logging.RootLogger(logging.WARNING))
    loggers.getLogger("shop")
    return loggers.getLogger("shop.channels")


def handler_of(logger: logging.Logger, level: int = logging.NOTSET) -> StringIO:
    handler = logging.StreamHandler(StringIO())
    handler.setLevel(level)
    logger.addHandler(handler)
    return handler.stream


def test_what_nobody_would_see_is_shown(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(logger):
        logger.info("It %s", "starts")
        logger.debug("Too much")
    logger.info("Nothing")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.endswith("] INFO It starts\n")
    assert told.err.count("\n") == 1


def test_it_is_as_it_was_afterwards(logger: logging.Logger) -> None:
    logger.setLevel(logging.ERROR)
    try:
        with shown(logger):
            assert logger.level == logging.INFO
            raise LookupError
    except LookupError:
        pass
    assert (logger.level, logger.handlers) == (logging.ERROR, [])


@pytest.mark.parametrize("own", [True, False])
def test_what_goes_somewhere_goes_nowhere_else(
    own: bool, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logger.parent is not None
    stream = handler_of(logger if own else logger.parent, logging.WARNING)
    with shown(logger):
        logger.warning("It fails")
    assert (stream.getvalue(), capsys.readouterr().err) == ("It fails\n", "")


def test_mail_to_the_admins_and_errors_alone_are_not_enough(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.addHandler(AdminEmailHandler())
    stream = handler_of(logger, logging.ERROR)
    with shown(logger):
        logger.warning("It fails")
    assert stream.getvalue() == ""
    assert capsys.readouterr().err.endswith("] WARNING It fails\n")


def test_a_logger_that_passes_nothing_on_is_not_heard_above(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logger.parent is not None
    stream = handler_of(logger.parent)
    logger.propagate = False
    with shown(logger):
        logger.warning("It fails")
    assert stream.getvalue() == ""
    assert capsys.readouterr().err.endswith("] WARNING It fails\n")


@pytest.mark.parametrize("debug", [True, False])
def test_a_filter_that_refuses_counts(
    debug: bool, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert DEFAULT_LOGGING["handlers"]["console"]["filters"] == ["require_debug_true"]
    handler_of(logger)
    logger.handlers[0].addFilter(lambda record: debug)
    with shown(logger):
        logger.info("It starts")
    assert ("It starts" in capsys.readouterr().err) is not debug
