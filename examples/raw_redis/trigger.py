"""A trigger with nothing but a socket: what any language needs to know about the message, and about Redis.

REDIS_URL=redis://:password@host:port/0 python trigger.py WORKFLOW JOB_ID '{"json": "arguments"}'
"""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import time
import uuid
from typing import Any
from urllib.parse import unquote, urlsplit

#: Settle's entry tasks are read from here, and from no other list.
QUEUE = "celery"


def message(workflow: str, job_id: str, arguments: dict[str, Any]) -> str:
    """A Celery message of protocol 2, with no more in it than Settle needs."""
    body = json.dumps([[], arguments, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return json.dumps(
        {
            "body": base64.b64encode(body.encode()).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"lang": "raw", "task": f"settle.{workflow}", "id": job_id},
            "properties": {
                "body_encoding": "base64",
                "correlation_id": job_id,
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "delivery_mode": 2,
                "delivery_tag": str(uuid.uuid4()),  # another one for each message, also of the same job
                "priority": 0,
            },
        }
    )


class Redis:
    """As much of Redis as this needs: commands as lists of texts, answers as Python values."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=10)
        self._answers = self._socket.makefile("rb")
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            self.call("AUTH", *user, unquote(parts.password))
        if database := parts.path.strip("/"):
            self.call("SELECT", database)

    def call(self, *command: str) -> Any:
        """Send a command and read its answer."""
        encoded = [each.encode() for each in command]
        lines = [b"*%d\r\n" % len(encoded)] + [b"$%d\r\n%s\r\n" % (len(each), each) for each in encoded]
        self._socket.sendall(b"".join(lines))
        return self._answer()

    def _answer(self) -> Any:
        line = self._answers.readline()
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RuntimeError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self._answers.read(int(rest) + 2)[:-2].decode()
        if kind == b"+":
            return rest
        raise RuntimeError("the connection was lost, or this is no Redis")


def main() -> int:
    """Trigger, tell each state, and show the outcome; 1 if the job ends without success."""
    workflow, job_id, arguments = sys.argv[1:]
    redis = Redis(os.environ["REDIS_URL"])
    redis.call("LPUSH", QUEUE, message(workflow, job_id, json.loads(arguments)))
    before, end = "", time.monotonic() + 600
    while time.monotonic() < end:
        text = redis.call("GET", f"celery-task-meta-{job_id}")
        if text is not None:
            meta = json.loads(text)
            if meta["status"] != before:
                before = meta["status"]
                print(before)
            if meta["status"] == "SUCCESS":
                print(json.dumps(meta["result"]))
                return 0
            if meta["status"] == "FAILURE":
                error = meta["outcome"]["error"]
                print(f"{meta['outcome']['state']}: {error['message']} ({error.get('remedy')})")
                return 1
        time.sleep(0.1)
    print("it has not ended yet; it goes on")
    return 2


if __name__ == "__main__":
    sys.exit(main())
