from packaging.requirements import Requirement

from tools.isolated import closure, declared, selection, subset, title, variants
from tools.packages import by_name

PINS = """\
# Pins.
asgiref==3.13.0 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
sphinx==9.0.4 ; python_full_version < '3.12' \\
    --hash=sha256:ba
sphinx==9.2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
zope-interface==8.7 \\
    --hash=sha256:ca
"""


def names(package: str) -> set[str]:
    return {requirement.name for requirement in declared(by_name(package))}


def test_core_alone_declares_django_and_asgiref() -> None:
    assert names("channels-core") == {"Django", "asgiref"}


def test_requirements_of_siblings_are_included() -> None:
    assert names("channels-layers-memory") == {"Django", "asgiref", "msgpack"}


def test_an_extra_is_included_only_if_it_is_requested() -> None:
    assert "daphne" not in names("channels-http")
    assert "daphne" in names("channels")


def test_a_package_whose_tests_are_marked_by_an_extra_runs_without_and_with_it() -> None:
    package = by_name("channels-http")
    assert variants(package) == [(), ("daphne",)]
    assert [title(package, extras) for extras in variants(package)] == [
        "channels-http",
        "channels-http[daphne]",
    ]


def test_each_test_of_such_a_package_runs_in_one_of_its_variants() -> None:
    package = by_name("channels-http")
    assert selection(package, ()) == ["-m", "not daphne"]
    assert selection(package, ("daphne",)) == ["-m", "daphne"]


def test_other_packages_run_once() -> None:
    # It has an extra, and no test that needs it.
    package = by_name("channels")
    assert variants(package) == [()]
    assert selection(package, ()) == []


def test_the_closure_follows_requirements_and_their_markers() -> None:
    found = closure([Requirement("Django>=5.2"), Requirement("pytest>=9")])
    assert found >= {"django", "asgiref", "sqlparse", "pytest", "pluggy", "iniconfig"}
    assert "daphne" not in found
    assert "argon2-cffi" not in found


def test_an_extra_widens_the_closure() -> None:
    assert "twisted" in closure([Requirement("daphne>=4.2")])


def test_a_subset_keeps_each_pin_with_its_hashes() -> None:
    assert subset(PINS, {"asgiref", "sphinx"}) == PINS[len("# Pins.\n") : PINS.index("zope")]
