"""Prepare the upload of a release: the files of its tag, and its software bill of materials.

The workflow of a tag runs this. It leaves the source archive and the wheel in dist/upload/, and the
bill, in the format of CycloneDX, in dist/sbom.cdx.json.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tools.build import DIST, build, faults
from tools.env import programs
from tools.isolated import closure, constraints, declared, subset
from tools.packages import Package, by_name
from tools.release import tested
from tools.releases import built, fitting, git, of_tag

__all__ = ["main", "mismatches", "serial_number", "write_bill"]


def mismatches(tag: str, package: Package, version: str) -> Iterator[str]:
    """Yield how a checkout differs from a tag that is to be published."""
    found = package.pyproject()["project"]["version"]
    if found != version:
        yield f"{tag} names the version {version}, and the package has {found}"
    if git(package.root, "rev-parse", "HEAD") != git(package.root, "rev-list", "-n", "1", tag):
        yield f"{tag} is not what is checked out"
    if git(package.root, "status", "--porcelain"):
        yield "the checkout has changes"


def serial_number(package: Package, version: str) -> str:
    """Return the serial number of the bill of a release, the same one each time it is made."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"pkg:pypi/{package.name}@{version}").urn


def write_bill(package: Package, wheels: list[Path], file: Path) -> None:
    """Write the bill of materials of a package in an environment with what it requires."""
    with tempfile.TemporaryDirectory() as temporary:
        env, pins = Path(temporary, "env"), Path(temporary, "pins.txt")
        python = str(programs(env) / "python")
        # Without the tables of tools: from Poetry's, a name would be expected.
        project = Path(temporary, "pyproject.toml")
        text = (package.folder / "pyproject.toml").read_text(encoding="utf-8")
        project.write_text(text.partition("\n[tool.")[0], encoding="utf-8")
        pins.write_text(subset(constraints().read_text("utf-8"), closure(declared(package))))
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
        install = (*pip, "install", "--quiet", "--no-compile", "--no-deps")
        for command in (
            [sys.executable, "-m", "venv", "--without-pip", str(env)],
            [*install, "--require-hashes", "--requirement", str(pins)],
            # By name: of a wheel that is named by its path, the bill would have the path.
            [
                *(*install, "--no-index"),
                *(f"--find-links={folder}" for folder in {wheel.parent for wheel in wheels}),
                *(wheel.name.split("-")[0] for wheel in wheels),
            ],
            [
                *(sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"),
                *("--mc-type", "library"),
                *("--pyproject", str(project)),
                *("--output-file", str(file), python),
            ],
        ):
            if subprocess.run(command, check=False).returncode:
                sys.exit(f"failed: {' '.join(command)}")
    bill = json.loads(file.read_text(encoding="utf-8"))
    # A reproducible bill has none, and GitHub attests no bill without one.
    bill["serialNumber"] = serial_number(package, package.pyproject()["project"]["version"])
    file.write_text(json.dumps(bill, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Build what the tag in the argument names, check and test it, and write its bill."""
    tag = sys.argv[1]
    named = of_tag(tag)
    if named is None:
        sys.exit(f"{tag} is not a tag such as channels-http-v1.1.0.")
    package, version = named
    if problems := [*mismatches(tag, package, str(version))]:
        sys.exit("\n".join(problems))
    upload = DIST / "upload"
    shutil.rmtree(upload, ignore_errors=True)
    archive, wheel = build(package, upload)
    if problems := [*faults(package, archive, wheel)] or [*tested(package, archive, wheel)]:
        sys.exit("\n".join(problems))
    siblings = [built(by_name(name), one)[1] for name, one in fitting(package, max).items()]
    write_bill(package, [wheel, *siblings], DIST / "sbom.cdx.json")
    print("\n".join(sorted(path.name for path in upload.iterdir())))


if __name__ == "__main__":
    main()
