import pytest

from tools.lock import name_of, requirements, third_party


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("Django>=5.2", "django"),
        ("zope.interface==8.7 \\", "zope-interface"),
        ("channels_http[daphne]>=1.0,<2", "channels-http"),
        ("pysocks", "pysocks"),
    ],
)
def test_names_are_normalised(requirement: str, name: str) -> None:
    assert name_of(requirement) == name


def test_an_invalid_requirement_ends_the_run() -> None:
    with pytest.raises(SystemExit, match="not a requirement: '--index'"):
        name_of("--index")


def test_what_the_packages_require_is_pinned_but_not_the_packages() -> None:
    names = {name_of(one) for one in third_party()}
    assert names >= {"django", "asgiref", "msgpack", "daphne"}
    assert not [name for name in names if name.startswith("channels")]


def test_a_series_holds_django_to_itself() -> None:
    assert "\nDjango==6.0.*\n" in requirements("6.0")
