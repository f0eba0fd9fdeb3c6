"""The Content Security Policy: a browser runs only the scripts that a page itself contains."""

from collections.abc import Callable
from http import HTTPStatus
from secrets import token_urlsafe

from django.conf import settings
from django.http import HttpRequest, HttpResponse

__all__ = ["ContentSecurityPolicyMiddleware", "csp_nonce"]

POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
    "img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# With DEBUG on, the pages for these statuses are Django's, with scripts and styles of their own.
DEBUG_PAGES = {HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR}


class ContentSecurityPolicyMiddleware:
    """Send the policy with each page. Django 6 has a middleware for this; Django 5.2 does not."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Give the request a nonce, a number that nobody can guess and no other page has."""
        request.csp_nonce = token_urlsafe(16)  # type: ignore[attr-defined] # an attribute of ours
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in DEBUG_PAGES):
            nonce = request.csp_nonce  # type: ignore[attr-defined] # the same
            response.headers["Content-Security-Policy"] = POLICY.format(nonce=nonce)
        return response


def csp_nonce(request: HttpRequest) -> dict[str, str]:
    """Return the nonce for the templates: `<script nonce="{{ csp_nonce }}">`."""
    return {"csp_nonce": getattr(request, "csp_nonce", "")}
