"""What an HTTP client is told of an exception."""

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

#: What a program raises to refuse a request, with the status that tells the client so; the first
#: that fits. Those of Django are answered as its views answer them.
_STATUSES: Final[dict[type[Exception], HTTPStatus]] = {
    RequestDataTooBig: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    Http404: HTTPStatus.NOT_FOUND,
    PermissionDenied: HTTPStatus.FORBIDDEN,
    BadRequest: HTTPStatus.BAD_REQUEST,
    SuspiciousOperation: HTTPStatus.BAD_REQUEST,
}


def status_of(error: Exception) -> HTTPStatus | None:
    """Return the status by which an exception refuses a request; None if it is a fault."""
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    return None


def debug_page(scope: Scope, error: Exception) -> tuple[bytes, list[tuple[str, str]]]:
    """Return Django's page of an exception, and its headers."""
    # Here, because they are for this case alone.
    from django.core.handlers.asgi import ASGIRequest
    from django.views.debug import technical_500_response

    request = ASGIRequest(scope, BytesIO())
    page = technical_500_response(request, type(error), error, error.__traceback__)
    return page.content, list(page.items())
