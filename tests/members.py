"""Members of the served example site, each with the cookies of a separate browser."""

from http.cookiejar import CookieJar
from typing import Final, Protocol
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, Request, build_opener

__all__ = ["PASSWORD", "Member"]

PASSWORD: Final = "correct horse battery"


class Site(Protocol):
    """The address of the site: a server, or a proxy in front of it."""

    origin: str
    host: str


class Member:
    """A browser in which a member has signed up."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.jar = CookieJar()
        self._opener: OpenerDirector = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.jar))
        self.get("/accounts/sign-up/")
        form = {"username": name, "password1": PASSWORD, "password2": PASSWORD}
        status, page = self.post("/accounts/sign-up/", form)
        assert status == 200, page
        assert "sessionid" in self.cookies, page

    @property
    def cookies(self) -> str:
        """The header `Cookie` that the browser sends with requests and handshakes."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)

    def get(self, path: str) -> tuple[int, str]:
        """Follow a link, and return the status and the page."""
        return self._open(path, None)

    def post(self, path: str, form: dict[str, str]) -> tuple[int, str]:
        """Submit a form, follow redirects, and return the status and the page."""
        [csrf] = [cookie.value for cookie in self.jar if cookie.name == "csrftoken"]
        return self._open(path, urlencode({**form, "csrfmiddlewaretoken": csrf}).encode())

    def log_in(self) -> None:
        """Log in again after a logout."""
        self.get("/accounts/log-in/")
        status, page = self.post("/accounts/log-in/", {"username": self.name, "password": PASSWORD})
        assert status == 200, page
        assert "sessionid" in self.cookies, page

    def log_out(self) -> None:
        """Log out, with the form on each page."""
        status, _ = self.post("/accounts/log-out/", {})
        assert status == 200

    def _open(self, path: str, body: bytes | None) -> tuple[int, str]:
        try:
            # Over TLS, Django checks which page a form was submitted from.
            headers = {"Referer": self.site.origin + "/"}
            request = Request(self.site.origin + path, body, headers)
            with self._opener.open(request) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
