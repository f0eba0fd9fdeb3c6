"""The same application, in the middleware of ddtrace, for `ddtrace-run`.

`ddtrace-run` patches Django by itself; the spans of WebSockets come from the middleware.
"""

from ddtrace.contrib.asgi import TraceMiddleware

from .asgi import application as site

application = TraceMiddleware(site)
