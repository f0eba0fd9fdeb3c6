"""Close a WebSocket when the channel layer reports that its login has ended."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from inspect import isawaitable
from typing import Any, Final

from channels_auth._closable_websocket import ClosableWebsocket, WebsocketState
from channels_auth._disconnection.layer_reachability import LayerReachability
from channels_auth._disconnection.logins import Login, read_login
from channels_auth._disconnection.messages import UNAUTHORIZED
from channels_auth._disconnection.periodic import Periodic
from channels_auth._disconnection.validity import login_holds
from channels_core.layers import BaseChannelLayer
from channels_core.typing import Message, Scope

__all__ = ["LoginWatch"]

logger = logging.getLogger("django.channels.auth")

_REASON: Final = "The login has ended."

#: Where a layer does not say after how many seconds a membership ends.
_GROUP_EXPIRY: Final = 86400

#: Seconds between renewals of the memberships, at most.
_RENEWAL: Final = 60.0

#: Seconds that the layer may take at the end of a connection, and so may what is cancelled then.
_CLEANUP_TIMEOUT: Final = 10.0

#: Seconds that a handler may go on after it has logged its own connection out.
_LAST_WORDS: Final = 5.0


class LoginWatch:
    """Close a connection when its login ends.

    It has a channel of its own, in the group of the user and in that of the session. One task
    waits for what comes there. Before anybody logs in there is neither.
    """

    def __init__(
        self, layer: BaseChannelLayer, gate: ClosableWebsocket, *, revalidate_every: float | None
    ) -> None:
        """Take what to watch; `user_changed` begins to.

        Args:
            layer: A layer with groups.
            gate: The connection's way out.
            revalidate_every: Seconds between looks at whether the login still holds; None for
                none but those that something gives cause for.
        """
        self._layer = layer
        self._gate = gate
        self._login: Login | None = None
        self._channel: str | None = None
        self._task: asyncio.Task[None] | None = None
        # Whether the connection's own handler has ended the login, and may end itself first.
        self._ending = False
        self._end_timer: asyncio.TimerHandle | None = None
        # Whether a look waits for the session to be saved.
        self._postponed = False
        self._connectedness = LayerReachability()
        # Changes of the user and of the membership come one after the other.
        self._turn = asyncio.Lock()
        self._checks = Periodic(self._check, revalidate_every)
        self._last_call = Periodic(self._close, None)
        expiry = getattr(layer, "group_expiry", None)
        if not isinstance(expiry, int | float) or not expiry:
            expiry = _GROUP_EXPIRY
        # Several tries before the membership ends, and soon after a store that was started empty.
        self._renewals = Periodic(self._renew, min(expiry / 4, _RENEWAL))

    async def user_changed(self, scope: Scope) -> None:
        """LoginWatch over the login that the scope has now; called by `login` and `logout`, too.

        If there is none any more, the connection closes when the present handler has ended.

        Scope:
            `user`, and `session` if there is one.
        """
        login = await read_login(scope)
        async with self._turn:
            old, self._login = self._login, login
            if login is None:
                if old is not None:
                    self._end_after_handler()
                    await self._leave(old.groups)
                return
            self._end_no_more()
            if self._channel is None:
                self._channel = await self._layer.new_channel()
            before = () if old is None else old.groups
            for group in login.groups:
                if group not in before:
                    await self._layer.group_add(group, self._channel)
            await self._leave(group for group in before if group not in login.groups)
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
            self._renewals.start()
        # What happened between the lookup of the user and the joining has told nobody here.
        self._checks.run_soon()

    def revalidate_at_least_every(self, seconds: float | None) -> None:
        """Look at least that often whether the login still holds; None asks for nothing."""
        self._checks.shorten_interval(seconds)

    async def send(self, message: Message) -> None:
        """Pass on what the application sends, through the gate."""
        await self._gate.send(message)
        self._run_postponed_check()

    def after_handler(self) -> Coroutine[Any, Any, None] | None:
        """Return what is to be awaited after a handler, or None; for `after_each_handler`."""
        self._run_postponed_check()
        return self._close() if self._ending else None

    async def stop(self) -> None:
        """End the watch and leave nothing behind; errors are logged."""
        self._end_no_more()
        tasks = [each.stop() for each in (self._checks, self._renewals, self._last_call)]
        if self._task is not None:
            self._task.cancel()
            tasks.append(self._task)
        running = [task for task in tasks if task is not None]
        if running:
            # A query in a thread cannot be cancelled, and a layer may take its time.
            await asyncio.wait(running, timeout=_CLEANUP_TIMEOUT)
        self._connectedness.ends()
        if self._channel is None:
            return
        try:
            async with asyncio.timeout(_CLEANUP_TIMEOUT):
                if self._login is not None:
                    await self._leave(self._login.groups)
                forget = getattr(self._layer, "forget_channel", None)
                # A test's mock of a layer may give anything.
                if forget is not None and isawaitable(result := forget(self._channel)):
                    await result
        except Exception as error:  # noqa: BLE001 - whatever a layer raises
            logger.warning(
                "The channel of a watched WebSocket was left behind on its layer: %r", error
            )

    # The layer

    async def _listen(self) -> None:
        assert self._channel is not None  # it is there before the task
        while True:
            try:
                message = await self._layer.receive(self._channel)
            except Exception as error:  # noqa: BLE001 - whatever a layer raises
                await asyncio.sleep(self._connectedness.fails(error))
                if await self._renew():
                    self._connectedness.seems_to_work()
                    # What was sent in the meantime is lost.
                    self._checks.run_soon()
            else:
                self._connectedness.works()
                try:
                    await self._handle(message)
                except Exception:
                    logger.exception("A WebSocket could not be closed after its login had ended")

    async def _renew(self) -> bool:
        """Join the groups once more, and return whether that was possible."""
        if self._is_closed():
            return True
        async with self._turn:
            if self._login is None or self._channel is None:
                return True
            try:
                for group in self._login.groups:
                    await self._layer.group_add(group, self._channel)
            except Exception as error:  # noqa: BLE001 - whatever a layer raises
                logger.debug("A membership could not be renewed; tried again: %r", error)
                return False
            return True

    async def _leave(self, groups: Iterable[str]) -> None:
        assert self._channel is not None  # it has joined the groups
        for group in groups:
            await self._layer.group_discard(group, self._channel)

    async def _handle(self, message: Message) -> None:
        login = self._login
        if login is None:
            return
        ends = login.is_ended_by(message)
        if ends:
            await self._end(login, message.get("code", UNAUTHORIZED))
        elif ends is None:
            self._checks.run_soon()

    # The end

    async def _check(self) -> None:
        login = self._login
        if login is None or self._ending or self._is_closed() or self._postpone_check(login):
            return
        try:
            holds = await login_holds(login.user, login.session)
        except Exception:
            logger.exception("Whether a login still holds could not be found out; asked again")
            return
        if not holds and login is self._login and not self._postpone_check(login):
            await self._end(login, UNAUTHORIZED)

    def _postpone_check(self, login: Login) -> bool:
        """Put a look off, and return True, if the session has yet to be saved."""
        self._postponed = login.is_ahead
        return self._postponed

    def _run_postponed_check(self) -> None:
        """Look at the login if that was postponed, and its session is saved now."""
        if self._postponed and (self._login is None or not self._login.is_ahead):
            self._postponed = False
            self._checks.run_soon()

    def _is_closed(self) -> bool:
        """Tell whether the connection is closed, which leaves nothing to look at or to renew."""
        if self._gate.state is not WebsocketState.CLOSED:
            return False
        self._checks.stop()
        self._renewals.stop()
        return True

    async def _end(self, login: Login, code: int) -> None:
        if await login.is_over_here():
            self._end_after_handler()
        else:
            await self._close(code)

    def _end_after_handler(self) -> None:
        self._ending = True
        if self._end_timer is None:
            # For an application that does not tell when its handlers end, and for one of ours
            # that does not end.
            loop = asyncio.get_running_loop()
            self._end_timer = loop.call_later(_LAST_WORDS, self._last_call.run_soon)

    def _end_no_more(self) -> None:
        self._ending = False
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None

    async def _close(self, code: int = UNAUTHORIZED) -> None:
        await self._gate.close(code, _REASON)
        self._is_closed()
