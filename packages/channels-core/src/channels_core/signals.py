"""Signals at the start and the end of each consumer."""

from __future__ import annotations

from typing import Final

from django.dispatch import Signal

__all__ = ["consumer_finished", "consumer_started"]

#: Sent before the first message of a consumer, with `sender`, its class, and `environ`, its scope.
consumer_started: Final = Signal()

#: Sent when a consumer has ended, however that happened, after its `disconnect`; with `sender`, its
#: class, and `environ`, its scope.
consumer_finished: Final = Signal()
