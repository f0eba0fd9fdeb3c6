import pickle
from typing import Any

import pytest

from channels_core import exceptions
from channels_core.exceptions import (
    AcceptConnection,
    ChannelFull,
    ChannelsError,
    ConnectionStateError,
    ConsumerSignal,
    DenyConnection,
    InvalidChannelLayerError,
    InvalidFrame,
    InvalidJSON,
    MessagesMissed,
    MessageTooLarge,
    RequestAborted,
    RequestTimeout,
    RouteNotFound,
    StopConsumer,
    WorkerError,
)

ERRORS = {
    ChannelFull,
    ConnectionStateError,
    InvalidChannelLayerError,
    InvalidFrame,
    InvalidJSON,
    MessageTooLarge,
    MessagesMissed,
    RequestAborted,
    RequestTimeout,
    RouteNotFound,
    WorkerError,
}
SIGNALS = {AcceptConnection, DenyConnection, StopConsumer}


def test_each_is_an_error_or_a_signal_and_none_is_both() -> None:
    named = {getattr(exceptions, name) for name in exceptions.__all__}
    assert named == ERRORS | SIGNALS | {ChannelsError, ConsumerSignal}
    assert all(issubclass(error, ChannelsError) for error in ERRORS)
    assert all(issubclass(signal, ConsumerSignal) for signal in SIGNALS)
    assert not any(issubclass(signal, ChannelsError) for signal in SIGNALS)


def test_errors_are_what_programs_catch() -> None:
    assert issubclass(RequestTimeout, RequestAborted)
    assert issubclass(ConnectionStateError, RuntimeError)
    for error in (InvalidChannelLayerError, InvalidFrame, RouteNotFound):
        assert issubclass(error, ValueError)


def test_a_bad_frame_has_its_close_code() -> None:
    error = InvalidFrame("A frame has neither text nor bytes", 1003)
    assert str(error) == "A frame has neither text nor bytes"
    assert error.code == 1003


def test_a_denial_may_say_how() -> None:
    denial = DenyConnection(4001, "log in first", 401)
    assert (denial.code, denial.reason, denial.status) == (4001, "log in first", 401)
    assert pickle.loads(pickle.dumps(denial)).status == 401


def test_a_denial_may_say_no_more_than_why() -> None:
    denial = DenyConnection("not allowed")
    assert (denial.code, denial.reason, denial.status) == (None, "not allowed", None)
    assert DenyConnection("not allowed", "because").reason == "because"


@pytest.mark.parametrize("given", [(), ("no",), (4001, "no"), (1, "b", 403, 4), ({"a": 1},)])
def test_a_denial_keeps_its_arguments_as_they_are(given: tuple[Any, ...]) -> None:
    denial = DenyConnection(*given)
    assert denial.args == given
    assert denial.code is None or isinstance(denial.code, int)
    assert pickle.loads(pickle.dumps(denial)).args == given


@pytest.mark.parametrize("signal", [AcceptConnection, DenyConnection, StopConsumer])
def test_a_signal_needs_no_argument(signal: type[ConsumerSignal]) -> None:
    with pytest.raises(ConsumerSignal):
        raise signal


def test_an_invalid_frame_passes_between_processes() -> None:
    import pickle

    copy = pickle.loads(pickle.dumps(InvalidFrame("bad", 1007)))
    assert (str(copy), copy.code) == ("bad", 1007)
