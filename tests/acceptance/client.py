"""Another application: knows two addresses and the names of the tasks, and has none of Settle's code.

Reads `{"id": [task, kwargs], …}` on standard input; prints for each id its states on the way, and its end.
"""

from __future__ import annotations

import json
import sys
import time

from celery import Celery


def main() -> None:
    broker, backend, options = sys.argv[1:]
    jobs = json.load(sys.stdin)
    app = Celery("another", broker=broker, backend=backend)
    app.conf.update(json.loads(options))
    sent = [app.send_task(task, kwargs=kwargs, task_id=job_id) for job_id, (task, kwargs) in jobs.items()]
    seen: dict[str, list[str]] = {result.id: [] for result in sent}
    progress: dict[str, list[int]] = {result.id: [] for result in sent}
    end = time.monotonic() + 40
    while time.monotonic() < end and not all(result.ready() for result in sent):
        for result in sent:
            state, info = result.state, result.info
            if not seen[result.id] or seen[result.id][-1] != state:
                seen[result.id].append(state)
            if isinstance(info, dict) and "progress" in info:
                progress[result.id].append(info["progress"])
        time.sleep(0.01)
    ends = {}
    for result in sent:
        if seen[result.id][-1:] != [result.state]:
            seen[result.id].append(result.state)
        try:
            ends[result.id] = {"got": result.get(timeout=5)}
        except Exception as error:
            ends[result.id] = {"raised": type(error).__name__, "text": str(error)}
    print(json.dumps({i: {"states": seen[i], "progress": progress[i], **ends[i]} for i in ends}))  # noqa: T201


main()
