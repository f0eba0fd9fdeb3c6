"""Measure what clients cost that inflate frames, or never read.

Run `env PYTHONPATH=tests .venv/bin/python -m hostile.memory` in the root of the tree. It prints a
table, for the default options and with limits. With `--other PYTHON`, an interpreter with another
release of Channels, that one is measured in turn.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from hostile.async_client import CLOSE, RawClient, deflated, frame
from processes import end, free_port

_FOLDER: Final = Path(__file__).resolve().parent
_COMMANDS: Final = {
    "uvicorn": ("-m", "uvicorn", "--log-level", "error", "hostile.memory_site:application"),
    "daphne": ("-m", "daphne", "-v", "0", "hostile.memory_site:application"),
}
#: Options of the consumers of `hostile.memory_site`, and of the servers.
LIMITS: Final = {"inflating": {"max_message_size": 65_536}, "silent": {"max_pending": 200_000}}
_LIMITS_OF_SERVERS: Final = {"uvicorn": ("--ws-max-size", "65536"), "daphne": ()}
#: What Daphne accepts at most, without compression.
_DAPHNE_LIMIT: Final = 1_048_576


class Measured:
    """A server in a process of its own."""

    def __init__(
        self, server: str, options: object, *arguments: str, python: str = sys.executable
    ) -> None:
        self.server = server
        self.port = free_port()
        environment = os.environ | {
            "PYTHONPATH": str(_FOLDER.parent),
            "HOSTILE_OPTIONS": json.dumps(options),
        }
        self.process = subprocess.Popen(
            [python, *_COMMANDS[server], *arguments, "--port", str(self.port)],
            env=environment,
            cwd=_FOLDER,
            stderr=subprocess.DEVNULL,
        )

    async def control(self) -> RawClient:
        """Return a connection to its control, once it runs."""
        for _ in range(300):
            try:
                return await RawClient.connect(self.port, "/control/")
            except ConnectionRefusedError:
                await asyncio.sleep(0.1)
        raise AssertionError(f"{self.server} has not started")

    def megabytes(self, name: str) -> float:
        """Return a value of its memory: VmRSS now, or VmHWM at most."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1000
        raise AssertionError(name)

    async def longest(self, control: RawClient, messages: int = 0, size: int = 0) -> float:
        """Have the group get messages; return the longest hold of the loop since the last call."""
        told = await self._ask(control, messages, size)
        longest: float = told["longest"]
        return longest

    async def members(self, control: RawClient) -> int:
        """Return the number of clients that are connected to the consumer of silent clients."""
        members: int = (await self._ask(control))["members"]
        return members

    async def _ask(self, control: RawClient, messages: int = 0, size: int = 0) -> dict[str, Any]:
        await control.send(frame(json.dumps({"messages": messages, "size": size}).encode()))
        while True:
            opcode, payload = await control.receive()
            if opcode == CLOSE:
                raise AssertionError("the control connection has ended")
            if payload.startswith(b"{"):
                told: dict[str, Any] = json.loads(payload)
                return told


async def inflating(measured: Measured, clients: int) -> tuple[float, float]:
    """Have clients send one large frame each; return megabytes at most, and seconds of hold."""
    control = await measured.control()
    inflates = measured.server == "uvicorn"
    size = 15_000_000 if inflates else _DAPHNE_LIMIT
    text = b"[" + b"{}," * ((size - 4) // 3) + b"{}]"
    data = deflated(text) if inflates else frame(text)
    before = measured.megabytes("VmRSS")
    connections = [
        await RawClient.connect(measured.port, "/inflating/", inflates=inflates)
        for _ in range(clients)
    ]
    await measured.longest(control)
    for connection in connections:
        await connection.send(data)
    await asyncio.gather(*(connection.receive() for connection in connections))
    longest = await measured.longest(control)
    for connection in (control, *connections):
        await connection.drop()
    return measured.megabytes("VmHWM") - before, longest


async def silent(measured: Measured, clients: int, messages: int = 200) -> tuple[float, float]:
    """Have clients never read; return megabytes at most, and seconds of hold."""
    control = await measured.control()
    before = measured.megabytes("VmRSS")
    connections = [
        await RawClient.connect(measured.port, "/silent/", reads=False) for _ in range(clients)
    ]
    await measured.longest(control)
    longest = await measured.longest(control, messages, 20_000)
    most = measured.megabytes("VmHWM") - before
    for connection in (control, *connections):
        await connection.drop()
    return most, longest


_ATTACKS: Final = {"inflating": inflating, "silent": silent}


def main() -> None:
    """Print a table: megabytes at most, and the longest hold of the event loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--other", help="an interpreter with another release of Channels")
    parser.add_argument("--inflating", type=int, default=20)
    parser.add_argument("--silent", type=int, default=100)
    given = parser.parse_args()
    runs: list[tuple[str, str, object]] = [("default", sys.executable, {})]
    runs.append(("with limits", sys.executable, LIMITS))
    if given.other:
        runs.append(("other", given.other, {}))
    print("| attack | server | program | MB at most | longest hold, s |")
    print("|---|---|---|---|---|")
    for name, attack in _ATTACKS.items():
        for server in _COMMANDS:
            for program, python, chosen in runs:
                arguments = _LIMITS_OF_SERVERS[server] if chosen else ()
                measured = Measured(server, chosen, *arguments, python=python)
                clients = getattr(given, name)
                try:
                    most, longest = asyncio.run(attack(measured, clients))
                finally:
                    end(measured.process)
                print(
                    f"| {clients} {name} | {server} | {program} | {most:.0f} | {longest:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
