"""Walk through an application: what stands around what, as far as that can be seen."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from channels_core.routing import ProtocolTypeRouter, URLRouter

__all__ = ["Place", "is_ours", "walk"]

#: Packages whose wrappers are known to add nothing to the scope but what they are named for.
_OURS: Final = frozenset({"channels_auth", "channels_core"})

#: Where wrappers keep the application that they wrap: ours, and those of other packages.
_ATTRIBUTES: Final = ("inner", "application", "app", "_app", "wrapped", "asgi_app")


class Place(NamedTuple):
    """An application, and what stands around it."""

    application: Any
    #: The routers and middleware around it, the outermost first.
    around: tuple[Any, ...]
    #: Scope type that a `ProtocolTypeRouter` leads here; None if there is no such router.
    protocol: str | None
    #: Whether nothing is seen inside it: a consumer, or something unknown.
    is_last: bool

    def is_inside(self, *kinds: type) -> bool:
        """Tell whether something of these kinds stands around."""
        return any(isinstance(each, kinds) for each in self.around)

    @property
    def is_certain(self) -> bool:
        """Whether all around is ours, so that nobody else can have added to the scope."""
        return all(is_ours(each) for each in self.around)


def is_ours(application: object) -> bool:
    """Tell whether an application's class is one of Channels, and no subclass of a program."""
    return type(application).__module__.partition(".")[0] in _OURS


def walk(application: Any) -> Iterator[Place]:
    """Yield an application and everything inside it; a circle is left at its second round."""
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


def _inside(application: Any) -> Iterable[tuple[str | None, Any]]:
    """Return what is directly inside, with the scope type that it is for if that is known."""
    if isinstance(application, ProtocolTypeRouter):
        return application.application_mapping.items()
    if isinstance(application, URLRouter):
        return [(None, route.callback) for route in application.routes]
    # Any other class is one instance for one connection, with nothing inside it yet.
    names = () if isinstance(application, type) else _ATTRIBUTES
    found = {id(inner): inner for name in names if callable(inner := _read(application, name))}
    return [(None, inner) for inner in found.values()]


def _read(thing: object, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a property of a class that nobody here knows
        return None
