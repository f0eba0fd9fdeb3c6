"""The settings give a layer that carries messages, also to a group, through Redis.

The second argument is the address of the server, which stands for the one in the README.
"""

import sys
from typing import Any

from readme import blocks, configure, run, wait_for

README_ADDRESS = "redis://127.0.0.1:6379/0"
code = blocks()[0]
assert README_ADDRESS in code
configure(CHANNEL_LAYERS=run(code.replace(README_ADDRESS, sys.argv[2]))["CHANNEL_LAYERS"])

# It needs the settings above.
from channels_core.layers import get_channel_layer  # noqa: E402


async def visit() -> None:
    layer: Any = get_channel_layer()
    assert type(layer).__module__ == "channels_layers_redis.layer", layer
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "room.said", "text": "hello"})
    assert (await layer.receive(channel))["text"] == "hello"
    await layer.close()


wait_for(visit())
