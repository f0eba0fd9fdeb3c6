"""A session engine like those of other packages: it writes without asking what is stored."""

from typing import Any, Final

from django.contrib.sessions.backends.base import CreateError, SessionBase

__all__ = ["STORE", "SessionStore"]

STORE: Final[dict[str, str]] = {}


class SessionStore(SessionBase):
    def exists(self, session_key: str) -> bool:
        return session_key in STORE

    def create(self) -> None:
        self._session_key = self._get_new_session_key()  # type: ignore[attr-defined] # Django's
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        if must_create and self.session_key in STORE:
            raise CreateError
        data: Any = self._get_session(no_load=must_create)  # type: ignore[attr-defined] # Django's
        STORE[self.session_key] = self.encode(data)

    def delete(self, session_key: str | None = None) -> None:
        STORE.pop(session_key or self.session_key or "", None)

    def load(self) -> dict[str, Any]:
        if self.session_key in STORE:
            return self.decode(STORE[self.session_key])
        self._session_key = None
        return {}
