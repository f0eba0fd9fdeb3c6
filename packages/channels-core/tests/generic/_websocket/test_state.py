from collections.abc import Callable

import pytest

from channels_core.exceptions import ConnectionStateError
from channels_core.generic._websocket.state import (
    CLOSED,
    CLOSING,
    CONNECTING,
    OPEN,
    UNKNOWN,
    Socket,
)


def socket(state: str) -> Socket:
    result = Socket()
    result.state = state
    return result


# What may happen in each state: True (it goes out), False (nobody would get it), None (an error).
TABLE = {
    #                         accept  deny   send   by layer close
    UNKNOWN: (True, True, True, True, True),
    CONNECTING: (True, True, None, None, True),
    OPEN: (None, None, True, True, True),
    CLOSING: (None, False, None, False, False),
    CLOSED: (False, False, False, False, False),
}


@pytest.mark.parametrize("state", TABLE)
def test_what_may_happen_in_each_state(state: str) -> None:
    subject = socket(state)
    calls: tuple[Callable[[], bool], ...] = (
        subject.may_accept,
        subject.may_deny,
        lambda: subject.may_send(by_layer=False),
        lambda: subject.may_send(by_layer=True),
        subject.may_close,
    )
    for call, expected in zip(calls, TABLE[state], strict=True):
        if expected is None:
            with pytest.raises(ConnectionStateError):
                call()
        else:
            assert call() is expected


def test_a_frame_tells_that_somebody_has_accepted() -> None:
    subject = socket(CONNECTING)
    assert subject.may_receive()
    assert subject.may_send(by_layer=False)


def test_a_life() -> None:
    subject = Socket()
    states = []
    steps: list[Callable[[], None]] = [
        subject.connecting,
        subject.accepted,
        lambda: subject.closing(None, None),
        lambda: subject.peer_left(4000, "bye"),
    ]
    for step in steps:
        step()
        states.append((subject.state, subject.close_code, subject.reason))
    assert states == [
        (CONNECTING, 1006, ""),
        (OPEN, 1006, ""),
        (CLOSING, 1000, ""),
        (CLOSED, 4000, "bye"),
    ]


def test_an_abnormal_end_has_the_code_for_it_unless_we_closed_before() -> None:
    subject = Socket()
    subject.lost()
    assert subject.close_code == 1006
    subject = Socket()
    subject.closing(4001, "why")
    subject.lost()
    assert (subject.close_code, subject.reason) == (4001, "why")


def test_a_raw_frame_before_the_answer_changes_nothing() -> None:
    subject = socket(CONNECTING)
    subject.answered("websocket.send")
    assert subject.state == CONNECTING
