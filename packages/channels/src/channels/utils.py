"""Alias of `channels_core.legacy`, under the name that programs know."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import legacy

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from channels_core.legacy import *  # noqa: F403 - all of the owner's names

    # The name in the stubs of types-channels, which programs import for annotations. It is Any,
    # because the stubs also use it for what the `__call__` of middleware returns.
    _ChannelApplication: TypeAlias = Any

alias(globals(), legacy)
