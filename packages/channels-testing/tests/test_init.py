import importlib.metadata

import channels_testing


def test_the_version_is_the_one_of_the_installed_distribution() -> None:
    assert channels_testing.__version__ == importlib.metadata.version("channels-testing")


def test_nothing_else_is_public() -> None:
    assert channels_testing.__all__ == ["__version__"]
