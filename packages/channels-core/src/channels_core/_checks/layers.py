"""System checks: can the channel layers of the settings be built, and do for a worker?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks

from channels_core._checks.imports import reason
from channels_core._layers.names import DEFAULT_CHANNEL_LAYER
from channels_core.applications import name_that_thing
from channels_core.documentation import see
from channels_core.exceptions import InvalidChannelLayerError
from channels_core.layers import channel_layers

__all__ = ["check_layers", "check_worker_layer", "layer_of"]


def layer_of(alias: str) -> Any:
    """Return the layer that is in use, or one that is kept nowhere.

    A process that is forked after the checks then shares none with this one.
    """
    return channel_layers.backends.get(alias) or channel_layers.make_backend(alias)


def check_layers(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that each layer of `CHANNEL_LAYERS` can be imported and constructed.

    Returns:
        `channels_core.E001`, a setting of the wrong shape; `E002`, a layer that cannot be built.
    """
    configs: Any = channel_layers.configs
    if not isinstance(configs, Mapping):
        return [_misshapen(f"CHANNEL_LAYERS must be a dict; its type is {type(configs).__name__}.")]
    return [message for alias, config in configs.items() for message in _check_layer(alias, config)]


def _check_layer(alias: str, config: Any) -> Iterator[checks.CheckMessage]:
    # None of its values is shown: there may be passwords in CONFIG.
    name = f"CHANNEL_LAYERS[{alias!r}]"
    if not isinstance(config, dict):
        yield _misshapen(f"{name} must be a dict; its type is {type(config).__name__}.")
        return
    if "BACKEND" not in config:
        keys = ", ".join(map(repr, config)) or "nothing"
        yield _misshapen(f"{name} has no 'BACKEND'; it has {keys}.")
        return
    path = config["BACKEND"]
    if not isinstance(path, str):
        yield _misshapen(f"{name}['BACKEND'] must be a str; its type is {type(path).__name__}.")
        return
    try:
        layer_of(alias)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the layer's module may raise any
        # Ours says all this as well.
        ours = isinstance(error, InvalidChannelLayerError)
        cause = (ours and error.__cause__) or error
        yield checks.Error(
            f"The channel layer {alias!r} cannot be built from {path!r}: {reason(cause)}.",
            hint="Install the package that has the layer, or correct BACKEND, the dotted path of "
            "its class, or CONFIG, the keyword arguments of its constructor. "
            + see("Channel layers", "Configuration"),
            id="channels_core.E002",
        )


def _misshapen(fault: str) -> checks.CheckMessage:
    return checks.Error(
        fault,
        hint="Write it as {'default': {'BACKEND': 'the dotted path of a class', 'CONFIG': {}}}. "
        + see("Channel layers", "Configuration"),
        id="channels_core.E001",
    )


def check_worker_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> list[checks.CheckMessage]:
    """Check that a layer reaches other processes; for the command that runs a worker.

    Args:
        alias: The layer's alias in `CHANNEL_LAYERS`.

    Returns:
        `channels_core.W004`, for a layer within one process. Nothing where that is not known, or
        where the layer cannot be built.
    """
    try:
        layer = layer_of(alias)
    except (Exception, SystemExit):  # noqa: BLE001 - as above, where it is told
        return []
    # Asked of the class: a layer may need an event loop to give its own attributes.
    if getattr(type(layer), "reaches_other_processes", None) is not False:
        return []
    return [
        checks.Warning(
            f"The channel layer {alias!r} ({name_that_thing(layer)}) works within one process, so "
            "that this worker gets nothing which a server sends.",
            hint="Choose a BACKEND that several processes share, such as "
            "'channels_redis.core.RedisChannelLayer'. " + see("Workers", "An example"),
            id="channels_core.W004",
        )
    ]
