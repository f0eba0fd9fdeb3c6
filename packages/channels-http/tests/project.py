"""A Django project with a development server, run as a program."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["FILES", "Project"]

#: The files of the project, by path.
FILES: Final = {
    "manage.py": """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
""",
    "settings.py": """
SECRET_KEY = "not a secret: it guards nothing but tests"
DEBUG = True
INSTALLED_APPS = ["channels_http", "django.contrib.staticfiles"]
ROOT_URLCONF = "urls"
ASGI_APPLICATION = "asgi.application"
STATIC_URL = "/static/"
STATICFILES_DIRS = ["files"]
USE_TZ = True
""",
    "urls.py": """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("hello/", lambda request: HttpResponse("Hello"))]
""",
    "asgi.py": """
from django.urls import re_path
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_http.handlers import AsgiHandler
application = ProtocolTypeRouter({"http": URLRouter([re_path(r"", AsgiHandler)])})
""",
    "files/style.css": "body {}",
}


class Project:
    """A project in a folder: a context in which its server runs."""

    def __init__(self, folder: Path, *arguments: str, **files: str) -> None:
        """Write the files; those given by name are modules that it has besides, or instead."""
        self._folder = folder
        self._arguments = arguments or ("0",)
        self.output = ""
        modules = {f"{name}.py": text for name, text in files.items()}
        for name, text in (FILES | modules).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text.lstrip())

    def change(self, name: str, old: str, new: str) -> None:
        """Change a file, and return when the server has seen that."""
        path = self._folder / name
        path.write_text(path.read_text().replace(old, new))
        seen = threading.Event()

        def touch() -> None:
            # The autoreloader compares times, and may not have looked at this file before.
            while not seen.wait(0.2):
                later = path.stat().st_mtime + 2
                os.utime(path, (later, later))

        thread = threading.Thread(target=touch)
        thread.start()
        try:
            self.wait_for(re.escape(f"{name} changed, reloading"))
        finally:
            seen.set()
            thread.join()

    def __enter__(self) -> Self:
        """Start the server, with what it starts itself in a process group of its own."""
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "runserver", *self._arguments],
            cwd=self._folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        return self

    def wait_for(self, pattern: str) -> str:
        """Return what a line that the pattern is found in has in the group, if there is one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if match := re.search(pattern, line):
                return (match.groups() or (line,))[0]
        raise AssertionError(f"it ended without {pattern!r}: {self.output}")

    def end(self, number: int) -> str:
        """Send a signal, and return all that it has written once it has ended."""
        os.killpg(self.process.pid, number)
        return self.rest()

    def rest(self) -> str:
        """Return all that it has written, once it has ended."""
        self.output += self.process.communicate()[0]
        return self.output

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server, as Ctrl-C does."""
        if self.process.poll() is None:
            self.end(signal.SIGINT)
