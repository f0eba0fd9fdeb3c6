"""Let only those in who are logged in, or who have a permission."""

import enum
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, overload

from django.core.exceptions import ImproperlyConfigured

from channels_auth._guard import Guard

__all__ = ["login_required", "permission_required"]

# Any: type checkers shall take it for the view of a route, as they do a consumer's `as_asgi()`.
_Guarded: TypeAlias = Callable[..., Any]


class _LeftOut(enum.Enum):
    APPLICATION = "an application"


# Not None: that is an application which a program has failed to get.
_LATER: Final = _LeftOut.APPLICATION


@overload
def login_required(
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Callable[[Any], _Guarded]: ...
@overload
def login_required(
    application: Any,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> _Guarded: ...
def login_required(
    application: Any = _LATER,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Any:
    """Wrap an application so that only users who are logged in reach it.

    An HTTP request of anybody else is sent to the login page, a WebSocket is refused with status
    401, or with close code 4401 where the server cannot send a status.

    Scope:
        `user` decides: put the guard inside `AuthMiddlewareStack` or `TokenAuthMiddleware`.

    Args:
        application: An ASGI 3 application, a router, a consumer class, or a two-step application.
            Left out, the result is a decorator for one.
        login_url: The login page: a URL, or the name of one; None for the setting `LOGIN_URL`.
        redirect_field_name: The parameter that tells the login page where to go back to; None
            for none.
        raise_exception: Answer an HTTP request with status 401, too.

    Returns:
        The guarded application; a `URLRouter` inside still routes the rest of the path.

    Raises:
        TypeError: It is no application.

    Source: `django.contrib.auth.mixins.LoginRequiredMixin`.
    """

    def guard(application: Any) -> _Guarded:
        return Guard(application, None, login_url, redirect_field_name, raise_exception)

    return guard if application is _LATER else guard(application)


@overload
def permission_required(
    perm: str | Iterable[str],
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Callable[[Any], _Guarded]: ...
@overload
def permission_required(
    perm: str | Iterable[str],
    application: Any,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> _Guarded: ...
def permission_required(
    perm: str | Iterable[str],
    application: Any = _LATER,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Any:
    """Wrap an application so that only users with a permission reach it.

    Others are answered as by `login_required` while they are not logged in. Once they are, it is
    with status 403, or close code 4403.

    Scope:
        `user` decides, by `has_perms`, which is called in a thread.

    Args:
        perm: A permission, such as `chat.add_room`; or several, all of which are needed.
        application: As in `login_required`, and so are `login_url`, `redirect_field_name` and
            `raise_exception`.
        login_url: The login page.
        redirect_field_name: The parameter for the way back.
        raise_exception: Send nobody to the login page.

    Raises:
        TypeError: It is no application, or a permission is no str.
        ImproperlyConfigured: There is no permission, so that anybody would be let in.

    Source: `django.contrib.auth.mixins.PermissionRequiredMixin`.
    """
    perms = _checked(perm)

    def guard(application: Any) -> _Guarded:
        return Guard(application, perms, login_url, redirect_field_name, raise_exception)

    return guard if application is _LATER else guard(application)


def _checked(perm: object) -> tuple[str, ...]:
    perms: tuple[Any, ...] = (perm,)
    if isinstance(perm, Iterable) and not isinstance(perm, str):
        perms = tuple(perm)
    for each in perms:
        if not isinstance(each, str):
            raise TypeError(
                "permission_required expects a permission such as 'chat.add_room' first, or "
                f"several, not {each!r}"
            )
    if not perms:
        raise ImproperlyConfigured(
            "permission_required was given no permission, so that it would let anybody in; name "
            "one, or use login_required"
        )
    return perms
