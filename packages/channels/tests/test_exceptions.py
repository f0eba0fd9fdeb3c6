import pickle

import channels.exceptions
import pytest
from channels.exceptions import ChannelFull, StopConsumer

import channels_core.exceptions


def test_it_is_the_module_of_the_core() -> None:
    assert channels.exceptions is channels_core.exceptions


def test_what_is_raised_under_one_name_is_caught_under_the_other() -> None:
    with pytest.raises(channels_core.exceptions.ChannelsError):
        raise ChannelFull
    with pytest.raises(StopConsumer):
        raise channels_core.exceptions.StopConsumer


def test_what_was_pickled_under_this_name_is_read() -> None:
    """Written as in other implementations of this name."""
    assert pickle.loads(b"cchannels.exceptions\nChannelFull\n.") is ChannelFull
    assert type(pickle.loads(pickle.dumps(ChannelFull("full")))) is ChannelFull
