"""The contract that every channel layer must keep, as tests to inherit.

In the tests of a layer, inherit `ChannelLayerContract` and write its method `make_layer`.
"""

from channels_testing._contract.cancelled_receivers import CancelledReceivers
from channels_testing._contract.capacity import Capacity
from channels_testing._contract.churn import Churn
from channels_testing._contract.exclude import Exclude
from channels_testing._contract.expiry import Expiry
from channels_testing._contract.flush_and_close import FlushAndClose
from channels_testing._contract.gaps import Gaps
from channels_testing._contract.groups import Groups
from channels_testing._contract.history import History
from channels_testing._contract.listening import Listening
from channels_testing._contract.members import Members
from channels_testing._contract.messages import Messages
from channels_testing._contract.names import Names
from channels_testing._contract.queues import Queues
from channels_testing._contract.threads_and_loops import ThreadsAndLoops
from channels_testing._contract.values import Values

__all__ = ["ChannelLayerContract"]


class ChannelLayerContract(
    Messages,
    Values,
    Names,
    Capacity,
    Expiry,
    Groups,
    CancelledReceivers,
    Listening,
    Churn,
    ThreadsAndLoops,
    FlushAndClose,
    Exclude,
    History,
    Members,
    Queues,
    Gaps,
):
    """The channel layer specification as tests, for a subclass that makes a layer.

    Each test states one clause in its docstring. It runs in an event loop of its own, on a layer
    that `make_layer` made for it. Clauses about an extension or a method that the layer lacks are
    skipped. The tests need no plugin of pytest, and run with any.

    For a layer with the extension `gaps`, override `lose_messages` as well.

    Attributes:
        deviations: The clauses that the layer does not keep: the reason, by the name of the test.
            Such a test is an expected failure. It is an error if it passes, and if the class has no
            test of that name.
        shared: Whether two layers that `make_layer` makes share their channels, as the layers of
            two processes do.
        one_order: Whether what one sender sends to a channel and to its groups arrives in one
            order. A layer that has its groups on several servers keeps one for each of them only.
        expiry: The shortest expiry, in seconds, that the layer is made with.
        lateness: How many seconds late a message or a membership may expire. 1 allows for layers
            that count whole seconds.
        latency: Seconds after which a call is sure to wait for a message, and a message to have
            arrived.
        timeout: Seconds to wait for a message before the test fails.
        limit: Seconds that a test may take as a whole.
        races: How often a `receive` is cancelled just as a message arrives. Raise it for a layer
            that loses a message now and then, so that every run shows it.
        churns: How often 200 members leave a group in which one stays; to raise as `races`.
        idle: Seconds during which no message comes while a `receive` waits: more than the time-out
            that a client of a backend may have.

    Source: the channel layer specification of Channels.
    """
