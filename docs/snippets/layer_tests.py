"""The tests of a channel layer."""

from typing import Any

from channels.layers import InMemoryChannelLayer

from channels_testing.layers import ChannelLayerContract
from docs.snippets.small_layer import SmallLayer


class TestMyLayer(ChannelLayerContract):
    def make_layer(self, **options: Any) -> InMemoryChannelLayer:
        return InMemoryChannelLayer(**options)


class TestMyCopyingLayer(ChannelLayerContract):
    latency = 0
    deviations = {
        "test_tuples_arrive_as_lists": "they are copied, and stay tuples",
        "test_what_cannot_cross_is_refused": "objects may pass, since nothing crosses a network",
        "test_a_key_is_a_string": "objects may pass, since nothing crosses a network",
    }

    def make_layer(self, **options: Any) -> InMemoryChannelLayer:
        self.now = 0.0
        return InMemoryChannelLayer(isolation="deepcopy", clock=lambda: self.now, **options)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds


class TestSmallLayer(ChannelLayerContract):
    latency = 0

    def make_layer(self, **options: Any) -> SmallLayer:
        self.now = 0.0
        return SmallLayer(clock=lambda: self.now, **options)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds
