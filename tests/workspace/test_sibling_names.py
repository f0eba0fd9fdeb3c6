"""A package uses only names of its siblings that a test pins as public."""

from pathlib import Path

import pytest

from public_names import NAMES
from tools.packages import PACKAGES, Package
from tools.sibling_names import unlisted, uses

USERS = [package for package in PACKAGES if package.needs]


@pytest.mark.parametrize("package", USERS, ids=lambda package: package.name)
def test_each_name_of_a_sibling_that_a_package_uses_is_public(package: Package) -> None:
    found = [*uses(package)]
    assert {use.sibling for use in found} >= {"channels_core"}
    assert [*unlisted(found, NAMES)] == []


def read(folder: Path, code: str) -> list[str]:
    """Return the names that a package `channels-auth` with this one module uses."""
    package = Package("channels-auth", root=folder)
    package.source.mkdir(parents=True)
    (package.source / "auth.py").write_text(code)
    found = [*uses(package)]
    assert all(use.place.startswith("src/channels_auth/auth.py:") for use in found)
    return [use.name for use in found]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from channels_core.layers import get_channel_layer", "get_channel_layer"),
        ("from channels_core.layers import *", None),
        ("import channels_core.layers", None),
        ("import channels_core.layers as them\nthem.ping_sync", "ping_sync"),
        ("import channels_core.layers\nchannels_core.layers._x()", "_x"),
        ("from channels_core import layers\nlayers.BaseChannelLayer.send", "BaseChannelLayer.send"),
        ("def later():\n    from channels_core import layers\n    return layers._x", "_x"),
        ("if TYPE_CHECKING:\n    from channels_core.layers import Capacities", "Capacities"),
        ("import_module('channels_core.layers')", None),
    ],
)
def test_imports_and_what_is_read_from_them_are_found(
    tmp_path: Path, code: str, name: str | None
) -> None:
    expected = f"channels_core.layers.{name}" if name else "channels_core.layers"
    assert expected in read(tmp_path, code)


@pytest.mark.parametrize(
    "code",
    [
        "from channels_auth import tokens\ntokens._x",
        "from . import tokens",
        "import channels_core_extras",
        "layers._x",
        "'channels_core.layers'",
    ],
)
def test_other_code_uses_no_sibling(tmp_path: Path, code: str) -> None:
    assert read(tmp_path, code) == []


PUBLIC = {"channels_core": ["hook"], "channels_core.layers": ["BaseChannelLayer"]}


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("from channels_core import hook", False),
        ("from channels_core.layers import BaseChannelLayer", False),
        ("from channels_core import layers\nlayers.BaseChannelLayer.send", False),
        ("from channels_core import layers\nlayers.__name__", True),
        ("from channels_core.layers import has_groups", True),
        ("from channels_core.layers import BaseChannelLayer\nBaseChannelLayer._x", True),
        ("from channels_core._layers import names", True),
        ("from channels_core import routing", True),
        ("from channels_http import sse", True),
    ],
)
def test_a_name_that_is_not_listed_is_refused(tmp_path: Path, code: str, refused: bool) -> None:
    package = Package("channels-auth", root=tmp_path)
    package.source.mkdir(parents=True)
    (package.source / "auth.py").write_text(code)
    assert bool([*unlisted(uses(package), PUBLIC)]) is refused
