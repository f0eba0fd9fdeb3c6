"""System checks: the channel layers of the settings can be built, and serve a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core import checks

from channels_core._checks.imports import reason
from channels_core.applications import name_that_thing
from channels_core.documentation import see
from channels_core.exceptions import InvalidChannelLayerError
from channels_core.layers import channel_layers

__all__ = ["check_layers", "check_worker_layer", "layer_of"]


#: Options of a layer, and the extension without which the layer ignores them.
_EXTENSIONS: Final = {"history": "history", "queues": "acks"}


def layer_of(alias: str) -> Any:
    """Return the layer that is in use, or a new one that is not kept.

    So a process that is forked after the checks does not share a layer with this one.
    """
    return channel_layers.backends.get(alias) or channel_layers.make_backend(alias)


def check_layers() -> list[checks.CheckMessage]:
    """Check the setting `CHANNEL_LAYERS`: see `channels_core.checks`."""
    configs: Any = channel_layers.configs
    if not isinstance(configs, Mapping):
        return [_misshapen(f"CHANNEL_LAYERS must be a dict; its type is {type(configs).__name__}.")]
    return [message for alias, config in configs.items() for message in _check_layer(alias, config)]


def _check_layer(alias: str, config: Any) -> Iterator[checks.CheckMessage]:
    # No message shows a value: CONFIG may have passwords.
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
        layer = layer_of(alias)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the layer's module may raise any
        # Our own exceptions say only that the layer cannot be built.
        ours = isinstance(error, InvalidChannelLayerError)
        cause = (ours and error.__cause__) or error
        yield checks.Error(
            f"The channel layer {alias!r} cannot be built from {path!r}: {reason(cause)}.",
            hint="Install the package that has the layer, or correct BACKEND, the dotted path of "
            "its class, or CONFIG, the keyword arguments of its constructor. "
            + see("Channel layers", "Configuration"),
            id="channels_core.E002",
        )
        return
    for option, extension in _EXTENSIONS.items():
        if config.get("CONFIG", {}).get(option) and not _has(layer, extension):
            yield checks.Warning(
                f"{name}['CONFIG'] has {option!r}, which {name_that_thing(type(layer))} ignores: "
                f"its `extensions` do not have {extension!r}.",
                hint="Choose a BACKEND that has it, or take the option out. "
                + see("Choosing a channel layer", "Write a program for any layer"),
                id="channels_core.W012",
            )


def _has(layer: Any, extension: str) -> bool:
    # Of the class first: some layers need an event loop to read their own attributes.
    listed = getattr(type(layer), "extensions", None) or vars(layer).get("extensions", ())
    return extension in listed


def _misshapen(fault: str) -> checks.CheckMessage:
    return checks.Error(
        fault,
        hint="Write it as {'default': {'BACKEND': 'the dotted path of a class', 'CONFIG': {}}}. "
        + see("Channel layers", "Configuration"),
        id="channels_core.E001",
    )


def check_worker_layer(alias: str) -> list[checks.CheckMessage]:
    """Check the layer of a worker: see `channels_core.checks`."""
    try:
        layer = layer_of(alias)
    except (Exception, SystemExit):  # noqa: BLE001 - the layer's module may raise any; `check_layers` reports it
        return []
    # Of the class: some layers need an event loop to read their own attributes.
    if getattr(type(layer), "reaches_other_processes", None) is not False:
        return []
    return [
        checks.Warning(
            f"The channel layer {alias!r} ({name_that_thing(layer)}) works within one process, so "
            "this worker gets no message that a server sends.",
            hint="Choose a BACKEND that several processes share, such as "
            "'channels_redis.core.RedisChannelLayer'. " + see("Workers", "An example"),
            id="channels_core.W004",
        )
    ]
