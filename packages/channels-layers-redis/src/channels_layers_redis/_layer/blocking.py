"""Use Redis from synchronous code: with a blocking client, and without an event loop.

redis-py's pool gives each call a connection of its own, so any number of threads may call at once,
and it makes new connections in a forked process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from channels_core.exceptions import ChannelFull
from channels_layers_redis._layer.addresses import token_of
from channels_layers_redis._layer.codec import Body
from channels_layers_redis._layer.envelopes import Request, group_message, read_answer
from channels_layers_redis._layer.link import full
from channels_layers_redis._scripts import plain_members, waiting

if TYPE_CHECKING:
    from channels_core.layer_extensions import HistoryLimits
    from channels_layers_redis._layer.members import Member
    from channels_layers_redis._layer.shared import LocalLink, Shared
    from channels_layers_redis._scripts.calls import Call

__all__ = ["Blocking"]

_T = TypeVar("_T")


class Blocking:
    """The calls of a layer for synchronous code."""

    def __init__(self, shared: Shared) -> None:
        """Make the clients; each connects when it is used.

        Args:
            shared: What the links of the layer share.
        """
        self._shared = shared
        # Any: redis-py's commands are published without types.
        self._clients: list[Any] = [host.new_client() for host in shared.hosts]

    def _place(self, name: str) -> Any:
        return self._clients[self._shared.place_of(name)]

    def run(self, call: Call[_T], name: str) -> _T:
        """Run a script on the server that has a group, a channel or a process."""
        client = self._place(name)
        keys = call.keys
        try:
            result = client.evalsha(call.script.sha, len(keys), *keys, *call.arguments)
        except NoScriptError:
            result = client.eval(call.script.text, len(keys), *keys, *call.arguments)
        return call.parse(result)

    def _publish(self, name: str, address: str, message: bytes) -> Any:
        """Publish to a group or a process; return how many have heard it."""
        return self._place(name).execute_command(self._shared.keys.publish, address, message)

    def ping(self) -> None:
        """Ask each server for an answer."""
        for client in self._clients:
            client.ping()

    def send(self, channel: str, body: bytes) -> None:
        """Send a message to a channel.

        Raises:
            ChannelFull: It is full, and it is a channel of this process, or of no process.
        """
        shared = self._shared
        name = channel.encode()
        if "!" not in channel:
            self._append(channel, body)
            return
        token = token_of(channel)
        address = shared.addresses.process(token)
        if shared.link_of(channel) is None:
            self._publish(token, address, b"m" + name + b" " + body)
            return
        if not shared.mailboxes.reserve(channel):
            raise ChannelFull(full(channel, shared.limits.get_capacity(channel)))
        try:
            heard = self._publish(token, address, b"r" + name + b" " + body)
        except BaseException:
            shared.mailboxes.release(channel)
            raise
        if not heard:
            # The link has not subscribed yet.
            shared.mailboxes.put_reserved(channel, Body(shared.codec, body))

    def _append(self, channel: str, body: bytes) -> None:
        shared = self._shared
        capacity = shared.limits.get_capacity(channel)
        expiry = shared.expiry_of(channel)
        call = waiting.append(shared.keys, channel, body, capacity=capacity, expiry=expiry)
        if not self.run(call, channel):
            raise ChannelFull(full(channel, capacity))

    def group_send(self, group: str, body: bytes, exclude: frozenset[str]) -> None:
        """Send a message to a group."""
        shared = self._shared
        # Nobody tells this client which groups have members that are channels of no process.
        call = plain_members.send(
            shared.keys,
            group,
            group_message(body, exclude),
            to=shared.addresses.group(group),
        )
        self._append_to_members(group, self.run(call, group), body, exclude)

    def group_send_kept(
        self,
        group: str,
        message: Mapping[str, Any],
        body: bytes,
        exclude: frozenset[str],
        limits: HistoryLimits,
    ) -> None:
        """Send a message to a group with history.

        Args:
            group: The group.
            message: The message.
            body: The message, packed.
            exclude: The channels that get no copy.
            limits: How much is kept.
        """
        histories = self._shared.histories
        assert histories is not None  # it has found the limits
        sent = self.run(histories.send(group, body, exclude, limits), group)
        if sent.plain_members:
            placed = histories.with_position(group, message, sent)
            self._append_to_members(group, sent.plain_members, placed, exclude)

    def _append_to_members(
        self, group: str, names: list[str], body: bytes, exclude: frozenset[str]
    ) -> None:
        """Send a message to those members of a group that are channels of no process."""
        shared = self._shared
        dropped = 0
        for name in names:
            if name not in exclude:
                try:
                    self._append(name, body)
                except ChannelFull:
                    dropped += 1
        if dropped:
            shared.dropped.add(f"Group {group!r} has channels", dropped)

    def change_membership(
        self, action: str, group: str, channel: str, member: Member | None = None
    ) -> None:
        """Add a channel to a group, or discard it.

        Args:
            action: `add` or `discard`.
            group: The group.
            channel: The channel.
            member: The member behind the channel.

        Raises:
            redis.exceptions.TimeoutError: The process of the channel does not answer.
            ValueError: There is a member, but the channel is one of no process.
        """
        shared = self._shared
        if "!" not in channel:
            if member is not None:
                raise ValueError(
                    f"Channel {channel!r} belongs to no process, and synchronous code cannot renew "
                    "its member: await group_add(), or give the channel of a consumer"
                )
            self._change_plain_membership(action, group, channel)
            return
        token = token_of(channel)
        link = shared.link_of(channel)
        if link is not None:
            work = (
                link.group_add(group, channel, member)
                if action == "add"
                else link.group_discard(group, channel)
            )
            self._in_loop_of(link, work)
            return
        number = os.urandom(8).hex()
        answers = shared.addresses.answers(number)
        data = None if member is None else member.data
        request = Request(number, answers, True, action, group, channel, data)
        if not self._publish(token, shared.addresses.process(token), request.pack()):
            return  # That process has ended.
        timeout = shared.hosts[0].timeout
        try:
            found = self._place(number).blpop([answers], timeout=timeout)
        except RedisTimeoutError:  # of the socket, which may come first
            found = None
        if found is None:
            raise RedisTimeoutError(
                f"The process of channel {channel!r} did not answer within {timeout} s"
            )
        _, error = read_answer(found[1][1:])
        if error:
            raise RedisTimeoutError(f"The process of channel {channel!r} failed: {error}")

    def _change_plain_membership(self, action: str, group: str, channel: str) -> None:
        shared = self._shared
        if action == "discard":
            self.run(plain_members.discard(shared.keys, group, channel), group)
            return
        expiry = shared.limits.group_expiry
        self.run(plain_members.add(shared.keys, group, channel, group_expiry=expiry), group)
        self.run(plain_members.record(shared.keys, group, group_expiry=expiry), group)
        self._publish(group, shared.addresses.control, f"+{group} {expiry}".encode())

    def _in_loop_of(self, link: LocalLink, work: Coroutine[Any, Any, None]) -> None:
        """Have a link of this process do something in its event loop."""
        timeout = self._shared.hosts[0].timeout
        try:
            asyncio.run_coroutine_threadsafe(work, link.loop).result(timeout)
        except FutureTimeoutError:
            raise RedisTimeoutError(
                f"The event loop of the channel did not answer within {timeout} s"
            ) from None

    def close(self) -> None:
        """Close the connections; they are made again when they are needed."""
        for client in self._clients:
            client.close()
