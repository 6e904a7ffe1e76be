"""dramatiq: a delayed message per poll."""

import os
import sys
import threading

import dramatiq
import httpx
from dramatiq.brokers.redis import RedisBroker

URL, INTERVAL = os.environ["BENCH_URL"], float(os.environ["BENCH_INTERVAL"])
dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS"]))
_own = threading.local()


def client() -> httpx.Client:
    if not hasattr(_own, "client"):
        _own.client = httpx.Client(base_url=URL, trust_env=False)
    return _own.client


@dramatiq.actor
def submit() -> None:
    answer = client().post("/v1/conversions", json=[{"primaryEmail": "a@example.com", "revenue": 1}])
    poll.send_with_options(args=(answer.json()["payload"]["id"],), delay=int(INTERVAL * 1000))


@dramatiq.actor
def poll(number: int) -> None:
    answer = client().get(f"/v1/conversions/{number}/status").json()
    if answer["payload"]["status"] != "completed":
        poll.send_with_options(args=(number,), delay=int(INTERVAL * 1000))


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        submit.send()
