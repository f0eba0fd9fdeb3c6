"""Walk through an application: what stands around what, as far as that can be seen."""

from collections.abc import Iterable, Iterator
from functools import partial
from types import CellType, FunctionType
from typing import Any, Final, NamedTuple

from channels_core._two_step import TwoSteps
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter

__all__ = ["Place", "consumer_of", "walk"]

#: Where wrappers keep the application that they wrap: ours, and those of other packages.
_ATTRIBUTES: Final = ("inner", "application", "app", "_app", "wrapped", "asgi_app")


class Place(NamedTuple):
    """An application, and what stands around it."""

    #: A router, a middleware, what `as_asgi()` returned, or whatever it is.
    application: Any
    #: The routers and middleware around it, the outermost first.
    around: tuple[Any, ...]
    #: The scope type that a `ProtocolTypeRouter` or a `ChannelNameRouter` leads here, or None.
    protocol: str | None
    #: Whether nothing is seen inside it: a consumer, or something unknown.
    is_last: bool

    def is_inside(self, *kinds: type) -> bool:
        """Tell whether something of these kinds stands around."""
        return any(isinstance(each, kinds) for each in self.around)


def walk(application: Any) -> Iterator[Place]:
    """Yield an application and everything inside it; a circle is left at its second round.

    Args:
        application: What `ASGI_APPLICATION` names, or a part of it.
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
        application: What `as_asgi()` returned, or the class itself.

    Returns:
        The class; None if the application is something else.
    """
    if isinstance(application, type):
        return application if hasattr(application, "as_asgi") else None
    consumer = _read(application, "consumer_class")
    return consumer if isinstance(consumer, type) else None


def _inside(application: Any) -> Iterable[tuple[str | None, Any]]:
    """Return what is directly inside, with the scope type that it is for if that is known."""
    if isinstance(application, ProtocolTypeRouter):
        return application._all_applications().items()
    if isinstance(application, ChannelNameRouter):
        return [("channel", inner) for inner in application.application_mapping.values()]
    if isinstance(application, URLRouter):
        return [(None, route.callback) for route in application.routes]
    if isinstance(application, FunctionType | partial):
        return [(None, inner) for inner in _in_function(application, ())]
    # Any other class is one instance for one connection, with nothing inside it yet.
    names = () if isinstance(application, type) else _ATTRIBUTES
    found = {id(inner): inner for name in names if callable(inner := _read(application, name))}
    return [(None, inner) for inner in found.values()]


def _in_function(function: Any, around: tuple[Any, ...]) -> list[Any]:
    """Return the applications that a function or a `partial` has hold of.

    Args:
        function: Middleware, perhaps, that finds what it wraps in the function around it.
        around: The functions that it was found in.
    """
    if isinstance(function, partial):
        found = [function.func, *function.args, *function.keywords.values()]
    elif hasattr(function, "__wrapped__"):
        found = [function.__wrapped__]
    else:
        found = [_content(cell) for cell in function.__closure__ or ()]
    if consumer_of(function) is not None:
        # Its constructor may hold anything.
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
        return None  # there is nothing in it yet


def _leads_on(thing: Any, around: tuple[Any, ...]) -> bool:
    """Tell whether something is an application for certain: one of ours, or around one of ours."""
    if isinstance(thing, TwoSteps) or consumer_of(thing) is not None:
        return True
    return isinstance(thing, FunctionType | partial) and bool(_in_function(thing, around))


def _read(thing: object, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a property of a class that nobody here knows
        return None
