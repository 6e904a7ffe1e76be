"""Plain Celery: one message per poll, `self.retry(countdown=)`."""

import os
import sys
import threading

import httpx
from celery import Celery

URL, INTERVAL = os.environ["BENCH_URL"], float(os.environ["BENCH_INTERVAL"])
app = Celery("celery_retry", broker=os.environ["BENCH_REDIS"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
_own = threading.local()


def client() -> httpx.Client:
    """One connection per thread or process: httpx's pool costs more the more connections it holds."""
    if not hasattr(_own, "client"):
        _own.client = httpx.Client(base_url=URL, trust_env=False)
    return _own.client


@app.task(name="submit")
def submit() -> None:
    answer = client().post("/v1/conversions", json=[{"primaryEmail": "a@example.com", "revenue": 1}])
    poll.apply_async((answer.json()["payload"]["id"],), countdown=INTERVAL)


@app.task(name="poll", bind=True, max_retries=None)
def poll(self, number: int) -> str:  # type: ignore[no-untyped-def]
    answer = client().get(f"/v1/conversions/{number}/status").json()
    if answer["payload"]["status"] != "completed":
        raise self.retry(countdown=INTERVAL)
    return "completed"


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        submit.delay()
