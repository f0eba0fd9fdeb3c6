"""The settings of a program of `tests/programs`, with our layer on Redis as each of its layers."""

import os
import secrets
from importlib import import_module
from typing import Any

from channels_layers_redis import RedisChannelLayer

_program = import_module(os.environ["PROGRAM_SETTINGS"])
globals().update({name: value for name, value in vars(_program).items() if name.isupper()})


class LayerOfATest(RedisChannelLayer):
    """A layer without the jobs of earlier tests, for which a test makes a new layer."""

    def __init__(self, **options: Any) -> None:
        """Take a prefix that no other layer has."""
        super().__init__(**options, prefix=secrets.token_hex(8))


CHANNEL_LAYERS = {
    alias: {
        "BACKEND": "on_redis.LayerOfATest",
        "CONFIG": {**layer.get("CONFIG", {}), "hosts": [os.environ["LAYER_REDIS_URL"]]},
    }
    for alias, layer in _program.CHANNEL_LAYERS.items()
}
