"""arq: a poll that is not the last one raises `Retry(defer=)`. With aiohttp, or with httpx (`BENCH_CLIENT`)."""

import asyncio
import os
import sys
from typing import Any, ClassVar

import aiohttp
import httpx
from arq import Retry, create_pool
from arq.connections import RedisSettings

URL, INTERVAL = os.environ["BENCH_URL"], float(os.environ["BENCH_INTERVAL"])
_REDIS = RedisSettings.from_dsn(os.environ["BENCH_REDIS"])


async def _with_aiohttp(ctx: dict[str, Any], method: str, path: str, body: Any = None) -> Any:
    async with ctx["client"].request(method, path, json=body) as answer:
        return await answer.json()


async def _with_httpx(ctx: dict[str, Any], method: str, path: str, body: Any = None) -> Any:
    return (await ctx["client"].request(method, path, json=body)).json()


_HTTPX = os.environ.get("BENCH_CLIENT") == "httpx"
_call = _with_httpx if _HTTPX else _with_aiohttp


async def submit(ctx: dict[str, Any]) -> None:
    answer = await _call(ctx, "POST", "/v1/conversions", [{"primaryEmail": "a@example.com", "revenue": 1}])
    await ctx["redis"].enqueue_job("poll", answer["payload"]["id"], _defer_by=INTERVAL)


async def poll(ctx: dict[str, Any], number: int) -> None:
    answer = await _call(ctx, "GET", f"/v1/conversions/{number}/status")
    if answer["payload"]["status"] != "completed":
        raise Retry(defer=INTERVAL)


async def _startup(ctx: dict[str, Any]) -> None:
    ctx["client"] = httpx.AsyncClient(base_url=URL) if _HTTPX else aiohttp.ClientSession(URL)


async def _shutdown(ctx: dict[str, Any]) -> None:
    await (ctx["client"].aclose() if _HTTPX else ctx["client"].close())


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
