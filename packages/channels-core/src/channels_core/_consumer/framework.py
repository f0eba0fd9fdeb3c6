"""Record the facts about consumer classes when they are made."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from channels_core._consumer.classes import record
from channels_core._consumer.handlers import find_handlers

__all__ = ["describe", "framework"]

ClassT = TypeVar("ClassT", bound=type)


def describe(consumer: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Record a new consumer class.

    Args:
        consumer: The class.
        options: The keywords of its class statement.

    Returns:
        The keywords that are not options.
    """
    known = record(consumer)
    rest = dict(options)
    for name in known.options.keys() & rest.keys():
        known.options[name] = known.own_options[name] = rest.pop(name)
    known.find_handlers = find_handlers
    return rest


def framework(
    connection: Any = None,
    *,
    runs_in_threads: bool = False,
    prefixes: tuple[str, ...] = (),
    **options: Any,
) -> Callable[[ClassT], ClassT]:
    """Mark a consumer class, or a base of one, as part of Channels or of a plugin.

    Messages of the channel layer do not reach the methods of such a class, and `is_overridden`
    returns whether a program has overridden one.

    Args:
        connection: The class of its consumers' companions, a subclass of `Connection`; None for
            the one of the base.
        runs_in_threads: Whether its handlers are ordinary methods.
        prefixes: Beginnings of the names of its handlers for the server's messages, such as
            `("lines_",)`; no message of the layer reaches these.
        options: The keywords that class statements of its subclasses may have, with their
            default values.
    """

    def mark(consumer: ClassT) -> ClassT:
        known = record(consumer)
        known.is_framework = True
        known.connection = connection or known.connection
        known.runs_in_threads = runs_in_threads or known.runs_in_threads
        known.prefixes = known.prefixes + prefixes
        known.own_options = {**options, **known.own_options}
        known.options = {**known.options, **known.own_options}
        known.find_handlers = find_handlers
        return consumer

    return mark
