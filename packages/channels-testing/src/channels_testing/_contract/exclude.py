"""The clauses of the contract on the extension `exclude`."""

from collections.abc import Collection

from channels_testing._contract.contract import Contract, Layer, clause, expect

__all__ = ["Exclude"]

ROOM = "contract.room"
HISTORY = {"contract.*": {"size": 5, "age": 600}}


class Exclude(Contract):
    """The argument `exclude` of `group_send`: the channels that get no copy."""

    @clause
    async def test_an_excluded_member_gets_nothing(self) -> None:
        """A channel in `exclude` gets no copy; the other members do."""
        layer = await self.layer("groups", "exclude")
        left_out, stays = await self.two_members(layer)
        await layer.group_send(ROOM, {"type": "g"}, exclude=[left_out])
        await self.expect_next(layer, stays, {"type": "g"}, "what the other member got")
        await self.expect_nothing(layer, left_out, "in the channel that was excluded")

    @clause
    async def test_a_member_is_excluded_once(self) -> None:
        """A channel that was excluded gets the next message to the group."""
        layer = await self.layer("groups", "exclude")
        left_out, _ = await self.two_members(layer)
        await layer.group_send(ROOM, {"type": "first"}, exclude=[left_out])
        await layer.group_send(ROOM, {"type": "second"})
        await self.expect_next(layer, left_out, {"type": "second"}, "after it was excluded once")

    @clause
    async def test_exclude_is_any_collection(self) -> None:
        """`exclude` is any collection of names, which need not be those of members."""
        layer = await self.layer("groups", "exclude")
        left_out, stays = await self.two_members(layer)
        stranger = await layer.new_channel()
        for exclude in ((left_out, stranger), {left_out}, frozenset({left_out})):
            await layer.group_send(ROOM, {"type": "g"}, exclude=exclude)
            await self.expect_next(layer, stays, {"type": "g"}, f"with exclude={exclude!r}")
        none_of_them: list[Collection[str]] = [(), [], {stranger}]
        for nobody in none_of_them:
            await layer.group_send(ROOM, {"type": "g"}, exclude=nobody)
            await self.expect_next(layer, left_out, {"type": "g"}, f"with exclude={nobody!r}")

    @clause
    async def test_exclude_is_no_single_name(self) -> None:
        """`group_send` raises a TypeError if `exclude` is a str, and sends nothing."""
        layer = await self.layer("groups", "exclude")
        name, other = await self.two_members(layer)
        call = layer.group_send(ROOM, {"type": "g"}, exclude=name)
        await self.expect_error(call, TypeError, "group_send(..., exclude=name)")
        await self.expect_nothing(layer, other, "after a group_send() that was refused")

    @clause
    async def test_an_excluded_member_learns_the_position(self) -> None:
        """In a group with history, an excluded member gets a `group.position` instead."""
        layer = await self.layer("groups", "exclude", "history", history=HISTORY)
        left_out, stays = await self.two_members(layer)
        await layer.group_send(ROOM, {"type": "g"}, exclude=[left_out])
        position = (await self.received(layer, stays))["position"]
        expected = {"type": "group.position", "position": position}
        await self.expect_next(layer, left_out, expected, "what the excluded member got")
        answer = await layer.group_history(ROOM)
        expect(answer.messages, [{"type": "g", "position": position}], "the history of the group")

    async def two_members(self, layer: Layer) -> tuple[str, str]:
        """Return two channels of a group."""
        one, other = await layer.new_channel(), await layer.new_channel()
        for channel in (one, other):
            await layer.group_add(ROOM, channel)
        return one, other
