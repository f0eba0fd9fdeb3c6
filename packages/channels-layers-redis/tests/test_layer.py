from channels_layers_redis.layer import RedisChannelLayer


def test_it_reaches_other_processes() -> None:
    assert RedisChannelLayer.reaches_other_processes
