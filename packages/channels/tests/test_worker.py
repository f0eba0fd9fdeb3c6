import channels.worker
from asgiref.server import StatelessServer
from channels.worker import Worker

import channels_core.worker


def test_it_is_the_module_of_channels_core() -> None:
    assert channels.worker is channels_core.worker
    assert issubclass(Worker, StatelessServer)
