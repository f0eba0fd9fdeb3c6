import importlib.metadata
import subprocess
import sys

import pytest

import channels_auth
from channels_auth import auth, cookies, sessions

#: The whole of `channels_auth.auth`, and the middleware that its stack consists of.
OFFERED = {
    **dict.fromkeys(auth.__all__, auth),
    "CookieMiddleware": cookies,
    "SessionMiddleware": sessions,
    "SessionMiddlewareStack": sessions,
}


def test_the_version_is_that_of_the_distribution() -> None:
    assert channels_auth.__version__ == importlib.metadata.version("channels-auth")


def test_it_offers_the_names_of_its_modules() -> None:
    assert sorted(channels_auth.__all__) == sorted([*OFFERED, "__version__"])
    assert set(channels_auth.__all__) <= set(dir(channels_auth))


@pytest.mark.parametrize("name", OFFERED)
def test_each_name_is_the_one_of_its_module(name: str) -> None:
    assert getattr(channels_auth, name) is getattr(OFFERED[name], name)


@pytest.mark.parametrize("name", ["other"])
def test_another_name_is_an_error(name: str) -> None:
    with pytest.raises(AttributeError, match=r"^module 'channels_auth' has no attribute 'other'$"):
        getattr(channels_auth, name)


def test_importing_loads_no_module_of_it() -> None:
    program = (
        "import sys, channels_auth; "
        "print([name for name in sys.modules if name.startswith('channels_auth.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
