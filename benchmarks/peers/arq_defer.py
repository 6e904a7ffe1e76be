"""arq: a poll that is not the last one raises `Retry(defer=)`."""

import asyncio
import os
import sys
from typing import Any, ClassVar

import aiohttp
from arq import Retry, create_pool
from arq.connections import RedisSettings

URL, INTERVAL = os.environ["BENCH_URL"], float(os.environ["BENCH_INTERVAL"])
_REDIS = RedisSettings.from_dsn(os.environ["BENCH_REDIS"])


async def submit(ctx: dict[str, Any]) -> None:
    body = [{"primaryEmail": "a@example.com", "revenue": 1}]
    async with ctx["client"].post("/v1/conversions", json=body) as answer:
        number = (await answer.json())["payload"]["id"]
    await ctx["redis"].enqueue_job("poll", number, _defer_by=INTERVAL)


async def poll(ctx: dict[str, Any], number: int) -> None:
    async with ctx["client"].get(f"/v1/conversions/{number}/status") as answer:
        if (await answer.json())["payload"]["status"] != "completed":
            raise Retry(defer=INTERVAL)


async def _startup(ctx: dict[str, Any]) -> None:
    ctx["client"] = aiohttp.ClientSession(URL)


async def _shutdown(ctx: dict[str, Any]) -> None:
    await ctx["client"].close()


class WorkerSettings:
    functions: ClassVar = [submit, poll]
    redis_settings = _REDIS
    on_startup = _startup
    on_shutdown = _shutdown
    max_jobs = 100
    max_tries = 1_000_000
    poll_delay = 0.05  # the default of 0.5 s would leave it idle most of the time
    keep_result = 0


async def _trigger(jobs: int) -> None:
    pool = await create_pool(_REDIS)
    for _ in range(jobs):
        await pool.enqueue_job("submit")


if __name__ == "__main__":
    asyncio.run(_trigger(int(sys.argv[1])))
