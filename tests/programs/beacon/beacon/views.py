"""The page of the site."""

from django.http import HttpRequest, HttpResponse


def hello(request: HttpRequest) -> HttpResponse:
    """Greet the visitor."""
    return HttpResponse(f"hello, {request.user}", content_type="text/plain")
