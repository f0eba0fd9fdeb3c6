"""The private parts of `channels_layers_redis.layer`."""
