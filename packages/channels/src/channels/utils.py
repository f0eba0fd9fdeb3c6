"""Alias of `channels_core.legacy`, under the name that programs know."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import legacy

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from channels_core.legacy import *  # noqa: F403 - all of the owner's names

    # As the stubs of types-channels name it, which programs import for annotations. Any: there it
    # is also what the `__call__` of middleware returns, and with us that is what it may be.
    _ChannelApplication: TypeAlias = Any

alias(globals(), legacy)
