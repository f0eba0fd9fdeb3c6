from typing import Any

import pytest
from django.contrib.auth.backends import (
    AllowAllUsersModelBackend,
    BaseBackend,
    ModelBackend,
    RemoteUserBackend,
)

from channels_auth._async_backends import is_natively_async


class Asynchronous(BaseBackend):
    async def aget_user(self, user_id: Any) -> None:
        return None


class Both(ModelBackend):
    def get_user(self, user_id: Any) -> None:
        return None

    async def aget_user(self, user_id: Any) -> None:
        return None


class Synchronous(ModelBackend):
    def get_user(self, user_id: Any) -> None:
        return None


class SynchronousAgain(Both):
    def get_user(self, user_id: Any) -> None:
        return None


class OfNobody:
    """A backend as they were before Django had asynchronous ones."""

    def get_user(self, user_id: Any) -> None:
        return None


class Without:
    pass


@pytest.mark.parametrize(
    ("backend", "native"),
    [
        (BaseBackend, False),
        (ModelBackend, False),
        (AllowAllUsersModelBackend, False),
        (RemoteUserBackend, False),
        (Asynchronous, True),
        (type("Derived", (Asynchronous,), {}), True),
        (Both, True),
        (Synchronous, False),
        (SynchronousAgain, False),
        (type("AsynchronousAgain", (Synchronous, Asynchronous), {}), False),
        (OfNobody, False),
        (Without, False),
    ],
)
def test_the_method_of_the_most_derived_class_decides(backend: Any, native: bool) -> None:
    assert is_natively_async(backend()) is native
