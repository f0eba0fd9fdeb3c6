import io
import logging
import traceback
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync

from channels_http._runserver.tracebacks import fold, one_traceback

ours = logging.getLogger("django.channels.consumer")
daphnes = logging.getLogger("daphne.server")


async def fail() -> None:
    raise LookupError("no room; make one first")


def caught(kind: type[Exception] = LookupError) -> Exception:
    try:
        async_to_sync(fail)()
    except LookupError as error:
        if kind is LookupError:
            return error
        try:
            raise kind("outer") from error
        except kind as outer:
            return outer
    raise AssertionError


@pytest.fixture
def shown() -> Iterator[io.StringIO]:
    """What a handler of both loggers writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    for logger in (ours, daphnes):
        logger.addHandler(handler)
    yield stream
    for logger in (ours, daphnes):
        logger.removeHandler(handler)


def test_an_exception_is_shown_once_with_its_text_at_the_end(shown: io.StringIO) -> None:
    error = caught()
    with one_traceback():
        ours.error("Room failed", exc_info=error)
        daphnes.error("Exception inside application: %s", error, exc_info=error)
    text = shown.getvalue()
    assert text.count("Traceback") == 1
    assert text.startswith("Room failed\n")
    assert text.endswith("\nLookupError: no room; make one first\n")
    assert "frames of asgiref" in text
    assert text.count('File "') == 2


def test_daphnes_is_shown_where_there_is_none_of_ours(shown: io.StringIO) -> None:
    with one_traceback():
        error = caught()
        daphnes.error("Exception inside application: %s", error, exc_info=error)
        daphnes.error("plain")
    assert "frames of asgiref" in shown.getvalue()
    assert shown.getvalue().endswith("\nplain\n")
    # It ends with the server.
    daphnes.error("Exception inside application: %s", error, exc_info=error)
    assert shown.getvalue().count("Traceback") == 2


def test_causes_are_folded_too() -> None:
    text = fold(caught(ValueError))
    assert text.count("frames of asgiref") == 1
    assert text.endswith("ValueError: outer")
    group = ExceptionGroup("several", [caught()])
    assert "frames of asgiref" in fold(group)


def test_one_frame_in_a_row() -> None:
    import contextlib

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        yield
        raise LookupError("at the end")

    with pytest.raises(LookupError) as caught_here, around():
        pass
    text = fold(caught_here.value)
    assert "  ... 1 frame of contextlib; --traceback shows all ...\n" in text


def test_where_all_is_of_frameworks_all_is_shown() -> None:
    error = caught()
    traced = error.__traceback__
    while traced is not None and "asgiref" not in traced.tb_frame.f_code.co_filename:
        traced = traced.tb_next
    assert traced is not None
    traced.tb_next.tb_next = None  # type: ignore[union-attr] # it has more of asgiref
    only = LookupError("inside").with_traceback(traced)
    assert fold(only) == "".join(traceback.format_exception(only)).rstrip("\n")
