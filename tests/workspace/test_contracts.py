import pytest

from tools.contracts import breaks_privacy, undeclared
from tools.packages import by_name

DISTRIBUTIONS = {
    "django": ["Django"],
    "asgiref": ["asgiref"],
    "daphne": ["daphne"],
    "msgpack": ["msgpack"],
    "channels_core": ["channels-core"],
}


@pytest.mark.parametrize(
    ("package", "imported"),
    [
        ("channels-core", "asyncio"),
        ("channels-core", "typing_extensions"),
        ("channels-core", "django"),
        ("channels-core", "channels_core.layers"),
        ("channels-layers-memory", "msgpack"),
        ("channels-layers-memory", "channels_core.layers"),
        ("channels-http", "daphne"),
    ],
)
def test_declared_packages_may_be_imported(package: str, imported: str) -> None:
    assert not undeclared(by_name(package), imported, DISTRIBUTIONS)


@pytest.mark.parametrize(
    ("package", "imported"),
    [
        ("channels-core", "msgpack"),
        ("channels-core", "daphne"),
        ("channels-core", "channels_layers_memory"),
        ("channels-auth", "no_such_module"),
    ],
)
def test_undeclared_packages_may_not_be_imported(package: str, imported: str) -> None:
    assert undeclared(by_name(package), imported, DISTRIBUTIONS)


@pytest.mark.parametrize(
    ("importer", "imported", "breach"),
    [
        ("channels_core.consumer", "__future__", False),
        ("channels_core.consumer", "channels_core._cancellation", False),
        ("channels_auth.auth", "channels_core.consumer", False),
        ("channels_auth.auth", "channels_core._cancellation", True),
        ("channels.security.websocket", "channels_core.security._origin", True),
    ],
)
def test_private_modules_are_imported_only_at_home(
    importer: str, imported: str, breach: bool
) -> None:
    assert breaks_privacy(importer, imported) is breach
