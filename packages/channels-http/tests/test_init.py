import importlib.metadata
import pickle
import subprocess
import sys

import pytest

import channels_http
from channels_http import handlers, staticfiles
from channels_http.generic import http, sse

OFFERED = {
    "AsgiHandler": handlers,
    "AsyncHttpConsumer": http,
    "AsyncSseConsumer": sse,
    "StaticFilesWrapper": staticfiles,
}


def test_the_version_is_the_one_of_the_installed_distribution() -> None:
    assert channels_http.__version__ == importlib.metadata.version("channels-http")


def test_the_package_offers_the_names_of_its_modules() -> None:
    assert channels_http.__all__ == [*OFFERED, "__version__"]
    for name, module in OFFERED.items():
        assert getattr(channels_http, name) is getattr(module, name)
    assert set(channels_http.__all__) <= set(dir(channels_http))
    with pytest.raises(AttributeError, match="'channels_http' has no attribute 'Other'"):
        getattr(channels_http, "Other")  # noqa: B009 - reading it is the test


def test_nothing_is_imported_before_it_is_used() -> None:
    program = """
import sys, channels_http
assert not [name for name in sys.modules if name.startswith(("channels_http.", "django"))]
from channels_http import AsyncHttpConsumer
assert AsyncHttpConsumer.__module__ == "channels_http.generic.http"
assert not {"channels_http.handlers", "channels_http.generic.sse"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", OFFERED)
def test_a_name_can_be_patched_and_pickled(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = getattr(channels_http, name)
    assert pickle.loads(pickle.dumps(offered)) is offered
    monkeypatch.setattr(OFFERED[name], name, None)
    assert getattr(channels_http, name) is None
