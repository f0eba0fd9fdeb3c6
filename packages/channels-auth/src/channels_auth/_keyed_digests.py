"""Digests that only this site can compute, since they are keyed with its `SECRET_KEY`."""

from __future__ import annotations

from typing import Final

__all__ = ["keyed_digests"]

#: Hexadecimal digits: 160 bits, and as long as the longest session key in a database.
_LENGTH: Final = 40


def keyed_digests(salt: str, value: str) -> tuple[str, ...]:
    """Return the digests of a value under `SECRET_KEY` and each of `SECRET_KEY_FALLBACKS`.

    While the secret is replaced, some processes have the new one and others only the old one. They
    understand each other if each of them uses all digests.

    Args:
        salt: What the digest is for.
        value: What to digest.

    Returns:
        Digits and lower-case letters; the digest under `SECRET_KEY` comes first.
    """
    # Imported here because they need the settings.
    from django.conf import settings
    from django.utils.crypto import salted_hmac

    encoded = value.encode("utf-8", "surrogatepass")
    return tuple(
        salted_hmac(salt, encoded, secret=secret, algorithm="sha256").hexdigest()[:_LENGTH]
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )
