"""What runs inside Redis: its scripts, the keys they use, and how their answers are read.

Nothing here does input or output. A function such as `history.append` returns a `Call`, which says
what to send and how to read the answer, so that the link of an event loop and the blocking client
run the same scripts.
"""
