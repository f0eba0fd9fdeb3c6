"""The names of `channels_core.layers`, and the layer of `channels_layers_memory.layer`."""

from typing import TYPE_CHECKING

from channels._facade import forward

from channels_core import layers

if TYPE_CHECKING:
    from channels_core.layers import (
        BaseChannelLayer,
        Capacities,
        ChannelLayerManager,
        channel_layers,
        get_channel_layer,
        group_add_sync,
        group_discard_sync,
        group_history_sync,
        group_members_sync,
        group_send_on_commit,
        group_send_sync,
        has_groups,
        ping_sync,
        send_on_commit,
        send_sync,
    )
    from channels_layers_memory.layer import InMemoryChannelLayer

__all__ = [
    "BaseChannelLayer",
    "Capacities",
    "ChannelLayerManager",
    "InMemoryChannelLayer",
    "channel_layers",
    "get_channel_layer",
    "group_add_sync",
    "group_discard_sync",
    "group_history_sync",
    "group_members_sync",
    "group_send_on_commit",
    "group_send_sync",
    "has_groups",
    "ping_sync",
    "send_on_commit",
    "send_sync",
]

# By name, so that a project with another layer imports neither this one nor msgpack.
forward(globals(), layers, {"InMemoryChannelLayer": "channels_layers_memory.layer"})
