"""Walk through an application: which applications are inside which, as far as can be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from types import CellType, FunctionType
from typing import Any, Final, NamedTuple

from channels_core._two_step import TwoSteps
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter

__all__ = ["Place", "consumer_of", "walk"]

#: Attributes in which wrappers, ours and those of other packages, keep the application inside.
_ATTRIBUTES: Final = ("inner", "application", "app", "_app", "wrapped", "asgi_app")


class Place(NamedTuple):
    """An application, and the applications around it."""

    #: A router, a middleware, the result of `as_asgi()`, or anything else.
    application: Any
    #: The routers and middleware around it, the outermost first.
    around: tuple[Any, ...]
    #: The scope type that a `ProtocolTypeRouter` or `ChannelNameRouter` passes here, or None.
    protocol: str | None
    #: Whether no application is seen inside it: it is a consumer, or unknown.
    is_last: bool

    def is_inside(self, *kinds: type) -> bool:
        """Return whether an application around it is of one of these classes."""
        return any(isinstance(each, kinds) for each in self.around)


def walk(application: Any) -> Iterator[Place]:
    """Yield an application and everything inside it; an application inside itself comes once.

    Args:
        application: The application of `ASGI_APPLICATION`, or a part of it.
    """
    waiting = [Place(application, (), None, False)]
    while waiting:
        place = waiting.pop()
        if any(each is place.application for each in place.around):
            continue
        inside = list(_inside(place.application))
        yield place._replace(is_last=not inside)
        around = (*place.around, place.application)
        waiting += [
            Place(inner, around, protocol or place.protocol, False) for protocol, inner in inside
        ]


def consumer_of(application: Any) -> type | None:
    """Return the consumer class that an application serves each connection with.

    Args:
        application: The result of `as_asgi()`, or the class itself.

    Returns:
        The class; None if the application is something else.
    """
    if isinstance(application, type):
        return application if hasattr(application, "as_asgi") else None
    consumer = _read(application, "consumer_class")
    return consumer if isinstance(consumer, type) else None


def _inside(application: Any) -> Iterable[tuple[str | None, Any]]:
    """Return the applications directly inside, each with its scope type if that is known."""
    if isinstance(application, ProtocolTypeRouter):
        return application._all_applications().items()
    if isinstance(application, ChannelNameRouter):
        return [("channel", inner) for inner in application.application_mapping.values()]
    if isinstance(application, URLRouter):
        return [(None, route.callback) for route in application.routes]
    if isinstance(application, FunctionType | partial):
        return [(None, inner) for inner in _in_function(application, ())]
    # A class is not looked into: its instances may keep an application, it does not.
    names = () if isinstance(application, type) else _ATTRIBUTES
    found = {id(inner): inner for name in names if callable(inner := _read(application, name))}
    return [(None, inner) for inner in found.values()]


def _in_function(function: Any, around: tuple[Any, ...]) -> list[Any]:
    """Return the applications that a function or a `partial` refers to.

    Args:
        function: Perhaps middleware, which keeps the application inside in its closure.
        around: The functions in which it was found.
    """
    if isinstance(function, partial):
        found = [function.func, *function.args, *function.keywords.values()]
    elif hasattr(function, "__wrapped__"):
        found = [function.__wrapped__]
    else:
        found = [_content(cell) for cell in function.__closure__ or ()]
    if consumer_of(function) is not None:
        # The arguments of its constructor are not applications inside.
        return []
    around = (*around, function)
    inside = {
        id(each): each
        for each in found
        if not any(each is one for one in around) and _leads_on(each, around)
    }
    return list(inside.values())


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # a variable that is not set yet


def _leads_on(thing: Any, around: tuple[Any, ...]) -> bool:
    """Return whether something certainly is an application: one of ours, or around one."""
    if isinstance(thing, TwoSteps) or consumer_of(thing) is not None:
        return True
    return isinstance(thing, FunctionType | partial) and bool(_in_function(thing, around))


def _read(thing: object, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a property of an unknown class may raise any
        return None
