from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404

from channels_core.exceptions import RequestTimeout
from channels_http.generic._http.error_responses import debug_page, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestDataTooBig(), 413),
        (RequestTimeout(), 408),
        (Http404(), 404),
        (PermissionDenied(), 403),
        (BadRequest(), 400),
        (SuspiciousOperation(), 400),
        (DisallowedHost(), 400),
        (LookupError(), None),
    ],
)
def test_what_a_client_is_told(error: Exception, status: int | None) -> None:
    assert status_of(error) == status


def test_djangos_page_is_of_the_request(settings: Any) -> None:
    settings.ROOT_URLCONF = ModuleType("urls", "")
    settings.ROOT_URLCONF.urlpatterns = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/tea/",
        "query_string": b"",
        "headers": [(b"accept", b"text/html"), (b"host", b"testserver")],
    }
    page, headers = debug_page(scope, LookupError("the program's own"))
    assert b"the program&#x27;s own" in page
    assert b"/tea/" in page
    assert dict(headers)["Content-Type"].startswith("text/html")
