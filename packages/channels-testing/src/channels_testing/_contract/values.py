"""What a channel layer carries: the clauses of the contract on what is in a message."""

import copy

from channels_testing._contract.contract import Contract, Layer, clause, expect

__all__ = ["Values"]

#: Every type that a message may have in it, at the ends of its range.
VALUES = {
    "type": "contract.values",
    "text": "plain, ünïcödé, \U0001f600, \x00",
    "nothing": "",
    "bytes": bytes(range(256)),
    "no bytes": b"",
    "whole": [0, 1, -1, 2**31, -(2**31), 2**63 - 1, -(2**63)],
    "float": [0.5, 1.0, -1e308, 5e-324],
    "true": True,
    "false": False,
    "none": None,
    "nested": {"list": [[], {}, [{"deep": [b"er", None, {"": 1}]}]], "ключ": "value"},
}


class Values(Contract):
    """What a message may hold, and whose it is."""

    @clause
    async def test_values_arrive_as_they_were_sent(self) -> None:
        """Strings, bytes, whole numbers, floats, booleans, None, and nested lists and dicts."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await layer.send(channel, VALUES)
        await self.expect_next(layer, channel, VALUES, "the message that was sent")

    @clause
    async def test_tuples_arrive_as_lists(self) -> None:
        """A tuple counts as a list."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "a", "pair": (1, ("x", ()))})
        await self.expect_next(
            layer, channel, {"type": "a", "pair": [1, ["x", []]]}, "the tuples of a message"
        )

    @clause
    async def test_a_long_message_arrives(self) -> None:
        """A message may be of 100 kilobytes."""
        layer = await self.layer()
        channel = await layer.new_channel()
        message = {"type": "a", "bytes": b"\x00\xff" * 25_000, "text": "ü" * 25_000}
        await layer.send(channel, message)
        await self.expect_next(layer, channel, message, "the message that was sent")

    @clause
    async def test_a_message_is_a_dict(self) -> None:
        """What is no dict is refused where it is sent, with a TypeError or an AssertionError."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await self.expect_refusal(layer, channel, [("type", "a")], TypeError, AssertionError)

    @clause
    async def test_what_cannot_cross_is_refused(self) -> None:
        """A value that no network carries is refused where it is sent, with a TypeError."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await self.expect_refusal(layer, channel, {"type": "a", "deep": [object()]}, TypeError)

    @clause
    async def test_a_key_is_a_string(self) -> None:
        """A key that is no string is refused where it is sent, with a TypeError."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await self.expect_refusal(layer, channel, {"type": "a", "deep": {1: "x"}}, TypeError)

    async def expect_refusal(
        self, layer: Layer, channel: str, message: object, *errors: type[Exception]
    ) -> None:
        """Send what may not be sent, and fail unless it raises one of the errors."""
        names = " or ".join(error.__name__ for error in errors)
        try:
            await layer.send(channel, message)
        except errors:
            return
        except Exception as error:
            raise AssertionError(
                f"send(..., {message!r}): expected {names}, got {error!r}"
            ) from error
        raise AssertionError(f"send(..., {message!r}): expected {names}, got no error")

    # Whose a message is

    @clause
    async def test_sending_leaves_a_message_as_it_was(self) -> None:
        """What the layer adds to a message for its own use, it adds to a copy."""
        layer = await self.layer()
        channel = await layer.new_channel()
        message = {"type": "a", "deep": {"list": [1]}}
        before = copy.deepcopy(message)
        await layer.send(channel, message)
        expect(message, before, "the sender's message, after it was sent")
        await self.expect_next(layer, channel, before, "the message that was sent")

    @clause
    async def test_the_sender_keeps_its_message(self) -> None:
        """What the sender does to a message after sending it reaches nobody."""
        layer = await self.layer()
        channel = await layer.new_channel()
        message = {"type": "a", "deep": {"list": [1]}}
        sent = copy.deepcopy(message)
        await layer.send(channel, message)
        message["type"] = "changed"
        message["deep"]["list"].append(2)  # type: ignore[index] # it is a dict
        await self.expect_next(layer, channel, sent, "a message that its sender changed later")

    @clause
    async def test_a_receiver_owns_its_message(self) -> None:
        """What a receiver does to a message does not reach the sender's."""
        layer = await self.layer()
        channel = await layer.new_channel()
        message = {"type": "a", "deep": {"list": [1]}}
        before = copy.deepcopy(message)
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await layer.send(channel, message)
        got = await self.result(waiting, channel)
        got["type"] = "changed"
        got["deep"]["list"].append(2)
        expect(message, before, "the sender's message, after its receiver changed it")
