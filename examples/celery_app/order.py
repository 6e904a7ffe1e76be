"""Another application: it knows the address of the broker and the names of tasks, and has only Celery installed.

BROKER_URL=redis://… python order.py ORDER NAME SHA256
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from celery import Celery
from celery.result import AsyncResult

app = Celery("shop", broker=os.environ["BROKER_URL"], backend=os.environ.get("RESULT_URL", os.environ["BROKER_URL"]))


def certify(order: str, name: str, sha256: str) -> AsyncResult[Any]:
    """Trigger a certificate. Called again for the same order, it is the same job."""
    return app.send_task(
        "settle.myipr.certify",
        kwargs={"name": name, "category_id": "10", "hash": sha256, "size": "1079", "tags": {"shop": "north"}},
        task_id=order,
        # Celery would write the arguments in clear text into the headers of the message.
        argsrepr="()",
        kwargsrepr="<redacted>",
    )


def main() -> int:
    """Trigger, tell each state, and show the certificate; 1 if the job ends without success."""
    job = certify(*sys.argv[1:])
    before, end = "", time.monotonic() + 600
    while not job.ready() and time.monotonic() < end:
        if (state := job.state) != before:
            before = state
            print(state)
        time.sleep(0.1)
    try:
        outcome = job.get(timeout=1)
    except Exception as error:  # JobFailed, JobExpired or JobCancelled: Celery makes the class from its name
        print(f"{type(error).__name__}: {error}")
        return 1
    (certificate,) = outcome["artifacts"]
    print(outcome["state"], certificate["uri"], certificate["sha256"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
