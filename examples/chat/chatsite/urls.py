"""The URLs of the site."""

from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("chat.urls")),
    path("accounts/", include("accounts.urls")),
    # For servers other than `runserver`, with DEBUG on: it serves static files itself.
    *staticfiles_urlpatterns(),
]
