"""The functions that programs import from `channels.utils`."""

from channels_core._dispatch import await_many_dispatch
from channels_core.applications import name_that_thing

__all__ = ["await_many_dispatch", "name_that_thing"]
