"""Decode and encode the JSON of text frames.

Python's `json.loads` and `json.dumps` make a new decoder or encoder for each call with options.
Those made here are kept. They behave as the two functions do, and leave the work to these if a
program has replaced them, as tests and faster packages do.

The setting `CHANNELS_JSON_CODEC` may choose msgspec, which decodes in less than half the time, and
does not ask a `json.loads` that was replaced. What it refuses is left to the standard library. It
does not encode, since it takes more types than `json`, and NaN for null: to look for these first
takes as long as Python's own encoder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import lru_cache, partial
from json import encoder as json_encoders
from typing import Any, Final, NoReturn, TypeAlias

from django.core.exceptions import ImproperlyConfigured

from channels_core._settings import call_on_change, json_codec

__all__ = [
    "LARGE",
    "Decode",
    "Encode",
    "NotJSONError",
    "decode_json",
    "decoder",
    "encoder",
    "require_codec",
]

# Any: what a JSON text says.
Decode: TypeAlias = Callable[[str], Any]
Encode: TypeAlias = Callable[[Any], str]

# The modules whose `default` keeps nothing in its encoder.
_STATELESS: Final = frozenset({"json.encoder", "django.core.serializers.json"})
#: The number of characters from which on a text is large; it takes some milliseconds to decode.
LARGE: Final = 65_536

_loads: Final = json.loads
_dumps: Final = json.dumps
_SPACE: Final = " \t\n\r"


class NotJSONError(ValueError):
    """A text that is not JSON, though Python's parser accepts it; the fault may be logged."""


def _refuse_constant(name: str) -> NoReturn:
    raise NotJSONError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise NotJSONError(f"{number:.30} is too large a number")
    return value


# Any: typeshed does not have `scan_once`, which decodes the value that begins at a position.
_decoder: Final[Any] = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_scan: Final = _decoder.scan_once


def decode_json(text: str) -> Any:
    """Parse JSON strictly: without `NaN` and `Infinity`, which Python's parser accepts.

    A number too large for a float is refused, too: it would become `Infinity`.

    Raises:
        ValueError: The text is not JSON.
    """
    if json.loads is _loads and type(text) is str:
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            pass  # It begins with space, or is not JSON.
        else:
            if end == len(text) or not text[end:].strip(_SPACE):
                return value
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


@lru_cache(maxsize=1)
def decoder() -> Decode:
    """Return the function that decodes frames, as the setting says.

    Raises:
        ImproperlyConfigured: The setting is not valid, or its package is not installed.
    """
    return decode_json if json_codec() is None else _msgspec_decoder()


@lru_cache(maxsize=32)
def encoder(encoder_class: type[json.JSONEncoder] | None) -> Encode:
    """Return a function that encodes values with an encoder class; None for the standard one."""
    chosen = encoder_class or json.JSONEncoder
    if not _keeps_no_state(chosen):
        return partial(_dump, encoder_class)
    return _kept_encoder(chosen, partial(_dump, encoder_class))


def require_codec() -> None:
    """Require that the setting is valid, and that its package is installed.

    Raises:
        ImproperlyConfigured: It is not.
    """
    if json_codec() is not None:
        _msgspec()


def _dump(encoder_class: type[json.JSONEncoder] | None, content: Any) -> str:
    return json.dumps(content, cls=encoder_class)


def _keeps_no_state(encoder_class: type[json.JSONEncoder]) -> bool:
    """Return whether an encoder of a class may be kept, since it works the same for each value.

    A `default` of a program may note something about a value in `self`, and a class that changes
    more may rely on being made anew.
    """
    return getattr(encoder_class.default, "__module__", "") in _STATELESS and all(
        getattr(encoder_class, name) is getattr(json.JSONEncoder, name)
        for name in ("__new__", "__init__", "encode", "iterencode")
    )


def _kept_encoder(encoder_class: type[json.JSONEncoder], dump: Encode) -> Encode:
    """Keep an encoder of a class, with the part that does the work in C.

    Args:
        encoder_class: One that keeps no state.
        dump: Encodes a value with a new encoder.
    """
    # Any: typeshed does not have it.
    make: Any = getattr(json_encoders, "c_make_encoder", None)
    if make is None:
        return dump
    kept = encoder_class()

    def default(value: Any) -> Any:
        # Looked up now: programs replace `JSONEncoder.default` as well.
        return kept.default(value)

    # As `JSONEncoder.iterencode` does it for each value, but without a record of the containers
    # that are open. That record cannot be shared by threads. A value that contains itself causes
    # a RecursionError without it.
    encode_in_c = make(
        None,
        default,
        json_encoders.encode_basestring_ascii,
        None,
        kept.key_separator,
        kept.item_separator,
        False,
        False,
        True,
    )

    def encode(content: Any) -> str:
        if json.dumps is _dumps:
            try:
                return "".join(encode_in_c(content, 0))
            except RecursionError:
                pass  # `dump` says more about it.
        return dump(content)

    return encode


def _msgspec() -> Any:
    """Return the module of msgspec for JSON.

    Raises:
        ImproperlyConfigured: It is not installed.
    """
    try:
        import msgspec.json
    except ImportError as error:
        raise ImproperlyConfigured(
            "CHANNELS_JSON_CODEC is 'msgspec', but msgspec cannot be imported: install "
            "channels-core[msgspec], or remove the setting"
        ) from error
    return msgspec.json


def _msgspec_decoder() -> Decode:
    decode = _msgspec().Decoder().decode

    def decode_frame(text: str) -> Any:
        try:
            return decode(text)
        except (ValueError, TypeError, RecursionError):
            # It refuses more than Python's parser does, such as half a surrogate pair.
            return decode_json(text)

    return decode_frame


call_on_change("CHANNELS_JSON_CODEC", decoder.cache_clear)
