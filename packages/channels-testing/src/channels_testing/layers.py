"""The contract that every channel layer must keep, as tests to inherit.

In the tests of a layer, inherit `ChannelLayerContract` and write its method `make_layer`.
"""

from collections.abc import Mapping
from typing import ClassVar

from channels_testing._contract.cancelled_receivers import Receivers
from channels_testing._contract.capacity import Capacity
from channels_testing._contract.expiry import Expiry
from channels_testing._contract.flush_and_close import Ends
from channels_testing._contract.groups import Groups
from channels_testing._contract.listening import Listening
from channels_testing._contract.messages import Messages
from channels_testing._contract.names import Names
from channels_testing._contract.threads_and_loops import Loops
from channels_testing._contract.values import Values

__all__ = ["ChannelLayerContract"]


class ChannelLayerContract(
    Messages, Values, Names, Capacity, Expiry, Groups, Receivers, Listening, Loops, Ends
):
    """The channel layer specification as tests, for a subclass that makes a layer.

    Each test states one clause in its docstring, and runs in an event loop of its own on a layer
    that `make_layer` made for it. Clauses on an extension that the layer does not list are
    skipped. No plugin of pytest is needed, and none is in the way.

    Source: the channel layer specification of Channels.
    """

    #: What the layer does otherwise: the reason, by the name of the test. It becomes an expected
    #: failure. One that no longer fails is an error, and so is a name that no test has.
    deviations: ClassVar[Mapping[str, str]] = {}

    #: Whether two layers that `make_layer` makes share their channels, as two processes do.
    shared: ClassVar[bool] = False

    #: The shortest expiry, in seconds, that the layer is made with.
    expiry: ClassVar[float] = 1

    #: How many seconds later than that something may expire. One, where whole seconds count.
    lateness: ClassVar[float] = 1

    #: The seconds after which a call has surely come so far that it waits for a message.
    latency: ClassVar[float] = 0.05

    #: The seconds after which to give up on a message that does not come.
    timeout: ClassVar[float] = 10

    #: The seconds after which to give up on a test as a whole.
    limit: ClassVar[float] = 120

    #: How often to cancel a `receive` just as a message comes. Raise it for a layer that loses one
    #: now and then, so that it does so in every run.
    races: ClassVar[int] = 60

    #: How many seconds nothing comes while a `receive` waits: more than a client of a backend
    #: may have as a time-out.
    idle: ClassVar[float] = 6
