"""Check with pyright, which many programs use, the types of the packages as installed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tools.packages import ROOT, Package

__all__ = ["PROGRAMS", "check_programs", "problems", "verify"]

#: Strictly typed programs that use the packages under their public names.
PROGRAMS: Final = ROOT / "tests" / "typed_programs"

#: Seconds for one run; a few are enough.
_LIMIT: Final = 600


def _run(*arguments: str, report: bool = False) -> subprocess.CompletedProcess[str]:
    """Run pyright on the packages that this interpreter has installed."""
    # It asks the first Python on the PATH for installed packages, and the network for new releases.
    first = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{first}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "pyright", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE if report else None,
        text=True,
        check=False,
        timeout=_LIMIT,
    )


def problems(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield each public name without a known type, from a report of `--verifytypes`.

    Names that the types of public names refer to count as public.
    """
    for diagnostic in report["generalDiagnostics"]:
        yield diagnostic["message"]
    for symbol in report["typeCompleteness"]["symbols"]:
        if symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]:
            reasons = "; ".join(one["message"].splitlines()[0] for one in symbol["diagnostics"])
            yield f"{symbol['name']}: {reasons}"


def verify(package: Package) -> bool:
    """Return whether all public names of a package have known types, and print those without.

    Unknown types from Django, asgiref and other dependencies are accepted.
    """
    print(f"{package.import_name}: ", end="", flush=True)
    done = _run(
        "--verifytypes", package.import_name, "--ignoreexternal", "--outputjson", report=True
    )
    report = json.loads(done.stdout)
    found = list(problems(report))
    completeness = report["typeCompleteness"]
    names = sum(completeness["exportedSymbolCounts"].values())
    print(f"{completeness['completenessScore']:.1%} of {names} public names have a known type")
    for problem in found:
        print(f"  {problem}")
    # A package that pyright does not find has no names at all.
    return not found and names > 0


def check_programs() -> int:
    """Check the programs, and return pyright's status."""
    print(f"{PROGRAMS.relative_to(ROOT.parent)} with pyright: ", end="", flush=True)
    return _run("--project", str(PROGRAMS)).returncode
