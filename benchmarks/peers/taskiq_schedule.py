"""taskiq: each next poll is an entry of the schedule in Redis."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta

import aiohttp
from taskiq import TaskiqScheduler
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

URL, INTERVAL = os.environ["BENCH_URL"], float(os.environ["BENCH_INTERVAL"])
broker = RedisStreamBroker(os.environ["BENCH_REDIS"])
source = ListRedisScheduleSource(os.environ["BENCH_REDIS"])
scheduler = TaskiqScheduler(broker, [source])
_clients: list[aiohttp.ClientSession] = []


def client() -> aiohttp.ClientSession:
    if not _clients:
        _clients.append(aiohttp.ClientSession(URL))
    return _clients[0]


async def _later(number: int) -> None:
    await poll.schedule_by_time(source, datetime.now(UTC) + timedelta(seconds=INTERVAL), number)


@broker.task("submit")
async def submit() -> None:
    async with client().post("/v1/conversions", json=[{"primaryEmail": "a@example.com", "revenue": 1}]) as answer:
        await _later((await answer.json())["payload"]["id"])


@broker.task("poll")
async def poll(number: int) -> None:
    async with client().get(f"/v1/conversions/{number}/status") as answer:
        if (await answer.json())["payload"]["status"] != "completed":
            await _later(number)


async def _trigger(jobs: int) -> None:
    await broker.startup()
    for _ in range(jobs):
        await submit.kiq()
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(_trigger(int(sys.argv[1])))
