"""The clauses of the contract on the names of channels and groups."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from channels_testing._contract.contract import Contract, clause, expect

__all__ = ["Names"]

_LONGEST = 99

#: Valid names of channels and of groups.
VALID = ["a", "Z9", "contract.room-1_b", "...", "7", "x" * _LONGEST]

#: Valid names of process-specific channels.
VALID_SPECIFIC = ["contract.x!y", "a!", "contract-1_b.!c.d-e_f", "x" * 49 + "!" + "y" * 49]

#: Invalid names, of channels and of groups.
INVALID: list[Any] = [
    *("", " ", "two words", "room/1", "room:1", "room,1", "room\n", "\x00"),
    *("ü", "комната", "\u0661", "x" * (_LONGEST + 1)),
    *(None, 1, b"room", ["room"]),
]

#: Invalid names of process-specific channels.
INVALID_SPECIFIC = ["!", "!a", "a!b!c", "a!!", "a!b c", "a!ü", "x" * 50 + "!" + "y" * 49]

#: Invalid names of groups that are valid names of channels.
INVALID_GROUP = ["a!b", "a!"]


class Names(Contract):
    """The names that a layer makes, accepts and rejects."""

    @clause
    async def test_new_channels_have_valid_names(self) -> None:
        """The name of a new channel has at most 99 ASCII letters, digits, `-`, `_`, `.` or `!`."""
        layer = await self.layer()
        name = await layer.new_channel()
        expect(type(name), str, "the type of a new channel's name")
        if not re.fullmatch(r"[a-zA-Z0-9._-]+(![a-zA-Z0-9._-]*)?", name):
            raise AssertionError(
                "a new channel's name: expected ASCII letters, digits, hyphens, underscores and "
                f"periods, with one '!' at most, got {name!r}"
            )
        if len(name) > _LONGEST:
            raise AssertionError(
                f"a new channel's name: expected at most {_LONGEST} characters, "
                f"got {len(name)}: {name!r}"
            )

    @clause
    async def test_new_channels_are_marked_as_specific(self) -> None:
        """The name of a new channel has a `!`: only the process that made it reads the channel."""
        layer = await self.layer()
        name = await layer.new_channel()
        if "!" not in name:
            raise AssertionError(f"a new channel's name: expected a '!' in it, got {name!r}")

    @clause
    async def test_new_channels_have_names_of_their_own(self) -> None:
        """No two new channels have the same name."""
        layer = await self.layer()
        names = [await layer.new_channel() for _ in range(100)]
        expect(len(set(names)), 100, "the different names of 100 new channels")

    @clause
    async def test_the_part_after_the_mark_counts(self) -> None:
        """Names that differ only after their `!` are names of different channels."""
        layer = await self.layer()
        name = await layer.new_channel()
        prefix, _, _ = name.partition("!")
        one, other = f"{prefix}!contract.one", f"{prefix}!contract.other"
        await layer.send(one, {"type": "a", "to": "one"})
        await layer.send(other, {"type": "a", "to": "other"})
        await self.expect_next(layer, other, {"type": "a", "to": "other"}, f"what {other} got")
        await self.expect_next(layer, one, {"type": "a", "to": "one"}, f"what {one} got")

    @clause
    async def test_send_takes_valid_channel_names(self) -> None:
        """`send` accepts any name of up to 99 allowed characters."""
        layer = await self.layer()
        for name in VALID + VALID_SPECIFIC:
            await layer.send(name, {"type": "a"})

    @clause
    async def test_send_refuses_invalid_channel_names(self) -> None:
        """`send` raises a TypeError for a name that is not valid."""
        layer = await self.layer()
        await self.expect_refusals(
            lambda name: layer.send(name, {"type": "a"}), INVALID + INVALID_SPECIFIC, "send"
        )

    @clause
    async def test_receive_refuses_invalid_channel_names(self) -> None:
        """`receive` raises a TypeError for a name that is not valid."""
        layer = await self.layer()
        await self.expect_refusals(layer.receive, INVALID + INVALID_SPECIFIC, "receive")

    @clause
    async def test_groups_take_valid_names(self) -> None:
        """A group may have any name of up to 99 allowed characters."""
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        for group in VALID:
            await layer.group_add(group, channel)
            await layer.group_send(group, {"type": "a", "group": group})
            expected = {"type": "a", "group": group}
            await self.expect_next(layer, channel, expected, f"what group {group!r} was sent")
            await layer.group_discard(group, channel)

    @clause
    async def test_groups_take_valid_channel_names(self) -> None:
        """A channel with any valid name may join and leave a group, even if nobody reads it."""
        layer = await self.layer("groups")
        for name in VALID + VALID_SPECIFIC:
            await layer.group_add("contract.room", name)
            await layer.group_discard("contract.room", name)

    @clause
    async def test_group_add_refuses_invalid_names(self) -> None:
        """`group_add` raises a TypeError for a group or a channel whose name is not valid."""
        layer = await self.layer("groups")
        await self.expect_group_refusals(layer, layer.group_add, "group_add")

    @clause
    async def test_group_discard_refuses_invalid_names(self) -> None:
        """`group_discard` raises a TypeError for a group or a channel with an invalid name."""
        layer = await self.layer("groups")
        await self.expect_group_refusals(layer, layer.group_discard, "group_discard")

    @clause
    async def test_group_send_refuses_invalid_names(self) -> None:
        """`group_send` raises a TypeError for a group whose name is not valid."""
        layer = await self.layer("groups")
        await self.expect_refusals(
            lambda group: layer.group_send(group, {"type": "a"}),
            INVALID + INVALID_GROUP,
            "group_send",
        )

    async def expect_group_refusals(
        self, layer: Any, call: Callable[[Any, Any], Awaitable[None]], what: str
    ) -> None:
        """Call a method with an invalid group, then with an invalid channel, for each such name."""
        channel = await layer.new_channel()
        await self.expect_refusals(
            lambda group: call(group, channel), INVALID + INVALID_GROUP, f"{what}, the group"
        )
        await self.expect_refusals(
            lambda name: call("contract.room", name),
            INVALID + INVALID_SPECIFIC,
            f"{what}, the channel",
        )

    async def expect_refusals(
        self, call: Callable[[Any], Awaitable[Any]], names: Iterable[Any], what: str
    ) -> None:
        """Call a method with each name, and fail unless each call raises a TypeError."""
        for name in names:
            try:
                # A call that accepts the name may wait for ever.
                async with asyncio.timeout(self.timeout):
                    await call(name)
            except TypeError:
                continue
            except Exception as error:
                raise AssertionError(
                    f"{what}: expected a TypeError for the name {name!r:.120}, got {error!r}"
                ) from error
            raise AssertionError(
                f"{what}: expected a TypeError for the name {name!r:.120}, got no error"
            )
