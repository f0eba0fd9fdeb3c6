"""Create the members, and sessions in which one of them is logged in."""

import json
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.http import HttpRequest
from django.test import override_settings


class Command(BaseCommand):
    """Print the keys of sessions with both secrets as JSON."""

    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        anna, _ = (User.objects.create_user(name) for name in ("anna", "ben"))
        keys = {"now": [session_of(anna) for _ in range(10)]}
        with override_settings(SECRET_KEY="the one before"):
            keys["before"] = [session_of(anna) for _ in range(10)]
        self.stdout.write(json.dumps(keys))


def session_of(user: User) -> str:
    """Return the key of a new session."""
    request = HttpRequest()
    request.session = SessionStore()
    login(request, user)
    request.session.save()
    return str(request.session.session_key)
