from typing import assert_type
from unittest import mock

import channels.db
import pytest
from channels.db import aclose_old_connections, database_sync_to_async

import channels_core.db


@database_sync_to_async
def count(name: str, *, times: int = 1) -> int:
    return len(name) * times


def test_it_is_the_module_of_the_core() -> None:
    assert channels.db is channels_core.db


async def test_a_patch_under_this_name_takes_effect() -> None:
    with mock.patch("channels.db.close_old_connections") as close:
        await count("abc")
        close.assert_called()
        close.reset_mock()
        await aclose_old_connections()
        close.assert_called()


async def test_a_patch_of_a_fixture_reaches_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    close = mock.Mock()
    monkeypatch.setattr("channels.db.close_old_connections", close)
    await count("abc")
    close.assert_called()


async def test_types_are_seen_through_this_name() -> None:
    assert assert_type(await count("abc", times=2), int) == 6
    assert_type(await aclose_old_connections(), None)
