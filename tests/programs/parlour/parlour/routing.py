"""The routing, with consumer classes as they were passed in Channels 2."""

from channels.auth import AuthMiddlewareStack
from channels.http import AsgiHandler
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from channels.sessions import CookieMiddleware, SessionMiddleware, SessionMiddlewareStack
from django.urls import re_path

from . import consumers, middleware

quiet_rooms = [
    re_path(r"^(?P<room>\w+)/$", consumers.AsyncChatConsumer),
    re_path(r"^(?P<room>\w+)/(?P<corner>\w+)/$", consumers.ChatConsumer),
]

websocket_urlpatterns = [
    re_path(r"^ws/chat/(?P<room>\w+)/$", consumers.ChatConsumer),
    re_path(r"^ws/async-chat/(?P<room>\w+)/$", consumers.AsyncChatConsumer),
    re_path(r"^ws/notices/$", consumers.NoticeConsumer),
    re_path(r"^ws/guest/$", middleware.GreetingMiddleware(consumers.GuestConsumer)),
    re_path(r"^ws/echo/$", consumers.EchoConsumer),
    re_path(r"^ws/sync-echo/$", consumers.SyncEchoConsumer),
    re_path(r"^ws/album/$", consumers.AlbumConsumer),
    re_path(r"^ws/ticker/$", consumers.TickerConsumer),
    re_path(r"^ws/whoami/$", consumers.whoami),
    re_path(r"^ws/claim/$", middleware.QueryAuthMiddleware(consumers.whoami)),
    re_path(
        r"^ws/claim/(?P<room>\w+)/$", middleware.QueryAuthMiddleware(consumers.AsyncChatConsumer)
    ),
    re_path(r"^ws/member/$", middleware.MemberMiddleware(consumers.whoami)),
    re_path(r"^ws/quiet/", URLRouter(quiet_rooms)),
    re_path(r"^ws/own/", middleware.QueryAuthMiddleware(URLRouter(quiet_rooms))),
    re_path(
        r"^ws/elsewhere/$",
        OriginValidator(consumers.EchoConsumer, ["https://elsewhere.example"]),
    ),
]

http_urlpatterns = [
    re_path(r"^longpoll/(?P<room>\w+)/$", consumers.LongPollConsumer),
    re_path(
        r"^door/$",
        CookieMiddleware(
            SessionMiddleware(
                middleware.NamedAuthMiddleware(middleware.VisitMiddleware(consumers.DoorConsumer))
            )
        ),
    ),
    re_path(r"^kept/$", SessionMiddlewareStack(AsgiHandler)),
    re_path(r"", AsgiHandler),
]

application = middleware.HouseMiddleware(
    ProtocolTypeRouter(
        {
            "http": AuthMiddlewareStack(URLRouter(http_urlpatterns)),
            "websocket": AllowedHostsOriginValidator(
                middleware.TokenAuthMiddlewareStack(URLRouter(websocket_urlpatterns))
            ),
            "channel": ChannelNameRouter({"thumbnails": consumers.ThumbnailConsumer}),
        }
    )
)
