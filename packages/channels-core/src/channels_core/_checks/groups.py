"""System check: a consumer that is in groups needs a channel layer with groups.

Whether a consumer declares groups is in its class. Whether one of its handlers joins a group is
read in its source: the check follows the names that each method mentions, from the handlers on.
That may be mistaken, so it only warns; and a class without source is not looked at.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from django.core import checks

from channels_core._checks.layers import layer_of
from channels_core._checks.source import parse
from channels_core._consumer_classes import is_framework
from channels_core.applications import name_that_thing
from channels_core.documentation import see
from channels_core.layers import channel_layers, has_groups

__all__ = ["check_groups"]

#: The functions and methods that join a group.
_JOINING: Final = frozenset({"group_add", "group_add_sync", "join_group"})


def check_groups(consumer: type) -> Iterator[checks.CheckMessage]:
    """Check the layer of a consumer class that is in groups.

    Returns:
        `channels_core.E004`, it has groups and no layer; `E005`, it has groups and a layer without
        them; `W003`, one of its handlers joins a group, and it has no layer.
    """
    # Static: a property has its value only while a connection is served.
    alias = inspect.getattr_static(consumer, "channel_layer_alias", None)
    own_layer = inspect.getattr_static(consumer, "channel_layer", None)
    is_known = isinstance(alias, str | None) and own_layer is None
    # The check of the layers reports a setting of another shape.
    is_readable = isinstance(channel_layers.configs, Mapping)
    if not (is_known and is_readable):
        return
    name = name_that_thing(consumer)
    # A property or a method counts: it is there to return names.
    groups = inspect.getattr_static(consumer, "groups", None)
    declares_groups = hasattr(consumer, "join_group") and bool(groups)
    if alias is not None and alias in channel_layers:
        if declares_groups and not _may_have_groups(alias):
            yield checks.Error(
                f"{name} has groups, but its channel layer {alias!r} has none.",
                hint="Choose another BACKEND for the layer, another channel_layer_alias for the "
                "consumer, or leave its groups out. " + see("Channel layers", "Groups"),
                id="channels_core.E005",
            )
    elif declares_groups:
        yield checks.Error(
            f"{name} has groups, but {_why(alias)}", **_remedy(alias, "channels_core.E004")
        )
    elif alias is not None and (handler := _handler_that_joins(consumer)):
        yield checks.Warning(
            f"{name} joins a group in {handler}, but {_why(alias)}",
            **_remedy(alias, "channels_core.W003"),
        )


def _why(alias: str | None) -> str:
    if alias is None:
        return "it has no channel layer: its channel_layer_alias is None."
    aliases = ", ".join(map(repr, channel_layers.configs)) or "none"
    return (
        "it has no channel layer: its channel_layer_alias is "
        f"{alias!r}, and the aliases in CHANNEL_LAYERS are: {aliases}."
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
    except (Exception, SystemExit):  # noqa: BLE001 - the layer's module may raise any; another check reports it
        return True


class _Method(NamedTuple):
    """A method, property or other attribute in the source of a class."""

    name: str
    #: All names in its code, of attributes, functions and methods.
    mentions: frozenset[str]
    #: Whether its only parameter is `event`, as that of a handler of the layer's messages.
    takes_event: bool


def _handler_that_joins(consumer: type) -> str | None:
    """Return the name of a handler that joins a group, `connect` first; None if none does.

    Handlers are the methods of the program that override one of ours, that are named after a
    message of a server, or whose only parameter is `event`.
    """
    ours = {name for each in consumer.__mro__ if _is_ours(each) for name in vars(each)}
    methods = [m for each in consumer.__mro__ if not _is_ours(each) for m in _methods(each)]
    handlers = {
        method.name
        for method in methods
        if method.name in ours
        or method.name.startswith(("websocket_", "http_"))
        or method.takes_event
    }
    by_name = sorted(handlers, key=lambda name: (name != "connect", name))
    return next((name for name in by_name if _joins(methods, name)), None)


def _is_ours(kind: type) -> bool:
    return is_framework(kind)


def _methods(kind: type) -> Iterator[_Method]:
    """Yield what a class defines by `def` or by an assignment."""
    definition = parse(kind)
    for node in definition.body if isinstance(definition, ast.ClassDef) else ():
        mentions = frozenset(_mentions(node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = [each.arg for each in node.args.posonlyargs + node.args.args]
            yield _Method(node.name, mentions, parameters == ["self", "event"])
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield _Method(ast.unparse(target), mentions, takes_event=False)


def _mentions(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            yield each.attr
        elif isinstance(each, ast.Name):
            yield each.id


def _joins(methods: list[_Method], start: str) -> bool:
    """Return whether a method mentions what joins a group, itself or by way of other methods."""
    reached, waiting = {start}, [start]
    while waiting:
        name = waiting.pop()
        # In several classes, perhaps: a method may call that of its base.
        for method in methods:
            if method.name == name:
                if not method.mentions.isdisjoint(_JOINING):
                    return True
                waiting += method.mentions - reached
                reached |= method.mentions
    return False
