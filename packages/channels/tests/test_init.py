import importlib.metadata

import channels

import channels_core
from interpreter import run


def test_the_version_is_the_one_of_the_installed_distribution() -> None:
    assert channels.__version__ == importlib.metadata.version("channels")


def test_the_default_layer_has_the_name_that_the_core_gives_it() -> None:
    assert channels.DEFAULT_CHANNEL_LAYER == channels_core.DEFAULT_CHANNEL_LAYER == "default"


def test_nothing_else_is_public() -> None:
    assert channels.__all__ == ["DEFAULT_CHANNEL_LAYER", "__version__"]


def test_importing_it_loads_neither_django_nor_a_package_beside_it() -> None:
    loaded = run("""
import channels, sys
print(*sorted({name.partition(".")[0] for name in sys.modules}))
""").split()
    assert "channels" in loaded
    assert {"asgiref", "django", "msgpack"}.isdisjoint(loaded)
    assert [name for name in loaded if name.startswith("channels_")] == []
