"""What a server serves under `ddtrace-run`: the same, with its middleware around it.

`ddtrace-run` patches Django by itself; the spans of WebSockets come from the middleware.
"""

from ddtrace.contrib.asgi import TraceMiddleware

from .asgi import application as site

application = TraceMiddleware(site)
