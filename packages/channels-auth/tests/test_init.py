import importlib.metadata

import channels_auth


def test_the_version_is_the_one_of_the_installed_distribution() -> None:
    assert channels_auth.__version__ == importlib.metadata.version("channels-auth")


def test_nothing_else_is_public() -> None:
    assert channels_auth.__all__ == ["__version__"]
