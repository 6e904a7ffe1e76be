"""Another application, with a worker of its own: it is told of what was paid, and knows nothing of Settle."""

from __future__ import annotations

import json
import os
from pathlib import Path

from celery import Celery, Task

app = Celery("billing", broker=os.environ["BILLING_BROKER"])
app.conf.update(json.loads(os.environ["BILLING_OPTIONS"]))
app.conf.task_default_queue = "billing"


@app.task(name="billing.paid", bind=True, ignore_result=True)
def paid(self: Task, **kwargs: object) -> None:
    """Write down what came, and in whose name."""
    told = {"id": self.request.id, "root": self.request.root_id, "parent": self.request.parent_id, "kwargs": kwargs}
    with Path(os.environ["BILLING_BOOKS"]).open("a") as books:
        books.write(json.dumps(told) + "\n")
