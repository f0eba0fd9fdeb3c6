"""The peers: what is compared, and the pins that each one's environment is made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.case import LIMIT, OURS, UPSTREAM
from tools.packages import ROOT

__all__ = ["BEFORE", "PEERS", "PINS", "Peer", "before"]

PINS: Final = Path(__file__).parent / "pins"

#: The name of another tree of ours, such as the one before a change.
BEFORE: Final = "before"


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer.

    Attributes:
        name: Its key in cases, in results and on the command line.
        title: What tables and plots call it.
        pins: The name of its pins, `pins/NAME.txt`.
        tree: The tree whose packages are copied into its environment.
        color: Its color in plots.
    """

    name: str
    title: str
    pins: str
    color: str
    tree: Path | None = None

    @property
    def requirements(self) -> Path:
        """Return the file with its pins."""
        return PINS / f"{self.pins}.txt"


#: In the order of tables and plots.
PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(OURS, "this tree", "ours", "#2a6fdb", ROOT),
        Peer(UPSTREAM, "Channels 4.3.2", "upstream", "#b0b7c3"),
        Peer("starlette", "Starlette", "starlette", "#e0a030"),
        Peer("litestar", "Litestar", "litestar", "#8a63c9"),
        Peer("django", "Django", "django", "#2f9e6e"),
        Peer(LIMIT, "the limit", "limit", "#444c58"),
    )
}


def before(tree: Path) -> Peer:
    """Return the peer for another tree of ours."""
    return Peer(BEFORE, "before", "ours", "#79a7ea", tree.resolve())
