import pytest

from channels_layers_memory._layer.channels_view import Channels, Waiting
from channels_layers_memory._layer.store import Store
from fakes import Clock, Fixed, Reader


@pytest.fixture
def store() -> Store:
    return Store(Fixed(), Clock())


def test_it_shows_what_waits_as_it_is_at_each_look(store: Store) -> None:
    channels = Channels(store)
    assert channels == {}
    assert not channels
    store.put("mail", {"n": 1})
    reader = store.take("chat", Reader)
    assert list(channels) == ["mail", "chat"]
    assert "mail" in channels
    assert len(channels) == 2
    [message] = channels["mail"]
    assert isinstance(message, tuple)
    assert message[2] == {"n": 1}
    assert channels["chat"] == (reader,)
    assert "'mail'" in repr(channels)
    with pytest.raises(KeyError):
        channels["other"]


def test_a_channel_tells_of_its_messages_as_a_queue_does(store: Store) -> None:
    channels = Channels(store)
    store.put("mail", {"n": 1})
    store.put("mail", {"n": 2})
    store.take("chat", Reader)
    assert (channels["mail"].qsize(), channels["mail"].empty()) == (2, False)
    assert (channels["chat"].qsize(), channels["chat"].empty()) == (0, True)


def test_deleting_a_channel_leaves_nothing_of_it(store: Store) -> None:
    channels = Channels(store)
    for number in range(3):
        store.put("a!1", {"n": number})
    assert not store.put("a!2", {})
    del channels["a!1"]
    assert channels == {}
    assert store.put("a!2", {})
    store.take("chat", Reader)
    channels.pop("chat")
    channels.clear()
    assert channels == {}


def test_a_name_may_be_deleted_whether_or_not_anything_waits(store: Store) -> None:
    channels = Channels(store)
    reader = store.take("chat", Reader)
    store.put("chat", {"n": 1})
    del channels["chat"]
    assert isinstance(reader, Reader)
    assert reader.message is not None
    assert reader.message[2] == {"n": 1}


def test_it_can_be_deleted_from_while_it_is_looked_through(store: Store) -> None:
    channels = Channels(store)
    store.put("a", {})
    store.put("b", {})
    for name in channels:
        del channels[name]
    assert channels == {}


def test_a_channel_cannot_be_made_by_hand(store: Store) -> None:
    with pytest.raises(TypeError, match="await send\\('mail', message\\)"):
        Channels(store)["mail"] = Waiting()
