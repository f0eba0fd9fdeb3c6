"""Run the trials and print their table: `make faults`, which takes some minutes."""

import argparse
import asyncio
from pathlib import Path

from faults.facts import Facts, table
from faults.trials import TRIALS
from faults.world import running

LAYERS = ("redis", "redis-pubsub")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="also write the table to this file")
    parser.add_argument("--seconds", type=float, default=10, help="seconds without Redis")
    parser.add_argument("--only", default="", help="run only faults whose name contains this")
    chosen = parser.parse_args()
    rows: list[Facts] = []
    for name, trial in TRIALS.items():
        if chosen.only.lower() in name.lower():
            for layer in LAYERS:
                async with running(layer) as world:
                    rows.append(await trial(world, name, chosen.seconds))
                    print(rows[-1].row(), flush=True)
    if chosen.write is not None:
        chosen.write.write_text(table(rows))


if __name__ == "__main__":
    asyncio.run(main())
