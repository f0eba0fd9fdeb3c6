import channels.testing
import channels.testing.live
from channels.testing import ChannelsLiveServerTestCase
from django.test import TransactionTestCase

import channels_testing.live


def test_it_is_the_module_of_channels_testing() -> None:
    assert channels.testing.live is channels_testing.live
    assert ChannelsLiveServerTestCase is channels_testing.live.ChannelsLiveServerTestCase


def test_it_is_a_test_case_of_django() -> None:
    assert issubclass(ChannelsLiveServerTestCase, TransactionTestCase)
