"""The function that encodes the JSON of each consumer class: made once for each class, and kept."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from channels_core._consumer.classes import class_of
from channels_core._json import Encode, encoder

__all__ = ["encoder_of"]


@lru_cache(maxsize=1024)
def _encoder_of(consumer: type) -> Encode:
    """Return the function that encodes the frames of a consumer class."""
    return encoder(class_of(consumer).options["json_encoder"])


#: The same; its type allows classes with type variables, which mypy takes for not hashable.
encoder_of: Final[Callable[[type], Encode]] = _encoder_of
