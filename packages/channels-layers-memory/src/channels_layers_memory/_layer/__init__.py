"""The private parts of `channels_layers_memory.layer`.

`store` holds messages, readers and groups under one lock; `backlogs` and `groups` are its two
indices, and `readers` wakes those who receive. `codec` copies messages on their way in and out,
with `packing_errors` for those that cannot be packed. `backpressure` slows senders down,
`dropped_messages` counts what groups lose, `channels_view` shows programs what waits, and
`clocks` tells the time.
"""
