"""Check that what a case counts really arrived: in order, unchanged, once, as copies.

A case that measures messages that were dropped or shared would be fast, and wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["DishonestError", "check_copies", "check_equal", "check_sequence"]


class DishonestError(Exception):
    """What was counted is not what arrived."""


def check_equal(what: str, expected: object, found: object) -> None:
    """Check one value.

    Raises:
        DishonestError: It is another one.
    """
    if type(expected) is not type(found) or expected != found:
        raise DishonestError(f"{what}: expected {_short(expected)}, got {_short(found)}")


def check_sequence(what: str, expected: Iterable[Any], found: Iterable[Any]) -> None:
    """Check that everything arrived once, unchanged and in order.

    Values must be different from each other, or a repeated one could stand for a lost one.

    Raises:
        DishonestError: Something was lost, repeated, changed or reordered; the message says which.
    """
    wanted, got = list(expected), list(found)
    wanted_keys, got_keys = [_key(one) for one in wanted], [_key(one) for one in got]
    want = Counter(wanted_keys)
    if len(want) != len(wanted):
        raise ValueError(f"{what}: the expected values are not different from each other")
    if wanted_keys == got_keys:
        return
    have = Counter(got_keys)
    at, first, second = _first_difference(wanted, got)
    if strange := [key for key in have if key not in want]:
        kind = f"{len(strange)} changed or not sent by us"
    elif repeated := [key for key in have if have[key] > 1]:
        kind = f"{len(repeated)} repeated"
    elif lost := want - have:
        kind = f"{sum(lost.values())} lost"
    else:
        kind = "in another order"
    raise DishonestError(
        f"{what}: {kind}; of {len(wanted)}, number {at} should be {first} and is {second}"
    )


def check_copies(what: str, copies: Sequence[Any], spoil: Callable[[Any], object]) -> None:
    """Check that equal values are separate copies: spoiling one must change no other one.

    Args:
        what: What the values are.
        copies: At least two equal values.
        spoil: Change a value in place, as deeply as the case goes.

    Raises:
        DishonestError: Two of them share something, or they are not equal at first.
    """
    for copy in copies[1:]:
        check_equal(what, copies[0], copy)
    before = repr(copies[0])
    for number, copy in enumerate(copies):
        if repr(copy) != before:
            raise DishonestError(f"{what}: receiver {number} shares a value with an earlier one")
        following = copies[number + 1 : number + 2]
        texts = repr(following)
        spoil(copy)
        if repr(following) != texts:
            raise DishonestError(f"{what}: receivers {number} and {number + 1} share a value")


def _key(value: object) -> str:
    """Return a text that differs for 1, True and "1"."""
    return f"{type(value).__name__} {value!r}"


def _first_difference(wanted: list[Any], got: list[Any]) -> tuple[int, str, str]:
    for number, (one, other) in enumerate(zip(wanted, got, strict=False)):
        if _key(one) != _key(other):
            return number, _short(one), _short(other)
    at = min(len(wanted), len(got))
    rest = [_short(one[at]) if at < len(one) else "missing" for one in (wanted, got)]
    return at, rest[0], rest[1]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
