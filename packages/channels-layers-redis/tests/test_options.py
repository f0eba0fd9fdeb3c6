"""The options of the layer, as `CONFIG` in the settings gives them."""

import asyncio
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from math import inf, nan
from typing import Any

import pytest
import redis.asyncio

from channels_layers_redis._layer.hosts import Host
from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess, free_port, running_redis

Make = Callable[..., RedisChannelLayer]


async def goes_round(layer: RedisChannelLayer) -> None:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "g", "text": "ü"})
    async with asyncio.timeout(10):
        assert await layer.receive(channel) == {"type": "g", "text": "ü"}
        await asyncio.to_thread(layer.send_sync, "jobs", {"type": "a"})
        assert await layer.receive("jobs") == {"type": "a"}


class TestHosts:
    @pytest.mark.parametrize(
        "form",
        [
            lambda port: f"redis://127.0.0.1:{port}/3",
            lambda port: ("127.0.0.1", port),
            lambda port: {"address": f"redis://127.0.0.1:{port}", "db": 2},
            lambda port: {"address": ("127.0.0.1", port), "client_name": "site"},
            lambda port: {"host": "127.0.0.1", "port": port, "socket_timeout": None},
            lambda port: f"redis://127.0.0.1:{port}?socket_timeout=2",
        ],
    )
    async def test_a_host_has_many_forms(self, form: Callable[[int], Any]) -> None:
        with running_redis(port=free_port()) as server:
            port = int(server.url.rpartition(":")[2].removesuffix("/0"))
            layer = RedisChannelLayer(hosts=[form(port)])
            await goes_round(layer)
            await layer.close()

    async def test_several_hosts_share_the_work(self) -> None:
        with ExitStack() as ends:
            servers = [ends.enter_context(running_redis()) for _ in range(3)]
            layers = [RedisChannelLayer(hosts=[one.url for one in servers]) for _ in range(2)]
            here, there = layers
            channel = await there.new_channel()
            groups = [f"room.{number}" for number in range(20)]
            for group in groups:
                await there.group_add(group, channel)
            for group in groups:
                await here.group_send(group, {"type": "g", "group": group})
            async with asyncio.timeout(10):
                got = {(await there.receive(channel))["group"] for _ in groups}
            assert got == set(groups)
            assert all(one.ask("PUBSUB", "CHANNELS", "*group*") for one in servers)
            await here.group_add("room.x", channel)
            await asyncio.to_thread(here.group_discard_sync, "room.x", channel)
            for number in range(6):
                await here.send(f"jobs.{number}", {"type": "a"})
                await there.receive(f"jobs.{number}")
            await here.flush()
            for one in servers:
                # Whoever may have missed something is told, and nobody else.
                one.stop()
            for one in servers:
                one.start()
            for layer in layers:
                await layer.close()

    async def test_the_master_is_asked_from_sentinel(self) -> None:
        with ExitStack() as ends:
            port, watching = free_port(), free_port()
            monitored = f"site 127.0.0.1 {port} 1\n"
            ends.enter_context(running_redis(port=port))
            sentinel = ends.enter_context(
                running_redis("--sentinel", port=watching, config=f"sentinel monitor {monitored}")
            )
            assert sentinel.ask("PING")
            layer = RedisChannelLayer(
                hosts=[{"sentinels": [("127.0.0.1", watching)], "master_name": "site"}]
            )
            await goes_round(layer)
            await layer.close()

    @pytest.mark.parametrize(
        ("hosts", "error", "text"),
        [
            ("redis://localhost", TypeError, "hosts must be a list of hosts"),
            ({"address": "redis://localhost"}, TypeError, "hosts must be a list"),
            (6379, TypeError, "hosts must be a list"),
            ([], ValueError, "at least one host"),
            (("a", 6379), TypeError, "if there is only one: write [('a', 6379)], not ('a', 6379)"),
            (["a", 6379], TypeError, "write [('a', 6379)], not ['a', 6379]"),
            ([("a", 1), 6379], TypeError, "hosts[1] cannot be used: a host must be a URL, a pair"),
            ([("a", 1, 2)], TypeError, "'sentinels'; it is ('a', 1, 2)"),
            ([{"address": 1}], TypeError, "a host must be a URL"),
            (["a:6379"], ValueError, "hosts[0] cannot be used: a URL begins with redis://, "),
            (["a:6379"], ValueError, "write for example 'redis://127.0.0.1:6379'; it is 'a:6379'"),
            ([{"address": "a:6379"}], ValueError, "a URL begins with redis://"),
            (["http://a"], ValueError, "specify one of the following schemes"),
            (["redis://a:b"], ValueError, "it is 'redis://a:b'"),
            ([("a", "b")], ValueError, "it is ('a', 'b')"),
            ([(5, 6379)], TypeError, "the name of a host must be a str, not 5"),
            ([{"host": "a", "bogus": 1}], TypeError, "keyword argument 'bogus'; it is {'host': "),
            ([{"address": "redis://a", "bogus": 1}], TypeError, "keyword argument 'bogus'; it is"),
            (["redis://a?bogus=1"], TypeError, "keyword argument 'bogus'; it is"),
            ([{"host": "a", "socket_timeout": "b"}], ValueError, "hosts[0] cannot be used: could"),
            ([{"host": "a", "socket_timeout": -1}], ValueError, "positive number of seconds, not"),
            (
                [{"host": "a", "password": "b", "credential_provider": object()}],
                ValueError,
                "it is {'host': 'a', 'password': ..., 'credential_provider': <",
            ),
            ([{"sentinels": [("a", 1)]}], TypeError, "needs a 'master_name', got None"),
            ([{"master_name": "x"}], TypeError, "a host with 'master_name' needs 'sentinels'"),
            ([{"sentinels": [], "master_name": "x"}], ValueError, "at least one address"),
            ([{"sentinels": ["a:1"], "master_name": "x"}], ValueError, "{'sentinels': ['a:1'], "),
            (
                [{"sentinels": [("a", 1)], "master_name": "x", "bogus": 1}],
                TypeError,
                "keyword argument 'bogus'; it is {'sentinels': ",
            ),
            (
                [{"sentinels": [("a", 1)], "master_name": "x", "sentinel_kwargs": {"bogus": 1}}],
                TypeError,
                "keyword argument 'bogus'; it is {'sentinels': ",
            ),
        ],
    )
    def test_a_wrong_host_is_told(self, hosts: Any, error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=re.escape(text)):
            RedisChannelLayer(hosts=hosts)

    @pytest.mark.parametrize(
        ("host", "shown"),
        [
            ("redis:/user:secret@a", "'redis:/...@a'"),
            ("user:secret@a", "'user:...@a'"),
            ("redis://a?password=secret&bogus=1", "'redis://a?password=...&bogus=1'"),
            (
                {"address": "redis://:secret@a", "password": "secret", "bogus": 1},
                "{'address': 'redis://...@a', 'password': ..., 'bogus': 1}",
            ),
            (
                {"sentinels": [], "master_name": "x", "sentinel_kwargs": {"password": "secret"}},
                "{'sentinels': [], 'master_name': 'x', 'sentinel_kwargs': {'password': ...}}",
            ),
        ],
    )
    def test_an_error_shows_no_password(self, host: object, shown: str) -> None:
        with pytest.raises((TypeError, ValueError)) as told:
            RedisChannelLayer(hosts=[host])
        assert str(told.value).endswith(f"; it is {shown}")

    def test_nor_does_that_of_a_host_without_a_list(self) -> None:
        with pytest.raises(TypeError, match=re.escape("not 'redis://...@a'")):
            RedisChannelLayer(hosts="redis://:secret@a")

    def test_the_default_is_the_usual_port_here(self) -> None:
        assert RedisChannelLayer()._hosts[0].name == "localhost:6379"

    def test_the_log_names_a_host_without_its_password(self) -> None:
        names = [
            RedisChannelLayer(hosts=[one])._hosts[0].name
            for one in (
                "redis://:secret@localhost:1/0",
                "unix:///run/redis.sock",
                {"sentinels": [("a", 1)], "master_name": "site"},
            )
        ]
        assert names == ["localhost:1", "/run/redis.sock", "the master 'site' of Sentinel"]

    async def test_a_connection_does_not_hear_of_maintenance(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As it does with redis-py 8, whose pools add such options."""

        class Pool(redis.asyncio.ConnectionPool):
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                self.connection_kwargs["maint_notifications_config"] = object()

            def make_connection(self) -> Any:
                return self.connection_kwargs

        monkeypatch.setattr("redis.asyncio.ConnectionPool", Pool)
        options: Any = Host(("localhost", 6379)).new_connection()
        assert options["protocol"] == 2
        assert "maint_notifications_config" not in options

    async def test_a_connection_through_sentinel_may_end_before_it_is_made(self) -> None:
        sentinel = {"sentinels": [("a", 1)], "master_name": "site"}
        await Host(sentinel).new_connection().disconnect()


class TestOtherOptions:
    def test_an_unknown_option_is_named(self) -> None:
        with pytest.raises(TypeError, match="RedisChannelLayer has no option 'colour'; expected"):
            RedisChannelLayer(colour="red")

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"serializer_format": "xml"}, "serializer_format must be one of 'msgpack', 'json'"),
            ({"overflow": "explode"}, "overflow must be one of 'drop newest', 'drop oldest'"),
            ({"prefix": "a b"}, "prefix must have no space"),
            ({"capacity": 0}, "capacity must be a positive whole number, not 0"),
            ({"expiry": 0}, "expiry must be a positive number of seconds, not 0"),
            ({"expiry": inf}, "expiry must be a positive number of seconds, not inf"),
            ({"expiry": nan}, "expiry must be a positive number of seconds, not nan"),
            ({"group_expiry": -1}, "group_expiry must be a positive number of seconds, not -1"),
            ({"member_lease": 0.5}, "member_lease must be 1 or more seconds, not 0.5"),
            ({"member_linger": -1}, "member_linger must be 0 or more seconds, not -1"),
            (
                {"channel_capacity": {"jobs.*": 0}},
                "channel_capacity['jobs.*'] must be a positive whole number, not 0",
            ),
            ({"symmetric_encryption_keys": []}, "symmetric_encryption_keys must have at least one"),
            (
                {"symmetric_encryption_keys": ["secret", ""]},
                "symmetric_encryption_keys[1] must be a secret, but it is empty",
            ),
        ],
    )
    def test_a_wrong_value_is_told(self, options: dict[str, Any], text: str) -> None:
        with pytest.raises(ValueError, match=re.escape(text)):
            RedisChannelLayer(**options)

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"prefix": 5}, "prefix must be a str, not 5"),
            ({"cluster": 1}, "cluster must be True or False, not 1"),
            ({"capacity": None}, "capacity must be a positive whole number, not None"),
            ({"capacity": "x"}, "capacity must be a positive whole number, not 'x'"),
            ({"capacity": True}, "capacity must be a positive whole number, not True"),
            ({"expiry": None}, "expiry must be a positive number of seconds, not None"),
            ({"expiry": "60"}, "expiry must be a positive number of seconds, not '60'"),
            ({"expiry": True}, "expiry must be a positive number of seconds, not True"),
            ({"group_expiry": "x"}, "group_expiry must be a positive number of seconds, not 'x'"),
            ({"member_lease": "1"}, "member_lease must be 1 or more seconds, not '1'"),
            ({"channel_capacity": 5}, "channel_capacity must be a dict of capacities by pattern"),
            ({"channel_capacity": "ab"}, "channel_capacity must be a dict of capacities by"),
            (
                {"channel_capacity": {5: 5}},
                "channel_capacity must have globs or compiled patterns of text as keys, not 5",
            ),
            (
                {"channel_capacity": {re.compile(b"a"): 5}},
                "channel_capacity must have globs or compiled patterns of text as keys, not re.",
            ),
            (
                {"channel_capacity": [("a", 1, 2)]},
                "channel_capacity must have pairs of a pattern and a capacity, not ('a', 1, 2)",
            ),
            (
                {"channel_capacity": {re.compile("a+"): "x"}},
                "channel_capacity['a+'] must be a positive whole number, not 'x'",
            ),
            ({"symmetric_encryption_keys": "secret"}, "must be a list of keys, not a single one"),
            ({"symmetric_encryption_keys": 5}, "must be a list of keys, not int"),
            (
                {"symmetric_encryption_keys": ["secret", 5]},
                "symmetric_encryption_keys[1] must be a secret of type str or bytes, not int",
            ),
        ],
    )
    def test_a_wrong_type_is_told(self, options: dict[str, Any], text: str) -> None:
        with pytest.raises(TypeError, match=re.escape(text)):
            RedisChannelLayer(**options)

    @pytest.mark.parametrize(
        "form", [dict, lambda pairs: pairs, lambda pairs: (list(pair) for pair in pairs)]
    )
    def test_options_of_channels_redis_are_taken(self, form: Callable[[Any], Any]) -> None:
        layer = RedisChannelLayer(
            expiry=2.5,  # type: ignore[arg-type] # programs have fractions
            group_expiry=0.5,  # type: ignore[arg-type]  # programs have fractions
            channel_capacity=form([("jobs.*", 5), (re.compile("mail"), 6)]),
        )
        assert [layer.get_capacity(name) for name in ("jobs.a", "mail", "x")] == [5, 6, 100]

    async def test_layers_with_other_prefixes_do_not_meet(self, make: Make) -> None:
        here, there = make(prefix="here"), make(prefix="there")
        channel = await there.new_channel()
        await there.group_add("room", channel)
        await here.group_send("room", {"type": "g"})
        await there.send(channel, {"type": "mark"})
        assert await there.receive(channel) == {"type": "mark"}

    async def test_messages_may_be_json(self, make: Make, server: RedisProcess) -> None:
        layer = make(serializer_format="json", random_prefix_length=8)
        await goes_round(layer)
        with pytest.raises(TypeError, match="cannot be packed"):
            await layer.send("jobs", {"type": b"bytes"})


class TestEncryption:
    @pytest.mark.cryptography
    async def test_what_redis_sees_is_encrypted(self, make: Make, server: RedisProcess) -> None:
        layer = make(symmetric_encryption_keys=["secret"])
        await goes_round(layer)
        await layer.send("jobs", {"type": "a", "text": "plain words"})
        assert b"plain words" not in server.ask("LINDEX", "asgi:channel:{jobs}", 0)

    @pytest.mark.cryptography
    async def test_each_key_decrypts_and_the_first_one_encrypts(self, make: Make) -> None:
        old, new = (
            make(symmetric_encryption_keys=["old"]),
            make(symmetric_encryption_keys=[b"new", "old"]),
        )
        await old.send("jobs", {"type": "a"})
        assert await new.receive("jobs") == {"type": "a"}
        await new.send("jobs", {"type": "b"})
        waiting = asyncio.create_task(old.receive("jobs"))
        await old.send("jobs", {"type": "c"})
        assert await waiting == {"type": "c"}
        assert old.unreadable == 1

    def test_the_package_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
        with pytest.raises(ImportError, match=r"pip install 'channels-layers-redis\[cryptography"):
            RedisChannelLayer(symmetric_encryption_keys=["secret"])
