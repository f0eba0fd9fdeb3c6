"""Whether all that stands around an application is known to add nothing else to the scope."""

from typing import Final

from channels_core.inspection import Place

__all__ = ["is_certain", "is_ours"]

#: Packages whose wrappers are known to add nothing to the scope but what they are named for.
_OURS: Final = frozenset({"channels_auth", "channels_core"})


def is_ours(application: object) -> bool:
    """Tell whether an application's class is one of Channels, and no subclass of a program."""
    return type(application).__module__.partition(".")[0] in _OURS


def is_certain(place: Place) -> bool:
    """Tell whether all around is ours, so that nobody else can have added to the scope."""
    return all(is_ours(each) for each in place.around)
