"""Static files, served in front of another application while a site is developed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, overload
from urllib.parse import ParseResult, urlparse

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandlerMixin
from django.core.exceptions import SuspiciousFileOperation
from django.http import FileResponse, Http404, HttpRequest, HttpResponse

from channels_core.applications import as_asgi3, first_step
from channels_core.typing import AnyScope, Receive, Scope, Send
from channels_http.handlers import AsgiHandler

__all__ = ["StaticFilesHandler", "StaticFilesWrapper"]


class StaticFilesHandler(ASGIStaticFilesHandler, AsgiHandler):  # type: ignore[misc] # see below
    """Answer one request with a static file; `StaticFilesWrapper` makes a handler for each.

    Source: `django.contrib.staticfiles.handlers.ASGIStaticFilesHandler`, which does the work.
    """

    # It loads no middleware: Django's `load_middleware` for static files takes no arguments.

    def __init__(self, scope: AnyScope = None) -> None:
        """Take the scope, to which the wrapper has added the URL of the files."""
        # Django's constructor expects the wrapped application as its argument.
        AsgiHandler.__init__(self, scope)
        self.base_url: ParseResult = (scope or {}).get("static_base_url") or urlparse(
            self.get_base_url()
        )

    # Django's method checks whether the path is a static file's; the wrapper has done that.
    __call__: Any = AsgiHandler.__call__

    def serve(self, request: HttpRequest) -> HttpResponse | FileResponse:
        """Return the response with the file.

        Raises:
            Http404: The file does not exist, or its path leads out of the static folders.
        """
        try:
            return super().serve(request)
        except SuspiciousFileOperation as error:
            # A site's page may show the message; Django's would reveal the folders.
            raise Http404("No static file can have this path") from error


class StaticFilesWrapper(StaticFilesHandlerMixin):
    """Serve what is below `STATIC_URL`, and leave the rest to an application.

    It can be called in one step, as in ASGI 3, and in two.

    Attributes:
        application: The application that serves all other paths.
        base_url: The URL of the static files, parsed.
        static_handler_class: The class of the handler that serves a file.
    """

    application: Any
    static_handler_class: ClassVar[type[StaticFilesHandler]] = StaticFilesHandler

    def __init__(self, application: Any) -> None:
        """Take an application of either generation, or a consumer class.

        Raises:
            TypeError: The application cannot be called.
            ImproperlyConfigured: `STATIC_URL` is not set, or equals `MEDIA_URL`.
        """
        self.application = as_asgi3(application)
        self.base_url: ParseResult = urlparse(self.get_base_url())

    @overload
    def __call__(self, scope: AnyScope) -> Callable[[Receive, Send], Awaitable[None]]: ...

    @overload
    def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Awaitable[None]: ...

    def __call__(self, scope: AnyScope, *channel: Any, **named: Any) -> Any:
        """Serve one connection, or return what serves it."""
        if scope["type"] == "http":
            root = self._root(scope)
            if self._should_handle(scope["path"].removeprefix(root)):
                base_url = self.base_url._replace(path=root + self.base_url.path)
                handler = self.static_handler_class({**scope, "static_base_url": base_url})
                return handler(*channel, **named) if channel or named else handler
        if channel or named:
            return self.application(scope, *channel, **named)
        return first_step(self.application, scope)

    def _root(self, scope: Scope) -> str:
        """Return the `root_path` if the request's path has it and the URL of the files lacks it.

        In pages, Django puts it in front of a relative `STATIC_URL`. Here only the request tells
        it, unless the setting `FORCE_SCRIPT_NAME` is set.
        """
        root: str = (scope.get("root_path") or "").rstrip("/")
        is_below = scope["path"].startswith(f"{root}/")
        return "" if self.base_url.path.startswith(f"{root}/") or not is_below else root
