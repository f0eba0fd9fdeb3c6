"""Where HTTP requests go."""

from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("chat.urls")),
    path("accounts/", include("accounts.urls")),
    # `runserver` does without. Under DEBUG, another server gets the static files from here.
    *staticfiles_urlpatterns(),
]
