"""The settings give a layer that carries messages, also to a group."""

from typing import Any

from readme import blocks, configure, run, wait_for

configure(CHANNEL_LAYERS=run(blocks()[0])["CHANNEL_LAYERS"])

# It needs the settings above.
from channels_core.layers import get_channel_layer  # noqa: E402


async def visit() -> None:
    layer: Any = get_channel_layer()
    assert type(layer).__module__ == "channels_layers_memory.layer", layer
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "room.said", "text": "hello"})
    assert (await layer.receive(channel))["text"] == "hello"


wait_for(visit())
