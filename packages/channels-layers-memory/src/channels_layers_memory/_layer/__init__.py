"""The private parts of `channels_layers_memory.layer`.

`store` holds messages, readers and groups under one lock; `backlogs` and `groups` are its two
indices, and `readers` wakes those who receive. `codec` copies messages on their way in and out,
with `packing_errors` for those that cannot be packed. `backpressure` slows senders down,
`dropped_messages` counts what groups lose, `channels_view` shows programs what waits, and
`clocks` tells the time.

What only some programs use is loaded when it is configured or first used: `history` keeps messages
of groups, `members` knows who is there, and `queues` gives jobs until they are acknowledged. They
find their options by `limits_by_name`, plan what is due in a `timetable`, and are rung by `alarm`.
"""
