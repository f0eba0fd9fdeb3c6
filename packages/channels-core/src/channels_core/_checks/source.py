"""Read the source of classes and functions of a program, without running any of it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import CodeType

__all__ = ["parse"]


def parse(thing: type | CodeType) -> ast.stmt | None:
    """Return the syntax tree of a class's or a function's definition.

    Args:
        thing: The class, or the code of the function. A function itself would not do: where a
            decorator has used `functools.wraps`, `inspect` reads the function inside.

    Returns:
        None if there is no source, as for a class that was made by a call of `type`.
    """
    try:
        [statement] = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        # The last two: of a lambda, the lines are not always a whole statement.
        return None
    return statement
