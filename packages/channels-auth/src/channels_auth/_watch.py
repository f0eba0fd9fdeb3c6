"""Watch over one WebSocket: is it told over the channel layer that its login ended, it closes."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, Final
from weakref import WeakSet

from channels_auth._addresses import UNAUTHORIZED
from channels_auth._gate import Gate
from channels_auth._logins import Login, read_login
from channels_auth._periodic import Periodic
from channels_auth._validity import login_holds
from channels_core.layers import BaseChannelLayer
from channels_core.typing import Message, Scope

__all__ = ["Watch"]

logger = logging.getLogger("django.channels.auth")

_REASON: Final = "The login has ended."

#: Where a layer does not say after how many seconds a membership ends.
_GROUP_EXPIRY: Final = 86400

#: Seconds to wait after a first error of the layer, and the most.
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 30.0

#: Seconds that the layer may take at the end of a connection.
_CLEANUP_TIMEOUT: Final = 10.0

#: Seconds that a handler may go on after it has logged its own connection out.
_LAST_WORDS: Final = 5.0

# Whose layer fails at present: an outage is one line in the log, and not one for each socket.
_cut_off: "WeakSet[Watch]" = WeakSet()


class Watch:
    """Close a connection when its login ends.

    It has a channel of its own, in the group of the user and in that of the session. One task
    waits for what comes there. Before anybody logs in there is neither.
    """

    def __init__(
        self, layer: BaseChannelLayer, gate: Gate, *, revalidate_every: float | None
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
        # Changes of the user and of the membership come one after the other.
        self._turn = asyncio.Lock()
        self._checks = Periodic(self._check, revalidate_every)
        self._last_call = Periodic(self._close, None)
        expiry = getattr(layer, "group_expiry", None) or _GROUP_EXPIRY
        # Several tries before the membership ends.
        self._renewals = Periodic(self._renew, expiry / 4)

    async def user_changed(self, scope: Scope) -> None:
        """Watch over the login that the scope has now; called by `login` and `logout`, too.

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

    def look_every(self, seconds: float | None) -> None:
        """Look at least that often whether the login still holds; None asks for nothing."""
        self._checks.quicken(seconds)

    def after_handler(self) -> Coroutine[Any, Any, None] | None:
        """Return what is to be awaited after a handler, or None; for `after_each_handler`."""
        return self._close() if self._ending else None

    async def stop(self) -> None:
        """End the watch and leave nothing behind; errors are logged."""
        self._end_no_more()
        for periodic in (self._checks, self._renewals, self._last_call):
            await periodic.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        _cut_off.discard(self)
        if self._channel is None:
            return
        try:
            async with asyncio.timeout(_CLEANUP_TIMEOUT):
                if self._login is not None:
                    await self._leave(self._login.groups)
                forget = getattr(self._layer, "forget_channel", None)
                if forget is not None:
                    await forget(self._channel)
        except Exception as error:  # noqa: BLE001 - whatever a layer raises
            logger.warning(
                "The channel of a watched WebSocket was left behind on its layer: %r", error
            )

    # The layer

    async def _listen(self) -> None:
        failures = 0
        assert self._channel is not None  # it is there before the task
        while True:
            try:
                message = await self._layer.receive(self._channel)
            except Exception as error:  # noqa: BLE001 - whatever a layer raises
                failures += 1
                await self._recover(error, failures)
            else:
                failures = 0
                self._note_recovery()
                try:
                    await self._handle(message)
                except Exception:
                    logger.exception("A WebSocket could not be closed after its login had ended")

    async def _recover(self, error: Exception, failures: int) -> None:
        if not _cut_off:
            logger.error(
                "The channel layer fails, so that watched WebSockets are not told when their "
                "login ends; tried again until it works: %r",
                error,
            )
        _cut_off.add(self)
        await asyncio.sleep(min(_FIRST_DELAY * 2 ** min(failures - 1, 10), _LONGEST_DELAY))
        if await self._renew():
            # What was sent in the meantime is lost.
            self._checks.run_soon()

    def _note_recovery(self) -> None:
        if self in _cut_off:
            _cut_off.discard(self)
            if not _cut_off:
                logger.info("The channel layer works again")

    async def _renew(self) -> bool:
        """Join the groups once more, and return whether that was possible."""
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
        if login is None or self._ending or login.is_ahead:
            return
        try:
            holds = await login_holds(login.user, login.session)
        except Exception:
            logger.exception("Whether a login still holds could not be found out; asked again")
            return
        if not (holds or login.is_ahead) and login is self._login:
            await self._end(login, UNAUTHORIZED)

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
