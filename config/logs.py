"""Log lines: a static event name, then fields. `job_id` stands in each line that concerns a job.

`logger.info("job_moved", extra={"fields": {"job_id": …}})` gives `job_moved job_id=… …`. Bodies and keys are never
fields.
"""

from __future__ import annotations

import logging
import sys
from typing import Any


class _Fields(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name in logging)
        """The line itself: a traceback comes below it."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        line = super().formatMessage(record)
        return " ".join([line, *(f"{name}={value}" for name, value in fields.items() if value is not None)])


def dress() -> None:
    """Write lines in our format wherever this process logs to, be it a file that somebody else has chosen."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Fields("%(asctime)s %(levelname)-7s %(processName)s %(message)s"))


def configure(level: str) -> None:
    """Log to standard error in one format, for the whole process."""
    root = logging.getLogger()
    root.handlers[:] = [logging.StreamHandler(sys.stderr)]
    root.setLevel(level)
    dress()
    # Celery tells of each message it receives and each task it ends; the events of jobs say more. httpx prints whole
    # addresses, and a certificate's link has a signature in it.
    for name in ("celery.worker.strategy", "celery.app.trace", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
