from enum import IntEnum
from typing import Any

import pytest

from channels_core.close_codes import (
    is_portable_close_code,
    portable_close_code,
    require_portable_close_code,
    require_valid_close_code,
)


class Code(IntEnum):
    BUSY = 4000


@pytest.mark.parametrize("code", [None, True, 1000, 1003, 1007, 1012, 1014, 3000, 4999, Code.BUSY])
def test_valid_codes(code: Any) -> None:
    require_valid_close_code(code)


@pytest.mark.parametrize("code", [False, 0, 999, 5000, "1000", 1000.0])
def test_codes_that_are_not_valid(code: Any) -> None:
    with pytest.raises(ValueError, match=r"^A close code is an int from 1000 to 4999, not "):
        require_valid_close_code(code)


@pytest.mark.parametrize("code", [1004, 1005, 1006, 1015, 2000, 2999])
def test_reserved_codes(code: int) -> None:
    with pytest.raises(ValueError, match=f"^Close code {code} is reserved and cannot be sent"):
        require_valid_close_code(code)


@pytest.mark.parametrize("code", [1000, 3000, 4999])
def test_portable_codes(code: int) -> None:
    assert is_portable_close_code(code)
    require_portable_close_code(code)
    assert portable_close_code(code) == code


@pytest.mark.parametrize("code", [1001, 1012, 2999, 5000, True, "1000", None])
def test_codes_that_are_not_portable(code: Any) -> None:
    assert not is_portable_close_code(code)
    with pytest.raises(
        ValueError, match=r"^A close code is 1000 or an int from 3000 to 4999, not "
    ):
        require_portable_close_code(code)


def test_a_code_that_crosses_a_layer_is_an_int_itself() -> None:
    assert is_portable_close_code(Code.BUSY)
    with pytest.raises(ValueError, match=r"not <Code.BUSY: 4000>"):
        require_portable_close_code(Code.BUSY)


@pytest.mark.parametrize("code", [1003, 1007, 1009])
def test_codes_of_the_protocol_have_a_portable_one(code: int) -> None:
    assert is_portable_close_code(portable_close_code(code))
    assert portable_close_code(code) == code + 3000
