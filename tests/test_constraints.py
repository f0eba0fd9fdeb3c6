"""The third-party pins: complete, hashed, and without a trace of their origin."""

import re
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tools.lock import (
    HEADER,
    PEER_HEADER,
    PEERS,
    TRACED,
    TRACED_HEADER,
    name_of,
    peer_requirements,
    requirements,
    traced_requirements,
)
from tools.packages import DJANGO, PACKAGES, PYTHON, ROOT

PIN = r"[a-z0-9-]+==[A-Za-z0-9.+!-]+(?: ; [a-z_]+ [!=<>]+ '[A-Za-z0-9.*]+')*"
MARKER = r" (?:and|or) [a-z_]+ [!=<>]+ '[A-Za-z0-9.*]+'"
HASH = r"    --hash=sha256:[0-9a-f]{64}"

#: The file of `make traced`, which is for the default series.
OF_TRACED = "traced"
HEADERS = (
    {series: HEADER.format(series=series) for series in DJANGO}
    | {OF_TRACED: TRACED_HEADER}
    | dict.fromkeys(PEERS, PEER_HEADER)
)

each_series = pytest.mark.parametrize("series", DJANGO)
each_pinned = pytest.mark.parametrize("series", HEADERS)
each_file = pytest.mark.parametrize(
    "path", sorted([*(ROOT / "constraints").iterdir(), *(ROOT / "benchmarks" / "pins").iterdir()])
)


def read(series: str) -> str:
    paths = PEERS | {OF_TRACED: TRACED}
    return paths.get(series, ROOT / "constraints" / f"django-{series}.txt").read_text()


def wanted_by(series: str) -> str:
    if series == OF_TRACED:
        return traced_requirements()
    return peer_requirements(series) if series in PEERS else requirements(series)


def pins(series: str) -> list[Requirement]:
    lines = read(series).splitlines()
    return [Requirement(line.removesuffix(" \\")) for line in lines if "==" in line[:80]]


def test_there_is_one_file_for_each_series_and_one_for_the_traced_site() -> None:
    found = {path.name for path in (ROOT / "constraints").glob("*.txt")}
    assert found == {*(f"django-{series}.txt" for series in DJANGO), TRACED.name}


@each_pinned
def test_it_holds_pins_and_hashes_and_nothing_else(series: str) -> None:
    """This form leaves no place for an index, a host, a link or a folder."""
    header, *lines = read(series).splitlines()
    assert f"{header}\n" == HEADERS[series]
    blocks = re.split(r"\n(?! )", "\n".join(lines))
    for block in blocks:
        assert re.fullmatch(rf"{PIN}(?:{MARKER})*(?: \\\n{HASH})+", block), block


@each_file
def test_no_file_names_an_index_a_host_or_a_folder(path: Path) -> None:
    content = path.read_text()
    for word in ("://", "index", "find-links", "file:", ".org", ".com", "/tmp", "/home", " via "):
        assert word not in content


@each_pinned
def test_everything_required_is_pinned_for_every_python(series: str) -> None:
    lines = wanted_by(series).splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for major, minor in (one for one in PYTHON if one >= DJANGO.get(series, PYTHON[0])):
        environment = {name: str(value) for name, value in default_environment().items()} | {
            "python_version": f"{major}.{minor}",
            "python_full_version": f"{major}.{minor}.9",
            "sys_platform": "linux",
        }
        here = {
            name_of(one.name): one
            for one in pins(series)
            if one.marker is None or one.marker.evaluate(environment)
        }
        for requirement in wanted:
            pin = here[name_of(requirement.name)]
            (version,) = (one.version for one in pin.specifier)
            assert requirement.specifier.contains(version), requirement


@each_series
def test_it_pins_its_own_django(series: str) -> None:
    (django,) = (one for one in pins(series) if one.name == "django")
    assert str(django.specifier).startswith(f"=={series}")


def test_the_traced_versions_are_the_tested_ones() -> None:
    tested = {(one.name, str(one.marker)): one.specifier for one in pins("5.2")}
    traced = {(one.name, str(one.marker)): one.specifier for one in pins(OF_TRACED)}
    common = tested.keys() & traced.keys()
    assert {"django", "asgiref", "uvicorn"} <= {name for name, _ in common}
    assert {key: tested[key] for key in common} == {key: traced[key] for key in common}


def test_the_versions_of_the_peers_are_the_tested_ones() -> None:
    tested = {(one.name, str(one.marker)): one.specifier for one in pins("5.2")}
    for peer in PEERS:
        found = {(one.name, str(one.marker)): one.specifier for one in pins(peer)}
        common = tested.keys() & found.keys()
        assert {key: tested[key] for key in common} == {key: found[key] for key in common}


@each_pinned
def test_it_pins_nothing_of_ours(series: str) -> None:
    # One peer of the benchmarks is the published package.
    ours = {package.name for package in PACKAGES} - (
        {"channels"} if series == "upstream" else set()
    )
    assert not [one.name for one in pins(series) if one.name in ours]
