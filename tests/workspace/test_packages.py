import pytest

from tools.packages import PACKAGES, by_name, select, with_needs


def names(name: str) -> list[str]:
    return [package.name for package in with_needs(by_name(name))]


def test_a_package_knows_its_folders() -> None:
    package = by_name("channels-layers-memory")
    assert package.import_name == "channels_layers_memory"
    assert package.source == package.folder / "src" / "channels_layers_memory"
    assert package.pyproject()["project"]["name"] == package.name


def test_no_name_selects_all_of_them() -> None:
    assert select(None) == select("") == PACKAGES


def test_a_name_selects_one() -> None:
    assert [package.name for package in select("channels-auth")] == ["channels-auth"]


def test_an_unknown_name_ends_with_the_known_names() -> None:
    with pytest.raises(SystemExit, match=r"no package named 'channel'.*channels-core, "):
        select("channel")


def test_a_package_comes_after_what_it_needs() -> None:
    assert names("channels-core") == ["channels-core"]
    assert names("channels-auth") == ["channels-core", "channels-auth"]
    # An extra of the meta-package installs the layer on Redis.
    optional = {"channels-layers-redis"}
    assert names("channels") == [one.name for one in PACKAGES if one.name not in optional]
