"""System check: does a consumer that is in groups have a channel layer with groups?"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core import checks

from channels_core._checks.called import handler_that_calls
from channels_core._checks.layers import layer_of
from channels_core.applications import name_that_thing
from channels_core.documentation import see
from channels_core.layers import channel_layers, has_groups

__all__ = ["check_groups"]

#: What joins a group in a program's own code.
_JOINING: Final = frozenset({"group_add", "group_add_sync", "join_group"})


def check_groups(consumer: type) -> Iterator[checks.CheckMessage]:
    """Check the layer of a consumer class, if it is in groups.

    Returns:
        `channels_core.E004`, it has groups and no layer; `E005`, it has groups and a layer without
        them; `W003`, a handler of it joins a group, and it has no layer.
    """
    # As they stand in the class: what a property gives is known when a connection is served.
    alias = inspect.getattr_static(consumer, "channel_layer_alias", None)
    own_layer = inspect.getattr_static(consumer, "channel_layer", None)
    is_known = isinstance(alias, str | None) and own_layer is None
    # Else another check tells.
    is_readable = isinstance(channel_layers.configs, Mapping)
    if not (is_known and is_readable):
        return
    name = name_that_thing(consumer)
    # A property or a method is there to give names, so it counts.
    groups = inspect.getattr_static(consumer, "groups", None)
    is_in_groups = hasattr(consumer, "join_group") and bool(groups)
    if alias is not None and alias in channel_layers:
        if is_in_groups and not _may_have_groups(alias):
            yield checks.Error(
                f"{name} has groups, but its channel layer {alias!r} has none.",
                hint="Choose another BACKEND for the layer, another channel_layer_alias for the "
                "consumer, or leave its groups out. " + see("Channel layers", "Groups"),
                id="channels_core.E005",
            )
    elif is_in_groups:
        yield checks.Error(
            f"{name} has groups, but {_why(alias)}", **_remedy(alias, "channels_core.E004")
        )
    elif alias is not None and (handler := handler_that_calls(consumer, _JOINING)):
        # Read off the code, so it may be mistaken.
        yield checks.Warning(
            f"{name} joins a group in {handler}, but {_why(alias)}",
            **_remedy(alias, "channels_core.W003"),
        )


def _why(alias: str | None) -> str:
    if alias is None:
        return "it has no channel layer: its channel_layer_alias is None."
    there = ", ".join(map(repr, channel_layers.configs)) or "none"
    return (
        "it has no channel layer: its channel_layer_alias is "
        f"{alias!r}, and the aliases in CHANNEL_LAYERS are: {there}."
    )


def _remedy(alias: str | None, name: str) -> dict[str, Any]:
    first = "Set" if alias is None else f"Add {alias!r} to CHANNEL_LAYERS, or set"
    return {
        "hint": f"{first} channel_layer_alias to an alias in CHANNEL_LAYERS, or leave the groups "
        "out. " + see("Channel layers", "Groups"),
        "id": name,
    }


def _may_have_groups(alias: str) -> bool:
    try:
        return has_groups(layer_of(alias))
    except (Exception, SystemExit):  # noqa: BLE001 - the layer's module may raise any; another check tells
        return True
