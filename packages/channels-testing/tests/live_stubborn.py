"""A site whose process does not end when it is asked to."""

import signal

from live_site import application

__all__ = ["application"]

signal.signal(signal.SIGTERM, signal.SIG_IGN)
