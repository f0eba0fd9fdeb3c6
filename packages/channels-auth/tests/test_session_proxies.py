from typing import Any

import pytest
from django.contrib.sessions.backends.base import SessionBase

from channels_auth._auth.session_proxies import SessionKeepingKey, SessionRefusingNewKey


class Store(SessionBase):
    """A session that records its calls."""

    def __init__(self) -> None:
        super().__init__("abcdefgh")
        self._session_cache: dict[str, Any] = {"cart": 3}
        self.done: list[str] = []

    def cycle_key(self) -> None:
        self.done.append("cycle_key")

    def flush(self) -> None:
        self.done.append("flush")

    async def aflush(self) -> None:
        self.done.append("aflush")


@pytest.fixture(
    params=[SessionKeepingKey, lambda store: SessionRefusingNewKey(store, KeyError("no"))]
)
def stand_in(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_everything_else_is_passed_to_the_session(stand_in: Any) -> None:
    store = Store()
    session = stand_in(store)
    assert isinstance(session, SessionBase)
    assert session.session_key == "abcdefgh"
    assert session["cart"] == await session.aget("cart") == 3
    session["cart"] = 4
    await session.aset("more", 5)
    session.modified = True
    assert dict(store.items()) == {"cart": 4, "more": 5}
    assert store.modified


async def test_a_kept_key_is_not_renewed() -> None:
    store = Store()
    session = SessionKeepingKey(store)
    session.cycle_key()
    await session.acycle_key()
    assert store.done == []
    session.flush()
    await session.aflush()
    assert store.done == ["flush", "aflush"]


async def test_a_session_that_refuses_a_new_key_keeps_its_data() -> None:
    store = Store()
    session = SessionRefusingNewKey(store, PermissionError("the cookie"))
    for call in (session.cycle_key, session.flush):
        with pytest.raises(PermissionError, match="the cookie"):
            call()
    for acall in (session.acycle_key, session.aflush):
        with pytest.raises(PermissionError, match="the cookie"):
            await acall()
    assert store.done == []
