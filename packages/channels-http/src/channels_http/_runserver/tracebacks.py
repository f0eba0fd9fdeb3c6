"""Show one traceback of each exception on the development server, of the program's own lines."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Final

__all__ = ["fold", "one_traceback"]

#: Daphne's logger for exceptions that leave the application.
_SERVER: Final = "daphne.server"
_MARK: Final = "_channels_shown"

#: Packages whose frames a developer seldom needs.
_FRAMEWORK: Final = (
    "asgiref",
    "asyncio",
    "autobahn",
    "channels",
    "channels_auth",
    "channels_core",
    "channels_http",
    "channels_layers_memory",
    "channels_layers_redis",
    "concurrent",
    "contextlib",
    "daphne",
    "django",
    "threading",
    "twisted",
)


@contextmanager
def one_traceback() -> Iterator[None]:
    """Show each exception once, whichever logger is first, and fold the frames of frameworks."""
    known = logging.root.manager.loggerDict
    names = [_SERVER, *(name for name in known if name.startswith("django.channels."))]
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(_shown_once)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_shown_once)


def _shown_once(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return True
    if record.name == _SERVER and _MARK in vars(error):
        return False
    vars(error)[_MARK] = True
    # Formatters use this text if it is set.
    record.exc_text = fold(error)
    return True


def fold(error: BaseException) -> str:
    """Return an exception's traceback, with one line for a run of frames of frameworks."""
    told = traceback.TracebackException.from_exception(error)
    waiting = [told]
    while waiting:
        each = waiting.pop()
        each.stack = _Folded(each.stack)
        inner = [each.__cause__, each.__context__, *(each.exceptions or ())]
        waiting += [one for one in inner if one is not None]
    return "".join(told.format()).rstrip("\n")


class _Folded(traceback.StackSummary):
    """A stack that folds the frames of frameworks, unless there are only such frames."""

    def format(self, **kwargs: Any) -> list[str]:
        folders = _folders()
        packages = [_package(frame.filename, folders) for frame in self]
        if all(packages):
            return super().format(**kwargs)
        lines: list[str] = []
        pairs = zip(packages, self, strict=True)
        for is_folded, group in groupby(pairs, key=lambda pair: bool(pair[0])):
            members = list(group)
            if is_folded:
                names = ", ".join(dict.fromkeys(str(package) for package, _ in members))
                count = "1 frame" if len(members) == 1 else f"{len(members)} frames"
                lines.append(f"  ... {count} of {names}; --traceback shows all ...\n")
            else:
                shown = traceback.StackSummary(frame for _, frame in members)
                lines += shown.format(**kwargs)
        return lines


def _folders() -> dict[str, str]:
    """Return the frameworks that are loaded, by their folder or file."""
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in _FRAMEWORK}
    return {
        file.removesuffix("__init__.py"): name for name, file in files.items() if file is not None
    }


def _package(filename: str, folders: dict[str, str]) -> str | None:
    for folder, name in folders.items():
        if filename == folder or (folder.endswith(os.sep) and filename.startswith(folder)):
            return name
    return None
