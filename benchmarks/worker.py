"""Measure one row of one case for one peer, in this process.

    python -m benchmarks.worker CASE ROW PEER [--quick] [--soak MINUTES] [--processor N]

runs in the peer's environment and prints the figures by row as JSON in its last line.
"""

import argparse
import json
import os
import sys
import time
from importlib import import_module
from typing import Final

from benchmarks.case import Scale
from benchmarks.honesty import DishonestError

__all__ = ["DISHONEST", "main", "module_of"]

#: The exit status when a check of honesty failed.
DISHONEST: Final = 70


def module_of(case: str) -> str:
    """Return the module of a case."""
    return f"benchmarks.cases.{case.replace('-', '_')}"


def main() -> None:
    """Measure, and print the figure and what it took."""
    parser = argparse.ArgumentParser(prog="benchmarks.worker")
    parser.add_argument("case")
    parser.add_argument("row")
    parser.add_argument("peer")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--soak", type=float, default=0)
    parser.add_argument("--processor", type=int)
    options = parser.parse_args()
    if options.processor is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.processor})
    module = import_module(module_of(options.case))
    row = module.CASE.row(options.row)
    started = time.perf_counter()
    try:
        program = module.PROGRAMS[options.peer](row)
        figure = module.measure(program, row, Scale(options.quick, options.soak))
    except DishonestError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(DISHONEST)
    figures = figure if isinstance(figure, dict) else {row.name: figure}
    print(json.dumps({"figures": figures, "seconds": time.perf_counter() - started}), flush=True)
    # Threads of a pool may wait for work forever, and nothing here has to be saved.
    os._exit(0)


if __name__ == "__main__":
    main()
