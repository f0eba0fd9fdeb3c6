"""Stand-ins for time, limits and receivers."""

from dataclasses import dataclass

from channels_layers_memory._layer.backlogs import Message

__all__ = ["Clock", "Fixed", "Reader"]


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Fixed:
    """The same limits for all channels."""

    expiry: float = 60
    group_expiry: float = 600
    capacity: int = 3

    def get_capacity(self, channel: str) -> int:
        return self.capacity


class Reader:
    """A receiver without an event loop."""

    def __init__(self) -> None:
        self.message: Message | None = None
        self.alive = True
        self.woken = 0

    def wake(self, current_loop: object = None) -> bool:
        self.woken += self.alive
        return self.alive
