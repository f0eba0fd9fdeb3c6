import asyncio
import threading

import pytest

from channels_layers_memory._layer.readers import Receiver, running_loop


async def test_it_is_woken_in_its_own_loop() -> None:
    receiver = Receiver()
    assert receiver.wake()
    assert receiver.woken.done()
    await receiver.woken


async def test_once_woken_it_is_out_of_reach() -> None:
    receiver = Receiver()
    receiver.wake()
    assert not receiver.wake()


async def test_once_cancelled_it_is_out_of_reach() -> None:
    receiver = Receiver()
    receiver.woken.cancel()
    assert not receiver.wake()


async def test_it_is_woken_from_a_thread_without_a_loop() -> None:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.wake)
    thread.start()
    await asyncio.wait_for(receiver.woken, timeout=10)
    thread.join()


async def test_it_is_woken_from_another_loop() -> None:
    receiver = Receiver()

    async def wake() -> bool:
        return receiver.wake()

    assert await asyncio.to_thread(asyncio.run, wake())
    await asyncio.wait_for(receiver.woken, timeout=10)


async def test_it_may_be_cancelled_before_another_thread_has_woken_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.wake)
    thread.start()
    thread.join()
    receiver.woken.cancel()
    # The call that the other thread left behind comes first.
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(done.set_result, None)
    await done
    assert receiver.woken.cancelled()
    assert caplog.records == []


def test_it_is_out_of_reach_when_its_loop_is_closed() -> None:
    async def make() -> Receiver:
        return Receiver()

    receiver = asyncio.run(make())
    assert not receiver.wake()


async def test_where_the_caller_is_may_be_told() -> None:
    here, other = Receiver(), Receiver()
    loop = asyncio.get_running_loop()
    assert running_loop() is loop
    assert here.wake(loop)
    assert here.woken.done()
    elsewhere = asyncio.new_event_loop()
    assert other.wake(elsewhere)
    assert not other.woken.done()
    await asyncio.wait_for(other.woken, timeout=10)
    elsewhere.close()


def test_there_may_be_no_loop() -> None:
    assert running_loop() is None
