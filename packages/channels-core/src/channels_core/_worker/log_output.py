"""Show the log of a worker on stderr if the project has no handler for it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.log import AdminEmailHandler

__all__ = ["shown"]


@contextmanager
def shown(logger: logging.Logger) -> Iterator[None]:
    """Write the records of a logger to stderr, from INFO on, unless a handler takes its warnings.

    With Django's default `LOGGING` and without `DEBUG` there is only the handler that sends mail,
    so an operator would not even see that a worker has started.
    """
    if _is_heard(logger):
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _is_heard(logger: logging.Logger) -> bool:
    record = logger.makeRecord(logger.name, logging.WARNING, "", 0, "", (), None)
    source: logging.Logger | None = logger
    while source is not None:
        for handler in source.handlers:
            if (
                not isinstance(handler, AdminEmailHandler)
                and handler.level <= record.levelno
                and handler.filter(record)
            ):
                return True
        source = source.parent if source.propagate else None
    return False
