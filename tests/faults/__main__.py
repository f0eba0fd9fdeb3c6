"""Run the trials and print what happens: `make faults`, which takes some minutes."""

import argparse
import asyncio
import re
from pathlib import Path

from faults.facts import Facts, sections
from faults.trials import ENVIRONMENT, TOLD, TRIALS
from faults.world import running

LAYERS = ("redis", "redis-pubsub", "layers-redis", "layers-redis-history")

#: Where a page has the sections.
PLACE = re.compile(r"(?<=<!-- trials -->\n\n).*(?=<!-- end of the trials -->)", re.DOTALL)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="replace the sections in this page")
    parser.add_argument("--seconds", type=float, default=10, help="seconds without Redis")
    parser.add_argument("--only", default="", help="run only faults whose name contains this")
    parser.add_argument("--layer", choices=LAYERS, help="run only this layer")
    chosen = parser.parse_args()
    found: list[Facts] = []
    for name, trial in TRIALS.items():
        if chosen.only.lower() in name.lower():
            for layer in [chosen.layer] if chosen.layer else LAYERS:
                async with running(layer, **ENVIRONMENT.get(name, {})) as world:
                    found.append(await trial(world, name, chosen.seconds))
                    print(name, found[-1].row(), found[-1].remarks(), sep="\n", flush=True)
    if chosen.write is not None:
        page = chosen.write.read_text()
        text = sections(found, TOLD)
        chosen.write.write_text(PLACE.sub(lambda place: text, page))


if __name__ == "__main__":
    asyncio.run(main())
