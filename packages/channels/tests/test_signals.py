import channels.signals
from channels.signals import consumer_finished, consumer_started
from django.dispatch import Signal

import channels_core.signals


def test_it_is_the_module_of_the_core() -> None:
    assert channels.signals is channels_core.signals


def test_both_can_be_connected_to() -> None:
    assert isinstance(consumer_started, Signal)
    assert isinstance(consumer_finished, Signal)
