"""Turn messages into bytes and back: packed, and encrypted if there are keys."""

from __future__ import annotations

import base64
import hashlib
import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, final

import msgpack

__all__ = ["SERIALIZERS", "Body", "Codec"]

#: What a value must be so that a flat copy of its message is a copy of its own.
_PLAIN: Final = frozenset({str, bytes, int, float, bool, type(None)})


class _NotADictError(TypeError, AssertionError):
    """The message is not a dict; tests for Channels 4 expect an AssertionError."""


def _pack(message: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data)


def _to_json(message: dict[str, Any]) -> bytes:
    # Not by `default=`: a message holds what JSON has, or is refused.
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


#: The values of the option `serializer_format`.
SERIALIZERS: Final[
    Mapping[str, tuple[Callable[[dict[str, Any]], bytes], Callable[[bytes], Any]]]
] = {"msgpack": (_pack, _unpack), "json": (_to_json, json.loads)}


class Codec:
    """Packs messages for Redis, and unpacks them."""

    def __init__(self, serializer: str, keys: Iterable[str | bytes] | None) -> None:
        """Take the two options.

        Args:
            serializer: One of `SERIALIZERS`.
            keys: One or more: the first one encrypts, and each may decrypt. None for no
                encryption.
        """
        self._pack, self._unpack = SERIALIZERS[serializer]
        self._encrypt: Callable[[bytes], bytes] | None = None
        self._decrypt: Callable[[bytes], bytes] | None = None
        if keys is not None:
            self._encrypt, self._decrypt = _ciphers(keys)

    def pack(self, message: object) -> bytes:
        """Pack a message.

        Raises:
            TypeError: It is not a dict, a key in it is not a str, or a value cannot be packed.
        """
        if not isinstance(message, dict):
            raise _NotADictError(
                f"A message must be a dict, not {type(message).__name__}: {reprlib.repr(message)}"
            )
        try:
            for key, value in message.items():
                if type(key) is not str or type(value) not in _PLAIN:
                    _require_str_keys(message)
                    break
            data = self._pack(message)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            from channels_layers_redis._layer.packing_errors import explain_packing_error

            fault = explain_packing_error(message, self._pack, error)
            raise TypeError(f"The message cannot be packed: {fault}") from error
        return data if self._encrypt is None else self._encrypt(data)

    def unpack(self, data: bytes) -> dict[str, Any]:
        """Return the message that was packed.

        Raises:
            ValueError: No key decrypts it, or it is no message.
        """
        try:
            if self._decrypt is not None:
                data = self._decrypt(data)
            message = self._unpack(data)
        except Exception as error:  # of msgpack, json and cryptography, which have no common base
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if not isinstance(message, dict):
            raise ValueError(f"it is a {type(message).__name__}, not a dict")
        return message


def _require_str_keys(value: object) -> None:
    """Raise a TypeError for a key that is not a str, at any depth."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise TypeError("a key must be a str")
            if type(each) not in _PLAIN:
                _require_str_keys(each)
    elif isinstance(value, list | tuple):
        for each in value:
            if type(each) not in _PLAIN:
                _require_str_keys(each)


def _ciphers(
    keys: Iterable[str | bytes],
) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ImportError as error:
        raise ImportError(
            "symmetric_encryption_keys needs the package cryptography: "
            "pip install 'channels-layers-redis[cryptography]'"
        ) from error
    cipher = MultiFernet([Fernet(_fernet_key(key)) for key in keys])
    return cipher.encrypt, cipher.decrypt


def _fernet_key(key: str | bytes) -> bytes:
    """Return a key as Fernet wants it, made from a secret of any length."""
    secret = key.encode() if isinstance(key, str) else key
    return base64.urlsafe_b64encode(hashlib.sha256(secret).digest())


@final
class Body:
    """A message that arrived, for one or many receivers; each gets a copy of its own."""

    __slots__ = ("_codec", "_data", "_flat", "_position")

    def __init__(self, codec: Codec, data: bytes, position: str | None = None) -> None:
        """Take a packed message, and its position if its group has history."""
        self._codec = codec
        self._data = data
        self._position = position
        # The message, if one dict's copy is a copy of all of it.
        self._flat: dict[str, Any] | None = None

    @classmethod
    def of(cls, codec: Codec, message: dict[str, Any]) -> Body:
        """Return a message that was made here and has plain values only."""
        body = cls(codec, b"")
        body._flat = message
        return body

    def copy(self) -> dict[str, Any]:
        """Return the message.

        Raises:
            ValueError: It cannot be read.
        """
        if self._flat is not None:
            return self._flat.copy()
        message = self._codec.unpack(self._data)
        if self._position is not None:
            message["position"] = self._position
        for value in message.values():
            if type(value) not in _PLAIN:
                return message
        self._flat = message.copy()
        return message
