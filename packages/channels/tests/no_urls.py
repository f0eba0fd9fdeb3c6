"""The URLs of a site without a page."""

from typing import Any

__all__ = ["urlpatterns"]

urlpatterns: list[Any] = []
