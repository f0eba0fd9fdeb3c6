"""The clauses of the contract on the content of messages."""

import copy

from channels_testing._contract.contract import Contract, Layer, clause, expect

__all__ = ["Values"]

#: Every type that a message may hold, with the limits of its range.
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
    """The types that a message may hold, and who may change a message."""

    @clause
    async def test_values_arrive_as_they_were_sent(self) -> None:
        """Str, bytes, int, float, bool, None, and nested lists and dicts arrive unchanged."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await layer.send(channel, VALUES)
        await self.expect_next(layer, channel, VALUES, "the message that was sent")

    @clause
    async def test_tuples_arrive_as_lists(self) -> None:
        """A tuple arrives as a list."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "a", "pair": (1, ("x", ()))})
        await self.expect_next(
            layer, channel, {"type": "a", "pair": [1, ["x", []]]}, "the tuples of a message"
        )

    @clause
    async def test_a_long_message_arrives(self) -> None:
        """A message of 100 kilobytes arrives."""
        layer = await self.layer()
        channel = await layer.new_channel()
        message = {"type": "a", "bytes": b"\x00\xff" * 25_000, "text": "ü" * 25_000}
        await layer.send(channel, message)
        await self.expect_next(layer, channel, message, "the message that was sent")

    @clause
    async def test_a_message_is_a_dict(self) -> None:
        """`send` raises a TypeError or an AssertionError for a message that is not a dict."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await self.expect_refusal(layer, channel, [("type", "a")], TypeError, AssertionError)

    @clause
    async def test_what_cannot_cross_is_refused(self) -> None:
        """`send` raises a TypeError for a value that cannot be serialised."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await self.expect_refusal(layer, channel, {"type": "a", "deep": [object()]}, TypeError)

    @clause
    async def test_a_key_is_a_string(self) -> None:
        """`send` raises a TypeError for a key that is not a str."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await self.expect_refusal(layer, channel, {"type": "a", "deep": {1: "x"}}, TypeError)

    async def expect_refusal(
        self, layer: Layer, channel: str, message: object, *errors: type[Exception]
    ) -> None:
        """Send a message, and fail unless that raises one of the errors."""
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

    # Who may change a message

    @clause
    async def test_sending_leaves_a_message_as_it_was(self) -> None:
        """The layer does not change the dict that it is given."""
        layer = await self.layer()
        channel = await layer.new_channel()
        message = {"type": "a", "deep": {"list": [1]}}
        before = copy.deepcopy(message)
        await layer.send(channel, message)
        expect(message, before, "the sender's message, after it was sent")
        await self.expect_next(layer, channel, before, "the message that was sent")

    @clause
    async def test_the_sender_keeps_its_message(self) -> None:
        """If the sender changes a message after sending it, receivers do not see the change."""
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
        """If a receiver changes a message, the sender does not see the change."""
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
