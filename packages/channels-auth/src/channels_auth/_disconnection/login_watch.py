"""Close a WebSocket when its login ends.

The way of a watch: `user_changed` joins the groups of the user and of the session, with a channel
of the watch's own, and starts the task that listens there. A message either ends the login at
once, or makes the watch check the login in the database; checks also run at intervals if the
program asks for them, and again after a failure. When the login has ended, the connection is closed
with 4401.

Two things delay this. If the connection's own handler has logged the user out, the handler may
still send; the connection closes after it. And while the session has changes that are not stored
yet, a check would read old data; it runs after the save.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import AbstractContextManager, nullcontext
from inspect import isawaitable
from typing import Any, Final

from channels_auth._closable_websocket import ClosableWebsocket, WebsocketState
from channels_auth._close_codes import UNAUTHORIZED
from channels_auth._disconnection.layer_reachability import LayerReachability
from channels_auth._disconnection.logins import Login, read_login
from channels_auth._disconnection.periodic import Periodic
from channels_auth._disconnection.validity import login_holds
from channels_core.backoff import Backoff
from channels_core.close_codes import is_portable_close_code
from channels_core.exceptions import MessagesMissed
from channels_core.layers import BaseChannelLayer
from channels_core.refusal import refusing_in_outages
from channels_core.typing import Message, Scope

__all__ = ["LoginWatch"]

logger = logging.getLogger("django.channels.auth")

_REASON: Final = "The login has ended."

#: Seconds until a membership expires, if the layer does not say it.
_DEFAULT_GROUP_EXPIRY: Final = 86400

#: Seconds between two renewals of the memberships, at most. A store that was restarted empty has
#: them back after this time.
_LONGEST_RENEWAL: Final = 60.0

#: Seconds to wait after a check that fails, and the longest wait, both at most.
_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 60.0

#: Seconds that the clean-up of a connection waits for the layer, and for cancelled tasks.
_CLEANUP_TIMEOUT: Final = 10.0

#: Seconds that a handler may run on after it has logged its own connection out.
_OWN_LOGOUT_TIMEOUT: Final = 5.0


class LoginWatch:
    """Watch the login of one connection, and close the connection when the login ends.

    Without a user, it has neither a channel nor a task.
    """

    def __init__(
        self,
        layer: BaseChannelLayer,
        websocket: ClosableWebsocket,
        *,
        revalidate_every: float | None,
    ) -> None:
        """Prepare the watch; `user_changed` starts it.

        Args:
            layer: A layer with groups.
            websocket: The connection.
            revalidate_every: Seconds between two checks of the login; None for no checks at
                intervals.
        """
        self._layer = layer
        self._websocket = websocket
        #: The login that is watched; None while the user is anonymous.
        self._login: Login | None = None
        #: The watch's own channel, once there was a login.
        self._channel: str | None = None
        #: The task that receives from the channel.
        self._task: asyncio.Task[None] | None = None
        #: Whether the connection's own handler has ended the login: close after that handler.
        self._closes_after_handler = False
        #: Closes the connection if that handler does not end in time.
        self._close_timer: asyncio.TimerHandle | None = None
        #: Whether a check waits for the session to be saved.
        self._check_is_postponed = False
        #: Whether messages of the layer may be lost, so that the login has to be checked as soon as
        #: the memberships are renewed.
        self._may_have_missed = False
        self._reachability = LayerReachability()
        self._check_failures = Backoff(first=_FIRST_RETRY, longest=_LONGEST_RETRY)
        #: Held while the login and the memberships change.
        self._membership_lock = asyncio.Lock()
        self._checks = Periodic(self._check, revalidate_every)
        self._delayed_close = Periodic(self._close, None)
        expiry = getattr(layer, "group_expiry", None)
        if not isinstance(expiry, int | float) or not expiry:
            expiry = _DEFAULT_GROUP_EXPIRY
        # A quarter, so that several attempts fit in before the memberships expire.
        self._renewals = Periodic(self._renew_regularly, min(expiry / 4, _LONGEST_RENEWAL))

    async def user_changed(self, scope: Scope) -> None:
        """Watch the login that the scope has now; `login` and `logout` call this as well.

        If the user is anonymous now, the connection closes when the present handler has ended.

        Scope:
            `user` is read, and `session` if there is one.
        """
        login = await read_login(scope)
        async with self._membership_lock:
            old, self._login = self._login, login
            if login is None:
                if old is not None:
                    self._close_after_handler()
                    await self._leave(old.groups)
                return
            self._cancel_close()
            before = () if old is None else old.groups
            with self._answering_outages(scope):
                if self._channel is None:
                    self._channel = await self._layer.new_channel()
                for group in login.groups:
                    if group not in before:
                        await self._layer.group_add(group, self._channel)
            await self._leave(group for group in before if group not in login.groups)
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
            self._renewals.start()
        # A logout between the user lookup and `group_add` was announced before this connection
        # was in the group.
        self._checks.run_soon()

    def _answering_outages(self, scope: Scope) -> AbstractContextManager[None]:
        """Return what lets an outage of the layer refuse the handshake, if it is not answered."""
        if self._websocket.state is not WebsocketState.CONNECTING:
            return nullcontext()
        return refusing_in_outages(self._layer, scope)

    def revalidate_at_least_every(self, seconds: float | None) -> None:
        """Check the login at this interval if the present one is longer; None changes nothing."""
        self._checks.shorten_interval(seconds)

    async def send(self, message: Message) -> None:
        """Pass on a message of the application."""
        await self._websocket.send(message)
        self._run_postponed_check()

    def after_handler(self) -> Coroutine[Any, Any, None] | None:
        """Return the work to do after a handler, or None; for `after_each_handler`."""
        self._run_postponed_check()
        return self._close() if self._closes_after_handler else None

    async def stop(self) -> None:
        """End the watch, and remove its channel from the layer; errors are logged."""
        self._cancel_close()
        tasks = [each.stop() for each in (self._checks, self._renewals, self._delayed_close)]
        if self._task is not None:
            self._task.cancel()
            tasks.append(self._task)
        running = [task for task in tasks if task is not None]
        if running:
            # With a time-out: a query in a thread cannot be cancelled, and a layer may hang.
            await asyncio.wait(running, timeout=_CLEANUP_TIMEOUT)
        self._reachability.ended()
        if self._channel is None:
            return
        try:
            async with asyncio.timeout(_CLEANUP_TIMEOUT):
                if self._login is not None:
                    await self._leave(self._login.groups)
                forget = getattr(self._layer, "forget_channel", None)
                # A test's mock of a layer may return anything.
                if forget is not None and isawaitable(result := forget(self._channel)):
                    await result
        except Exception as error:  # noqa: BLE001 - a layer may raise any error
            logger.warning(
                "The channel of a watched WebSocket could not be removed from its layer: %r", error
            )

    # The layer

    async def _listen(self) -> None:
        assert self._channel is not None  # it is created before the task
        while True:
            try:
                message = await self._layer.receive(self._channel)
            except MessagesMissed:
                # One of them may have ended the login.
                self._checks.run_soon()
            except Exception as error:  # noqa: BLE001 - a layer may raise any error
                self._may_have_missed = True
                await asyncio.sleep(self._reachability.failed(error))
                if await self._renew():
                    self._reachability.may_have_recovered()
            else:
                self._reachability.recovered()
                try:
                    await self._handle(message)
                except Exception:
                    logger.exception("A WebSocket could not be closed after its login had ended")
                    self._checks.run_soon()  # the message does not come again

    async def _renew(self) -> bool:
        """Join the groups once more, and return whether that succeeded."""
        if self._is_closed():
            return True
        async with self._membership_lock:
            if self._login is None or self._channel is None:
                return True
            try:
                for group in self._login.groups:
                    await self._layer.group_add(group, self._channel)
            except Exception as error:  # noqa: BLE001 - a layer may raise any error
                logger.debug("A membership could not be renewed; trying again: %r", error)
                self._may_have_missed = True
                return False
        if self._may_have_missed:
            self._may_have_missed = False
            self._checks.run_soon()
        return True

    async def _renew_regularly(self) -> None:
        await self._renew()

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
            code = message.get("code")
            # A server may refuse another code, and the socket would stay open without a login.
            await self._login_ended(login, code if is_portable_close_code(code) else UNAUTHORIZED)
        elif ends is None:
            self._checks.run_soon()

    # Checks

    async def _check(self) -> float | None:
        """Check the login once, and close the connection if the login has ended.

        Returns:
            Seconds until the next attempt if this one has failed; otherwise None.
        """
        login = self._login
        if (
            login is None
            or self._closes_after_handler
            or self._is_closed()
            or self._postpone_check(login)
        ):
            return None
        try:
            holds = await login_holds(login.user, login.session)
            # The user may have changed during the check, or the session.
            if not holds and login is self._login and not self._postpone_check(login):
                await self._login_ended(login, UNAUTHORIZED)
        except Exception as error:
            if self._check_failures.failures:
                logger.debug("A login could still not be checked: %r", error)
            else:
                logger.exception("Could not check whether a login is still valid; trying again")
            return self._check_failures.failed()
        self._check_failures.worked()
        return None

    def _postpone_check(self, login: Login) -> bool:
        """Return whether the session has to be saved before a check, and remember it."""
        self._check_is_postponed = login.has_unsaved_session
        return self._check_is_postponed

    def _run_postponed_check(self) -> None:
        """Run a check that was postponed, if the session is saved now."""
        if self._check_is_postponed and (
            self._login is None or not self._login.has_unsaved_session
        ):
            self._check_is_postponed = False
            self._checks.run_soon()

    # The end

    def _is_closed(self) -> bool:
        """Return whether the connection is closed; stop the checks and renewals then."""
        if self._websocket.state is not WebsocketState.CLOSED:
            return False
        self._checks.stop()
        self._renewals.stop()
        return True

    async def _login_ended(self, login: Login, code: int) -> None:
        if await login.was_ended_by_application():
            self._close_after_handler()
        else:
            await self._close(code)

    def _close_after_handler(self) -> None:
        self._closes_after_handler = True
        if self._close_timer is None:
            # For an application that does not report the end of its handlers, and for a handler
            # that does not end.
            loop = asyncio.get_running_loop()
            self._close_timer = loop.call_later(_OWN_LOGOUT_TIMEOUT, self._delayed_close.run_soon)

    def _cancel_close(self) -> None:
        self._closes_after_handler = False
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    async def _close(self, code: int = UNAUTHORIZED) -> None:
        await self._websocket.close(code, _REASON)
        self._is_closed()
