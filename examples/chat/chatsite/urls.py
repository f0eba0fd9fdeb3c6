"""Where HTTP requests go."""

from django.urls import include, path

urlpatterns = [
    path("", include("chat.urls")),
    path("accounts/", include("accounts.urls")),
]
