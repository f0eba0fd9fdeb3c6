"""Who may open a WebSocket."""

from channels.routing import ProtocolTypeRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator

from docs.snippets.routes import routes

# begin hosts
application = ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(routes)})
# end of hosts

# begin same origin
own_pages = ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(routes, same_origin=True)})
# end of same origin

# begin patterns
partners = ProtocolTypeRouter(
    {
        "websocket": OriginValidator(
            routes,
            [
                "example.com",  # this host, with any scheme and port
                ".example.org",  # this host and all of its subdomains
                "https://example.net",  # this host with https, at its default port
                "http://localhost:3000",  # exactly this
            ],
        )
    }
)
# end of patterns
