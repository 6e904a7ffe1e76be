"""Two loops that keep nothing: one asyncio process, with httpx or with aiohttp. What Python itself can do.

python loops.py httpx|aiohttp JOBS
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx

URL, INTERVAL = os.environ["BENCH_URL"], float(os.environ["BENCH_INTERVAL"])
BODY = [{"primaryEmail": "a@example.com", "revenue": 1}]
Ask = Callable[[str, str, Any], Awaitable[dict[str, Any]]]


async def _job(ask: Ask) -> None:
    number = (await ask("POST", "/v1/conversions", BODY))["payload"]["id"]
    while True:
        await asyncio.sleep(INTERVAL)
        answer = await ask("GET", f"/v1/conversions/{number}/status", None)
        if answer["payload"]["status"] == "completed":
            return


async def _with_httpx(jobs: int) -> None:
    # Who waits for a connection waits here: the cost of httpx's own queue grows with the square of its length.
    turn = asyncio.Semaphore(20)
    async with httpx.AsyncClient(base_url=URL, trust_env=False, timeout=30) as client:

        async def ask(method: str, path: str, body: Any) -> dict[str, Any]:
            async with turn:
                answer = await client.request(method, path, json=body)
            return answer.json()  # type: ignore[no-any-return]

        await asyncio.gather(*(_job(ask) for _ in range(jobs)))


async def _with_aiohttp(jobs: int) -> None:
    async with aiohttp.ClientSession(URL, timeout=aiohttp.ClientTimeout(None)) as client:

        async def ask(method: str, path: str, body: Any) -> dict[str, Any]:
            async with client.request(method, path, json=body) as answer:
                return await answer.json()  # type: ignore[no-any-return]

        await asyncio.gather(*(_job(ask) for _ in range(jobs)))


if __name__ == "__main__":
    asyncio.run({"httpx": _with_httpx, "aiohttp": _with_aiohttp}[sys.argv[1]](int(sys.argv[2])))
