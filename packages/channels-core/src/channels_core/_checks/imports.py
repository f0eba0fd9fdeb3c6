"""Describe why a module of the program could not be imported."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.utils import autoreload

__all__ = ["is_of_database", "place", "reason", "watched"]

#: The folders that hold no module of the program.
_INSTALLED: Final = tuple(
    f"{folder}{os.sep}"
    for folder in {
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).parent.parent),
    }
)


def watched(function: Callable[[], Any]) -> Any:
    """Call a function that imports modules of the program.

    Django's autoreloader, if it runs, is told which file failed. Otherwise it would not notice that
    the file is corrected, since a module that failed to import is not in `sys.modules`.
    """
    result = None

    def call() -> None:
        nonlocal result
        result = function()

    is_below = os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"
    (autoreload.check_errors(call) if is_below else call)()
    return result


def reason(error: BaseException) -> str:
    """Return the type and the text of an exception, on one line and without a full stop."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(text.split()).removesuffix(".")
    if isinstance(error, ImproperlyConfigured):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place(error: BaseException) -> str:
    """Return the line of the program at which a traceback ends, in parentheses.

    Returns:
        An empty text if the traceback has no line of the program.
    """
    lines = [(frame.filename, frame.lineno) for frame in extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        lines.append((error.filename or "<unknown>", error.lineno))
    ours = [each for each in lines if not each[0].startswith(("<", *_INSTALLED))]
    return f" ({ours[-1][0]}, line {ours[-1][1]})" if ours else ""


def is_of_database(error: BaseException | None) -> bool:
    """Return whether an exception, or one that led to it, is one of a database."""
    while error is not None:
        if isinstance(error, Error):
            return True
        error = error.__cause__ or error.__context__
    return False
