import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools.packages import by_name
from tools.versions import NoRelease, Step, parse, pick, step_between


@pytest.mark.parametrize(
    ("version", "step"),
    [
        ("1.2.4", Step.PATCH),
        ("1.3.0", Step.MINOR),
        ("2.0.0", Step.MAJOR),
        ("1.2.3", None),
        ("1.2.5", None),
        ("1.3.1", None),
        ("1.4.0", None),
        ("2.0.1", None),
        ("3.0.0", None),
        ("1.1.0", None),
    ],
)
def test_only_the_next_patch_minor_or_major_version_follows(
    version: str, step: Step | None
) -> None:
    assert step_between(Version("1.2.3"), Version(version)) is step


@pytest.mark.parametrize("text", ["1.1", "1.1.0rc1", "v1.1.0", "1.1.0.post1", "01.1.0", "one", ""])
def test_other_forms_are_no_versions(text: str) -> None:
    assert parse(text) is None


def test_a_version_has_three_numbers() -> None:
    assert parse("1.10.0") == Version("1.10.0")


class TestPick:
    AUTH = by_name("channels-auth")
    META = by_name("channels")

    def picked(self, *core: str, needs: str = ">=1.1,<2") -> dict[str, str]:
        """Return what fits a package that needs the core alone, oldest first."""
        releases = {"channels-core": [Version(one) for one in core]}
        required = {"channels-core": SpecifierSet(needs)}
        found = pick(self.AUTH, required, releases, lambda name, version: {}, min)
        return {name: str(version) for name, version in found.items()}

    def test_the_oldest_release_in_the_range_is_chosen(self) -> None:
        assert self.picked("1.0.0", "1.1.0", "1.2.0", "2.0.0") == {"channels-core": "1.1.0"}

    def test_no_release_in_the_range_is_an_error_that_names_it(self) -> None:
        with pytest.raises(NoRelease, match=r"channels-auth needs channels-core<2,>=1\.1"):
            self.picked("1.0.0", "2.0.0")

    def test_a_sibling_that_needs_a_newer_core_raises_it(self) -> None:
        one = Version("1.0.0")
        releases = {
            "channels-auth": [one],
            "channels-core": [one, Version("1.1.0"), Version("1.2.0")],
        }
        required = {name: SpecifierSet(">=1.0,<2") for name in releases}

        def requires(name: str, version: Version) -> dict[str, SpecifierSet]:
            assert version == one or name == "channels-core"
            return {"channels-core": SpecifierSet(">=1.1")} if name == "channels-auth" else {}

        found = pick(self.META, required, releases, requires, min)
        assert found == {"channels-auth": one, "channels-core": Version("1.1.0")}
        newest = pick(self.META, required, releases, requires, max)
        assert newest["channels-core"] == Version("1.2.0")
