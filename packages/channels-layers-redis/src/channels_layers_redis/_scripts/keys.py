"""The names of the keys, each in one place.

What stands between `{` and `}` decides in which slot of a cluster a key is, so all keys that one
script uses have the same part there. Names of channels and groups have no such characters.

A message that waits in a channel is announced under the name of its key. In a cluster, what is
published reaches only those who have subscribed at the node that has the slot of that name.
"""

from __future__ import annotations

from channels_core.layer_extensions import DEAD_SUFFIX

__all__ = ["Keys"]


class Keys:
    """The names of all keys below a prefix."""

    __slots__ = ("_prefix", "members", "plain_groups", "publish")

    def __init__(self, prefix: str, *, in_cluster: bool = False) -> None:
        """Take the prefix, as in the option of the layer."""
        self._prefix = prefix
        #: The command that publishes to the processes which listen.
        self.publish = "SPUBLISH" if in_cluster else "PUBLISH"
        #: The groups that have members which are channels of no process.
        self.plain_groups = f"{prefix}:plain-groups"
        #: All members of all groups: one command renews the lease of a process, and ends those of
        #: the processes that were killed, in whichever groups they have members.
        self.members = tuple(
            f"{prefix}:{{members}}:{part}"
            for part in (
                "leases",
                "connections",
                "of-process",
                "of-person",
                "people",
                "listing",
                "absent",
                "count",
            )
        )

    def channel(self, name: str) -> str:
        """Return the key of the messages that wait in a channel, and where it is announced."""
        # The dead letters of a queue are in the slot of the queue, whose scripts add them.
        queue = name
        while queue.endswith(DEAD_SUFFIX) and queue != DEAD_SUFFIX:
            queue = queue.removesuffix(DEAD_SUFFIX)
        return f"{self._prefix}:channel:{{{queue}}}{name[len(queue) :]}"

    def queue(self, name: str) -> tuple[str, str, str, str]:
        """Return the keys of a queue: waiting, deadlines and messages of attempts, dead letters."""
        waiting = self.channel(name)
        return (
            waiting,
            f"{waiting}:deadlines",
            f"{waiting}:attempts",
            self.channel(name + DEAD_SUFFIX),
        )

    def history(self, group: str) -> tuple[str, str]:
        """Return the keys of a group's history: its numbering, and its messages."""
        numbering = f"{self._prefix}:history:{{{group}}}"
        return numbering, f"{numbering}:messages"

    def plain_members(self, group: str) -> str:
        """Return the key of those channels of a group that belong to no process."""
        return f"{self._prefix}:plain:{{{group}}}"
