import os

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

from chat.consumers import ChatConsumer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
routes = [path("ws/", ChatConsumer.as_asgi())]
websocket = AllowedHostsOriginValidator(URLRouter(routes))
application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": websocket}
)
