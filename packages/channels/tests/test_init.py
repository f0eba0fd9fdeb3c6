import importlib.metadata
from pathlib import Path

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


def test_every_submodule_is_an_attribute_at_every_level() -> None:
    """As with upstream, but in a process that has imported nothing else."""
    folder = Path(channels.__file__).parent
    names = {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in folder.rglob("*.py")
        if path.name != "_facade.py"
    }
    run(f"""
import channels, importlib
for name in {sorted(names)!r}:
    value = channels
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    assert value is importlib.import_module(name), name
assert not hasattr(channels, "nope")
""")


def test_it_works_without_metadata() -> None:
    """For example in a frozen program, or in an image without metadata folders."""
    version = run("""
import importlib.metadata as metadata
def missing(name): raise metadata.PackageNotFoundError(name)
metadata.version = metadata.distribution = missing
import channels, channels.routing, channels.testing, channels.layers, channels.auth, channels.http
assert channels.layers.InMemoryChannelLayer
print(channels.__version__)
""")
    assert version.strip() == channels.__version__
