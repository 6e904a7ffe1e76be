"""Fail points: places where the fault tests make a worker die, instead of hoping to hit them by luck.

`SETTLE_FAIL_POINT=<name>:<file>` kills the whole worker (its process group) with SIGKILL at the first process that gets
there while the file exists; the file is removed first, so it happens once. Off unless set.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from config.settings import CoreSettings

#: Every place there is, in the order a job passes them.
FAIL_POINTS = (
    "intake.before_accept",
    "intake.after_accept",
    "clock.after_claim",
    "submit.after_intent",
    "submit.after_post",
    "submit.after_receipt",
    "poll.after_answer",
    "poll.after_write",
    "fetch.midway",
    "fetch.after_store",
    "verify.after_read",
    "emit.before_write",
    "emit.after_links",
    "emit.after_tidy",
    "emit.after_write",
)

#: Places that only groups pass.
GROUP_POINTS = ("group.midway",)

#: Places that only the process passes that delivers events.
DELIVERY_POINTS = ("deliver.after_forward", "deliver.after_take", "deliver.after_send", "deliver.after_end")


def reach(settings: CoreSettings, name: str) -> None:
    """Die here, if the settings say so and nobody else has."""
    if settings.fail_point is None:
        return
    chosen, _, token = settings.fail_point.partition(":")
    if chosen != name:
        return
    try:
        Path(token).unlink()
    except FileNotFoundError:
        return
    os.killpg(os.getpgrp(), signal.SIGKILL)
