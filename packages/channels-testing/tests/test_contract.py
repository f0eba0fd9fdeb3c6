import asyncio
import gc
import unittest
from functools import partial
from typing import Any

import pytest

from channels_testing._contract.contract import Contract, LayerNotMadeError, clause, expect


class Layer:
    """Sends and receives nothing, and counts what is done to it."""

    extensions: tuple[str, ...] = ("groups",)

    def __init__(self) -> None:
        self.done: list[str] = []

    async def flush(self) -> None:
        self.done.append("flush")

    async def close(self) -> None:
        self.done.append("close")

    async def receive(self, channel: str) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            self.done.append("left")


class Small(Contract):
    """A contract of a few clauses."""

    timeout = 0.01

    def make_layer(self, **options: Any) -> Any:
        self.options = options
        self.made = Layer()
        return self.made

    @clause
    async def test_kept(self) -> None:
        """Is kept."""
        await self.layer(capacity=3)

    @clause
    async def test_broken(self) -> None:
        """Is broken."""
        await self.layer()
        expect(1, 2, "a number")

    @clause
    async def test_waiting(self) -> None:
        """Waits for a message."""
        await self.received(await self.layer(), "a")

    @clause
    async def test_hanging(self) -> None:
        """Waits for ever."""
        await asyncio.Event().wait()

    @clause
    async def test_timed_out(self) -> None:
        """Raises a TimeoutError of its own."""
        raise TimeoutError("by itself")

    @clause
    async def test_flush(self) -> None:
        """Needs an extension that the layer lacks."""
        await self.layer("groups", "flush", expiry=1)


class TestClauses:
    def test_they_are_listed(self) -> None:
        assert Contract.clauses() == []
        assert Small.clauses() == [
            "test_broken",
            "test_flush",
            "test_hanging",
            "test_kept",
            "test_timed_out",
            "test_waiting",
        ]

    def test_they_are_plain_functions_with_a_docstring(self) -> None:
        assert not asyncio.iscoroutinefunction(Small.test_kept)
        assert Small.test_kept.__doc__ == "Is kept."

    def test_one_that_is_kept(self) -> None:
        contract = Small()
        contract.test_kept()
        assert contract.options == {"capacity": 3}

    def test_one_that_is_broken(self) -> None:
        with pytest.raises(AssertionError, match=r"^a number: expected 2, got 1$"):
            Small().test_broken()

    def test_a_message_that_does_not_come(self) -> None:
        contract = Small()
        expected = r"^receive\('a'\): expected a message, got none within 0.01 s$"
        with pytest.raises(AssertionError, match=expected):
            contract.test_waiting()
        assert contract.made.done == ["left", "close"]

    def test_one_that_does_not_end(self) -> None:
        class Hurried(Small):
            limit = 0.01

        expected = r"^the clause: expected an end, got none within 0.01 s, its `limit`$"
        with pytest.raises(AssertionError, match=expected):
            Hurried().test_hanging()

    def test_a_timeout_of_its_own(self) -> None:
        class Patient(Small):
            timeout = 10

        with pytest.raises(TimeoutError, match="by itself"):
            Patient().test_timed_out()

    def test_an_extension_that_the_layer_lacks(self) -> None:
        contract = Small()
        with pytest.raises(unittest.SkipTest, match="does not offer the extension 'flush'"):
            contract.test_flush()
        assert contract.made.done == ["close"]

    def test_groups_need_not_be_listed(self) -> None:
        class Unlisted(Layer):
            extensions = ()

            async def group_add(self, group: str, channel: str) -> None: ...

        class Grouped(Small):
            def make_layer(self, **options: Any) -> Any:
                return Unlisted()

            @clause
            async def test_groups(self) -> None:
                """Needs groups."""
                await self.layer("groups")

        Grouped().test_groups()

    def test_they_may_be_run_again(self) -> None:
        contract = Small()
        contract.test_kept()
        contract.test_kept()
        assert contract.made.done == ["close"]


class TestEnds:
    def test_a_layer_with_flush_is_flushed(self) -> None:
        contract = Small()
        contract.make_layer = lambda **options: self.layer  # type: ignore[method-assign] # as asked
        self.layer = Layer()
        self.layer.extensions = ("groups", "flush")
        contract.test_kept()
        assert self.layer.done == ["flush", "close"]

    def test_close_need_not_be_a_coroutine_method(self) -> None:
        class Closing(Small):
            def make_layer(self, **options: Any) -> Any:
                self.made = made = Layer()
                made.close = partial(made.done.append, "close")  # type: ignore[method-assign,assignment] # as said
                return made

        contract = Closing()
        contract.test_kept()
        assert contract.made.done == ["close"]

    def test_a_layer_without_close_is_not_closed(self) -> None:
        class Open(Small):
            def make_layer(self, **options: Any) -> Any:
                return type("Open", (), {"extensions": []})()

        Open().test_kept()

    def test_an_error_at_the_end_is_not_a_deviation(self) -> None:
        class Failing(Small):
            deviations = {"test_kept": "for a reason"}

            async def close_layer(self, layer: object) -> None:
                raise OSError("the backend has gone")

        with pytest.raises(OSError, match="the backend has gone"):
            Failing().test_kept()

    def test_an_error_at_the_end_does_not_hide_the_failure(self) -> None:
        class Failing(Small):
            async def close_layer(self, layer: object) -> None:
                raise OSError("the backend has gone")

        with pytest.raises(AssertionError, match="a number: expected 2, got 1") as caught:
            Failing().test_broken()
        assert caught.value.__notes__ == ["When the clause ended: OSError('the backend has gone')"]

        class Deviating(Failing):
            deviations = {"test_broken": "for a reason"}

        with pytest.raises(pytest.xfail.Exception, match="for a reason"):
            Deviating().test_broken()

    def test_a_call_that_ignores_its_cancellation(self) -> None:
        class Stubborn(Layer):
            async def receive(self, channel: str) -> Any:
                while True:
                    try:
                        await asyncio.Event().wait()
                    except asyncio.CancelledError:
                        continue

        class Waiting(Small):
            _patience = 0.01

            def make_layer(self, **options: Any) -> Any:
                return Stubborn()

        with pytest.raises(AssertionError, match="expected a message, got none") as caught:
            Waiting().test_waiting()
        assert "such as receive(): expected it to end, got none" in caught.value.__notes__[0]

    def test_a_layer_that_does_not_close(self) -> None:
        class Hanging(Layer):
            async def close(self) -> None:
                await asyncio.Event().wait()

        class Closing(Small):
            _patience = 0.01

            def make_layer(self, **options: Any) -> Any:
                return Hanging()

        expected = r"^close_layer\(\): flush\(\) or close\(\): expected an end, got none within"
        with pytest.raises(AssertionError, match=expected):
            Closing().test_kept()

    def test_a_layer_that_raises_a_cancelled_error(self) -> None:
        class Cancelling(Layer):
            async def receive(self, channel: str) -> Any:
                raise asyncio.CancelledError

        class Cancelled(Small):
            timeout = 10

            def make_layer(self, **options: Any) -> Any:
                return Cancelling()

        with pytest.raises(AssertionError, match="got a CancelledError from the layer"):
            Cancelled().test_waiting()

    def test_tasks_that_the_layer_leaves_are_cancelled(self) -> None:
        class Busy(Layer):
            async def flush(self) -> None:
                self.task = asyncio.create_task(self.fail_late())

            async def fail_late(self) -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    raise OSError("too late")

        class Leaving(Small):
            def make_layer(self, **options: Any) -> Any:
                self.made = Busy()
                return self.made

            async def close_layer(self, layer: Any) -> None:
                await layer.flush()
                await asyncio.sleep(0)

        contract = Leaving()
        contract.test_kept()
        assert contract.made.task.done()  # type: ignore[attr-defined] # it is a Busy one


class TestMaking:
    def test_it_may_be_a_coroutine_method(self) -> None:
        class Slow(Small):
            async def make_layer(self, **options: Any) -> Any:
                await asyncio.sleep(0)
                return Layer()

        Slow().test_kept()

    def test_a_layer_that_cannot_be_made(self) -> None:
        class Failing(Small):
            deviations = {"test_kept": "for a reason"}

            def make_layer(self, **options: Any) -> Any:
                raise OSError("no backend")

        expected = r"^make_layer\(capacity=3\) raised OSError\('no backend'\)$"
        with pytest.raises(LayerNotMadeError, match=expected):
            Failing().test_kept()

    def test_none_instead_of_a_layer(self) -> None:
        class Forgetful(Small):
            def make_layer(self, **options: Any) -> Any:
                pass

        expected = r"^make_layer\(capacity=3\): expected the layer to test, got None; return it$"
        with pytest.raises(LayerNotMadeError, match=expected):
            Forgetful().test_kept()

    def test_a_layer_without_extensions(self) -> None:
        class Duck(Small):
            def make_layer(self, **options: Any) -> Any:
                return object()

        with pytest.raises(LayerNotMadeError, match="a layer with the attribute `extensions`"):
            Duck().test_kept()

    def test_options_go_with_their_extension(self) -> None:
        class Plain(Small):
            def make_layer(self) -> Any:  # type: ignore[override] # it knows no options
                return Layer()

        with pytest.raises(unittest.SkipTest, match="does not offer the extension 'flush'"):
            Plain().test_flush()

    def test_a_contract_without_make_layer(self) -> None:
        class Empty(Contract):
            @clause
            async def test_anything(self) -> None:
                await self.layer()

        with pytest.raises(LayerNotMadeError, match="Empty must have a method make_layer") as error:
            Empty().test_anything()
        assert isinstance(error.value.__cause__, NotImplementedError)


class TestDeviations:
    def test_one_that_fails_is_an_expected_failure(self) -> None:
        class Deviating(Small):
            deviations = {"test_broken": "numbers are hard"}

        expected = r"^numbers are hard \(AssertionError: a number: expected 2, got 1\)$"
        with pytest.raises(pytest.xfail.Exception, match=expected):
            Deviating().test_broken()

    def test_one_that_no_longer_fails_fails(self) -> None:
        class Deviating(Small):
            deviations = {"test_kept": "it was broken once"}

        expected = r"^test_kept is in `deviations` \(it was broken once\) and yet the layer keeps"
        with pytest.raises(AssertionError, match=expected):
            Deviating().test_kept()

    def test_a_deviation_about_a_missing_extension_is_skipped(self) -> None:
        class Deviating(Small):
            deviations = {"test_flush": "for a reason"}

        with pytest.raises(unittest.SkipTest):
            Deviating().test_flush()

    def test_an_unknown_clause_is_rejected(self) -> None:
        expected = r"^Deviating.deviations: there is no clause 'test_broke'; did you mean test_brok"
        with pytest.raises(TypeError, match=expected):
            type("Deviating", (Small,), {"deviations": {"test_broke": "for a reason"}})
        with pytest.raises(TypeError, match="did you mean test_broken or test_flush or "):
            type("Deviating", (Small,), {"deviations": {"xyz": "for a reason"}})

    @pytest.mark.parametrize("reason", ["", " ", None, True])
    def test_a_reason_is_required(self, reason: object) -> None:
        expected = r"^Deviating.deviations\['test_broken'\]: expected the reason as a str, got "
        with pytest.raises(TypeError, match=expected):
            type("Deviating", (Small,), {"deviations": {"test_broken": reason}})


class TestTools:
    async def test_time_passes(self) -> None:
        await Contract().pass_time(0)

    async def test_a_whole_day_is_not_awaited(self) -> None:
        with pytest.raises(AssertionError, match="because it ignored the short"):
            await Contract().pass_time(86400)

    async def test_elsewhere_is_another_event_loop(self) -> None:
        async def loop() -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop()

        assert await Contract().elsewhere(loop) is not asyncio.get_running_loop()
        gc.collect()

    async def test_elsewhere_does_not_hang(self) -> None:
        with pytest.raises(TimeoutError):
            await Small().elsewhere(asyncio.Event().wait)


class TestUnittest:
    """A contract that is a unittest.TestCase too."""

    def run(self, name: str, base: type[Small] = Small, **deviations: str) -> unittest.TestResult:
        made = type("Case", (base, unittest.TestCase), {"deviations": deviations})
        result = unittest.TestResult()
        made(name).run(result)
        assert result.testsRun == 1
        return result

    def test_names_do_not_clash(self) -> None:
        case = unittest.FunctionTestCase(print)
        names = {name for name in {*dir(Contract), "_made", "_tasks"} if name[:2] != "__"}
        assert not names & {*dir(case), "_outcome"}

    def test_one_that_is_kept(self) -> None:
        assert self.run("test_kept").wasSuccessful()

    def test_one_that_is_broken(self) -> None:
        assert "expected 2, got 1" in self.run("test_broken").failures[0][1]

    def test_a_deviation(self) -> None:
        result = self.run("test_broken", test_broken="numbers are hard")
        assert "AssertionError: numbers are hard (" in result.expectedFailures[0][1]
        assert result.wasSuccessful()

    def test_a_deviation_that_no_longer_fails(self) -> None:
        result = self.run("test_kept", test_kept="it was broken once")
        assert len(result.unexpectedSuccesses) == 1

    def test_a_deviation_about_a_missing_extension(self) -> None:
        result = self.run("test_flush", test_flush="for a reason")
        assert not result.expectedFailures
        assert "does not offer the extension" in result.skipped[0][1]

    def test_a_failing_make_layer_is_not_a_deviation(self) -> None:
        class Failing(Small):
            def make_layer(self, **options: Any) -> Any:
                raise OSError("no backend")

        result = self.run("test_kept", Failing, test_kept="for a reason")
        assert "no backend" in result.errors[0][1]
