"""The limits of passwords that are tried: how many in a time, and how many at once.

Checking a password takes much of a second of a processor, on purpose. So a stranger who tries many
could guess one, and could keep the processors busy.
"""

import ipaddress
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import BoundedSemaphore
from time import time

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError

__all__ = ["TOO_MANY", "attempt", "client_of"]

#: The code of the error for an attempt that was not made.
TOO_MANY = "too_many_attempts"
#: Half of the processors, so that the event loop and the database are not held up.
AT_ONCE = max(1, (os.cpu_count() or 1) // 2)
SECONDS_TO_WAIT = 10

logger = logging.getLogger("chat.accounts")
turns = BoundedSemaphore(AT_ONCE)


@contextmanager
def attempt(address: str, account: str = "") -> Iterator[None]:
    """Limit what is done within: checking the password of an account, or making an account.

    Args:
        address: The address of the client. Each attempt from it counts.
        account: The name of the account; attempts that fail count.

    Raises:
        ValidationError: There were too many attempts, or too many others are waiting.
    """
    count("address", client_of(address), settings.ATTEMPTS_OF_ADDRESS)
    # Some databases find an account by its name in upper case, too.
    name = account.casefold()
    failures = count("account", name, settings.ATTEMPTS_OF_ACCOUNT) if name else None
    if not turns.acquire(timeout=SECONDS_TO_WAIT):
        raise ValidationError("The site is busy. Please try again in a minute.", code=TOO_MANY)
    try:
        yield
    finally:
        turns.release()
    if failures:
        with suppress(ValueError):  # the cache has dropped it
            cache.decr(failures)


def count(kind: str, name: str, limit: int) -> str:
    """Count an attempt in the cache, which all processes share, and return the key of the count.

    It is counted before it is made, in one step. So attempts at the same time cannot exceed the
    limit, and a client that connects again does not begin anew.

    Raises:
        ValidationError: There were too many attempts.
    """
    seconds = settings.ATTEMPTS_SECONDS
    window = int(time() // seconds)
    # A name may be long, and a cache does not accept every character in a key.
    key = f"attempts:{kind}:{window}:{sha256(name.encode()).hexdigest()}"
    cache.add(key, 0, timeout=2 * seconds)
    attempts = cache.incr(key)
    if attempts > limit:
        if attempts == limit + 1:  # not a line for each further one
            logger.warning("More than %d attempts to log in with this %s: %r", limit, kind, name)
        minutes = -(-seconds // 60)
        raise ValidationError(
            f"Too many attempts. Please try again in {minutes} minutes.", code=TOO_MANY
        )
    return key


def client_of(address: str) -> str:
    """Return the part of an address that belongs to one client: of IPv6, the first half."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
        parsed = parsed.ipv4_mapped
    return str(parsed)
