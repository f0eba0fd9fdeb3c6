from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from channels_core._settings import (
    drain_timeout,
    group_renewal,
    lookup_threads,
    max_message_size,
    sets_sync_threads,
    sync_threads,
)


class TestDrainTimeout:
    def test_default(self) -> None:
        assert drain_timeout() == 10

    @pytest.mark.parametrize(("value", "seconds"), [(None, 0.0), (0, 0.0), (3, 3.0), (0.5, 0.5)])
    def test_seconds(self, settings: Any, value: Any, seconds: float) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = value
        assert drain_timeout() == seconds

    @pytest.mark.parametrize("value", ["10", -1, True])
    def test_another_value_is_an_error(self, settings: Any, value: Any) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = value
        with pytest.raises(
            ImproperlyConfigured,
            match=r"^CHANNELS_DRAIN_TIMEOUT must be a number of seconds, or None not to wait for",
        ):
            drain_timeout()


class TestGroupRenewal:
    def test_default(self) -> None:
        assert group_renewal() == 60

    @pytest.mark.parametrize(("value", "seconds"), [(5, 5.0), (0.5, 0.5), (0, None), (None, None)])
    def test_seconds(self, settings: Any, value: Any, seconds: float | None) -> None:
        settings.CHANNELS_GROUP_RENEWAL = value
        assert group_renewal() == seconds

    @pytest.mark.parametrize("value", [-1, "60", True, [60]])
    def test_another_value_is_an_error(self, settings: Any, value: Any) -> None:
        settings.CHANNELS_GROUP_RENEWAL = value
        with pytest.raises(
            ImproperlyConfigured,
            match=r"^CHANNELS_GROUP_RENEWAL must be a number of seconds, or None for no renewals",
        ):
            group_renewal()


class TestLookupThreads:
    def test_default(self) -> None:
        assert lookup_threads() == 4

    @pytest.mark.parametrize("value", [0, 12])
    def test_a_number(self, settings: Any, value: int) -> None:
        settings.CHANNELS_LOOKUP_THREADS = value
        assert lookup_threads() == value

    @pytest.mark.parametrize("value", [-1, "4", True, None])
    def test_another_value_is_an_error(self, settings: Any, value: Any) -> None:
        settings.CHANNELS_LOOKUP_THREADS = value
        with pytest.raises(
            ImproperlyConfigured,
            match=r"^CHANNELS_LOOKUP_THREADS must be an int of at least 0, not ",
        ):
            lookup_threads()


class TestSyncThreads:
    @pytest.mark.parametrize(("processors", "threads"), [(2, 10), (8, 12), (64, 32), (None, 10)])
    def test_default(
        self, monkeypatch: pytest.MonkeyPatch, processors: int | None, threads: int
    ) -> None:
        monkeypatch.setattr("os.cpu_count", lambda: processors)
        assert sync_threads() == threads

    def test_a_number(self, settings: Any) -> None:
        assert not sets_sync_threads()
        settings.CHANNELS_SYNC_THREADS = 3
        assert sync_threads() == 3
        assert sets_sync_threads()

    @pytest.mark.parametrize("value", [0, -1, "4", 2.0, True])
    def test_another_value_is_an_error(self, settings: Any, value: Any) -> None:
        settings.CHANNELS_SYNC_THREADS = value
        with pytest.raises(ImproperlyConfigured, match="must be an int of at least 1"):
            sync_threads()


class TestMaxMessageSize:
    def test_default(self) -> None:
        assert max_message_size() is None

    @pytest.mark.parametrize("value", [1, 65_536, None])
    def test_a_number_of_bytes(self, settings: Any, value: int | None) -> None:
        settings.CHANNELS_MAX_MESSAGE_SIZE = value
        assert max_message_size() == value

    @pytest.mark.parametrize("value", [0, -1, "1", 1.5, True])
    def test_another_value_is_an_error(self, settings: Any, value: Any) -> None:
        settings.CHANNELS_MAX_MESSAGE_SIZE = value
        with pytest.raises(ImproperlyConfigured, match=r"^CHANNELS_MAX_MESSAGE_SIZE must be a num"):
            max_message_size()
