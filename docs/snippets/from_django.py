"""Sending to a channel layer from synchronous code."""

from channels.layers import get_channel_layer
from django.http import HttpRequest, HttpResponse


# begin view
def announce(request: HttpRequest) -> HttpResponse:
    layer = get_channel_layer()
    layer.group_send_sync("news", {"type": "news.item", "text": "The shop is open."})
    return HttpResponse(status=204)


# begin commit
def order_saved(sender, instance, **kwargs):
    message = {"type": "order.saved", "id": instance.pk}
    get_channel_layer().group_send_on_commit("orders", message)


# end of the excerpt
