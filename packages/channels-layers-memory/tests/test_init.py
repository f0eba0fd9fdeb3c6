import importlib.metadata

import channels_layers_memory


def test_the_version_is_the_one_of_the_installed_distribution() -> None:
    assert channels_layers_memory.__version__ == importlib.metadata.version(
        "channels-layers-memory"
    )


def test_nothing_else_is_public() -> None:
    assert channels_layers_memory.__all__ == ["__version__"]
