"""The pattern of room names."""

# What a group's name may contain. The first character is not a dot,
# because browsers turn "/rooms/../" into "/".
ROOM_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}"
