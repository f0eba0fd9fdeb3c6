"""Choose the response to an exception: a status, or Django's error page."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import Final

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404

from channels_core.exceptions import RequestTimeout
from channels_core.typing import Scope

__all__ = ["debug_page", "status_of"]

#: The exceptions by which a program refuses a request, and the status that the client gets. The
#: first one that fits counts. Django's are answered as they are in Django's views.
_STATUSES: Final[dict[type[Exception], HTTPStatus]] = {
    RequestDataTooBig: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    Http404: HTTPStatus.NOT_FOUND,
    PermissionDenied: HTTPStatus.FORBIDDEN,
    BadRequest: HTTPStatus.BAD_REQUEST,
    SuspiciousOperation: HTTPStatus.BAD_REQUEST,
}


def status_of(error: Exception) -> HTTPStatus | None:
    """Return the status for an exception that refuses a request; None for any other exception."""
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    return None


def debug_page(scope: Scope, error: Exception) -> tuple[bytes, list[tuple[str, str]]]:
    """Return Django's error page for an exception, and its headers."""
    # Imported here, since only this case needs them.
    from django.core.handlers.asgi import ASGIRequest
    from django.views.debug import technical_500_response

    request = ASGIRequest(scope, BytesIO())
    page = technical_500_response(request, type(error), error, error.__traceback__)
    return page.content, list(page.items())
