"""The private parts of `channels_testing.live`.

A live server runs in a `process` or in a `thread`. A process does `process_startup` before it
serves, with the settings of its parent (`settings_transfer`). `databases` decides which databases a
server uses.
"""
