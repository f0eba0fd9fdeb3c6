"""A process that works on jobs until it is ended: run by test_killed_workers."""

import asyncio
import sys
from typing import Any

from redis.asyncio import Redis

from channels_layers_redis.layer import RedisChannelLayer

QUEUES = {"acknowledged": {"redeliver_after": 1, "tries": 5}}
TASKS = 5


async def work(layer: RedisChannelLayer, channel: str, redis: Any) -> None:
    """Record the number of each job in a list, until a job says that this was the last one."""
    number = 0
    while number >= 0:
        if layer.queue_limits(channel) is None:
            number = (await layer.receive(channel))["number"]
            await redis.rpush("done", number)
        else:
            delivery = await layer.receive_delivery(channel)
            number = delivery.message["number"]
            await redis.rpush("done", number)
            await layer.acknowledge(channel, delivery.token)


async def main(url: str, channel: str) -> None:
    layer = RedisChannelLayer(hosts=[url], queues=QUEUES)
    redis = Redis.from_url(url)
    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(work(layer, channel, redis))
    await layer.close()
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
