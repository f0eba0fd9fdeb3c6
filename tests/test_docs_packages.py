"""The page about choosing packages: each combination is made."""

import json
import os
import re
import subprocess
import sys

import pytest

from processes import SECONDS
from served import ROOT
from tools.packages import PACKAGES, by_name, with_needs

PAGE = (ROOT / "docs" / "topics" / "choosing-packages.md").read_text()
CHOICES = {
    title: [part.replace("`", "") for part in parts]
    for title, *parts in re.findall(
        r"(?m)^### (.+)\n\n(?:[^-\n].*\n\n)?"
        r"- Install: (.+)\n- `INSTALLED_APPS`: (.+)\n- `BACKEND`: (.+)\n- `runserver`: (.+)\n"
        r"- In tests: (.+)$",
        PAGE,
    )
}
#: What an extra installs, by its name in brackets.
EXTRAS = {
    "daphne": {"daphne"},
    "layers-redis": {"channels_layers_redis"},
    "redis": {"channels_redis"},
}
#: Runs in a process of its own, in which the packages that a choice does not install are hidden.
SITE = """
import json, sys
given = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(given["hidden"]))
import django
from django.conf import settings
backend = given["backend"]
settings.configure(
    ALLOWED_HOSTS=["testserver"],
    ASGI_APPLICATION="django.core.asgi.get_asgi_application",
    CHANNEL_LAYERS={"default": {"BACKEND": backend}} if backend else {},
    INSTALLED_APPS=[
        *given["applications"],
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.staticfiles",
    ],
    STATIC_URL="static/",
)
django.setup()
from django.core.checks import run_checks
from django.core.management import get_commands, load_command_class
owner = get_commands()["runserver"]
module = type(load_command_class(owner, "runserver")).__module__
from channels_core.layers import get_channel_layer
layer = get_channel_layer() if backend else None
exec(given["statement"])
print(json.dumps({
    "checks": [message.id for message in run_checks()],
    "layer": layer and type(layer).__module__.partition(".")[0],
    "runserver": module,
    "worker": "runworker" in get_commands(),
}))
"""


def installed(names: str) -> set[str]:
    """Return the import names that an install command brings, as far as a choice can hide them."""
    found: set[str] = set()
    for name, extra in re.findall(r"([\w-]+)(?:\[([\w-]+)\])?", names):
        found |= {one.import_name for one in with_needs(by_name(name))}
        found |= EXTRAS.get(extra, set())
        if name == "channels":
            found.add("daphne")
    return found


def test_there_are_enough_choices() -> None:
    assert len(CHOICES) == len(re.findall("(?m)^### ", PAGE)) == 10
    assert "channels_redis" in installed("channels[redis]")


@pytest.mark.parametrize(
    ("names", "applications", "backend", "runserver", "statement"),
    CHOICES.values(),
    ids=CHOICES,
)
def test_a_combination(
    names: str, applications: str, backend: str, runserver: str, statement: str
) -> None:
    there = installed(names)
    ours = {package.import_name for package in PACKAGES}
    given = {
        "hidden": sorted((ours | {"channels_redis", "daphne"}) - there),
        "applications": re.findall(r"\w+", applications.replace("nothing", "")),
        "backend": backend if "." in backend else None,
        "statement": statement.replace("nothing", ""),
    }
    done = subprocess.run(
        [sys.executable, "-c", SITE, json.dumps(given)],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"},
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    expected = {
        "Django's": "django.contrib.staticfiles.management.commands.runserver",
        "serves WebSockets": "channels_http.management.commands.runserver",
    }
    assert told["runserver"] == expected[runserver]
    assert told["checks"] == []
    assert told["worker"] is bool(given["applications"])
    owner = backend.partition(".")[0]
    owner = "channels_layers_memory" if owner == "channels" else owner
    assert told["layer"] == (owner if given["backend"] else None)


def test_the_applications_are_those_that_exist() -> None:
    rows = re.findall(r"(?m)^\| `(channels_\w+)` \| ", PAGE)
    made = {
        package.import_name for package in PACKAGES if (package.source / "apps.py").exists()
    } - {"channels"}
    assert set(rows) == made
