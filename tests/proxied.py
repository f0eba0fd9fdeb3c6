"""The example site as on the deployment page: nginx in front of two server processes."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from parts import find
from processes import SECONDS, end, free_port
from redis_server import require_redis
from served import SITE, Served, environment

__all__ = ["DEPLOY", "SECRET", "Proxied", "command_of", "nginx", "production", "proxied"]

DEPLOY = SITE / "deploy"
SECRET = "not a secret: it guards nothing but tests, and is long"
#: What each server prints when it is ready.
ANNOUNCES = {"chat-web@": "Uvicorn running on ", "chat-daphne@": "Listening on TCP address "}


def command_of(unit: str) -> list[str]:
    """Return the command of a systemd unit, with this environment's Python."""
    [line] = re.findall(r"(?m)^ExecStart=(.*)$", (DEPLOY / f"{unit}.service").read_text())
    program, *arguments = shlex.split(line)
    assert program == "/srv/chat/venv/bin/python"
    return [sys.executable, *arguments]


class Proxied:
    """The proxy and the servers behind it."""

    def __init__(self, port: int, servers: list[Served], scheme: str) -> None:
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self.origin = f"{scheme}://{self.host}"
        self.servers = servers


def production(folder: Path, redis: str, *, plain_http: bool) -> dict[str, str]:
    """Return the environment of a process of the site in production."""
    env = environment(
        folder / "db.sqlite3",
        secret_key=SECRET,
        static_root=folder / "static",
        allowed_hosts="127.0.0.1",
        plain_http=int(plain_http),
    )
    return env | {"DJANGO_SETTINGS_MODULE": "chatsite.production", "REDIS_URL": redis}


def server(unit: str, env: dict[str, str], *options: str) -> Served:
    """Return one server process with the command of its unit."""

    def command(port: int) -> list[str]:
        return [word.replace("%i", str(port)) for word in command_of(unit)] + list(options)

    return Served(unit, command, env, ANNOUNCES[unit])


@contextmanager
def proxied(
    units: tuple[str, str],
    *options: str,
    tls: Path | None = None,
    variables: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Proxied]:
    """Run nginx, with the configuration of the page, in front of two servers of the example site.

    Args:
        units: Names of the servers' units.
        options: More options for both of them.
        tls: A folder with `fullchain.pem` and `privkey.pem`, for a site that browsers reach only
            over TLS.
        variables: Environment variables of the servers.
        settings: Directives with another value than in the configuration: `send_timeout="1s"`.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="proxied-"))
        stack.callback(shutil.rmtree, folder)
        redis = stack.enter_context(require_redis())
        env = production(folder, redis, plain_http=tls is None) | dict(variables or {})
        servers = [server(unit, env, *options) for unit in units]
        for command in (["migrate", "--verbosity", "0"], ["collectstatic", "--verbosity", "0"]):
            subprocess.run(
                [sys.executable, "manage.py", *command, "--no-input"],
                cwd=SITE,
                env=servers[0].env,
                check=True,
            )
        for each in servers:
            stack.enter_context(each)
        hosts = [each.host for each in servers]
        port = stack.enter_context(nginx(hosts, folder / "static", tls=tls, **settings))
        yield Proxied(port, servers, "https" if tls else "http")


@contextmanager
def nginx(
    hosts: list[str], static: Path, *, tls: Path | None = None, **settings: str
) -> Iterator[int]:
    """Run nginx, with the configuration of the page, in front of two servers, and yield its port.

    Args:
        hosts: The addresses of the servers.
        static: A folder of static files.
        tls: A folder with a certificate and its key.
        settings: Directives with another value than in the configuration.
    """
    program = find("nginx", "/usr/sbin/nginx", package="nginx-light")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="nginx-"))
        stack.callback(shutil.rmtree, folder)
        port = free_port()
        page = _page(port, static, tls, settings)
        configuration = _configuration(folder, hosts, page)
        (folder / "nginx.conf").write_text(configuration)
        errors = stack.enter_context((folder / "errors").open("w"))
        process = subprocess.Popen(
            [program, "-e", "stderr", "-p", str(folder), "-c", "nginx.conf"], stderr=errors
        )
        stack.callback(end, process)
        _wait_for(folder / "pid", process)
        yield port


def _page(port: int, static: Path, tls: Path | None, settings: dict[str, str]) -> str:
    """Return the configuration of the page, with this test's port and folders."""
    page = (DEPLOY / "nginx.conf").read_text()
    number = 80
    if tls:
        number = 443
        certificate = (DEPLOY / "tls.conf").read_text().replace("/etc/ssl/chat", str(tls))
        page = _replaced(page, r"    listen 80;\n", certificate)
        page += _redirect(port)
    page = _replaced(page, rf"\blisten {number}\b(?=;| ssl;)", f"listen 127.0.0.1:{port}")
    page = _replaced(page, r"server_name chat\.example\.org;", "server_name 127.0.0.1;")
    page = _replaced(page, r"alias /srv/chat/static/;", f"alias {static}/;")
    for name, value in settings.items():
        page = _replaced(page, rf"\b{name} \w+;", f"{name} {value};")
    return page


def _redirect(port: int) -> str:
    """Return the server for requests without TLS, at an address of its own."""
    redirect = (DEPLOY / "redirect.conf").read_text()
    redirect = _replaced(redirect, r"\blisten 80;", f"listen 127.0.0.2:{port};")
    redirect = _replaced(redirect, r"server_name chat\.example\.org;", "server_name 127.0.0.1;")
    return _replaced(redirect, r"\$server_name\$", f"$server_name:{port}$")


def _configuration(folder: Path, hosts: list[str], page: str) -> str:
    """Return a complete configuration, which contains that of the page."""
    upstream = (DEPLOY / "upstream.conf").read_text()
    for number, host in enumerate(hosts, 1):
        upstream = _replaced(upstream, rf"127\.0\.0\.1:800{number}", host)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # If root starts nginx, its workers would run as a user who cannot read these folders.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
{user}
daemon off;
pid {folder}/pid;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
access_log off;
{temporary}{upstream}{page}}}
"""


def _replaced(text: str, pattern: str, new: str) -> str:
    found, count = re.subn(pattern, new, text)
    assert count == 1, f"{pattern} occurs {count} times"
    return found


def _wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until nginx has written its process id, which it does when it listens."""
    deadline = time.monotonic() + SECONDS
    while not (file.is_file() and file.read_text()):
        assert process.poll() is None, (file.parent / "errors").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
