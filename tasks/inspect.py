"""The remote control command `settle`: what a worker is and how it is set up, for `settle doctor`. Nothing secret."""

from __future__ import annotations

import hashlib
import json
import time
from importlib.metadata import version
from typing import Any

from celery.worker.control import inspect_command
from pydantic import SecretStr
from redis.exceptions import RedisError

from config.runtime import Runtime
from config.settings import CoreSettings, settings
from tasks import clock
from tasks.receive import INTAKE_QUEUE, Intake

#: These may differ from one worker to the next; the login of Flower, what beat starts and who is told of events are
#: nothing to a worker.
_OF_ONE_PROCESS = {"redis_url", "broker_url", "state_dir", "schedules", "flower", "webhooks", "downstream"}
_OF_ONE_PROCESS |= {"fail_point", "log_level"}

_run: Runtime | None = None


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def digests(own: CoreSettings) -> dict[str, str]:
    """A short fingerprint of each group of settings: equal settings give equal ones.

    Eight characters tell two settings apart, and are too few to find a key by.
    """
    groups: dict[str, Any] = {"core": {}}
    for name, value in own.model_dump(exclude=_OF_ONE_PROCESS).items():
        if name in own.providers():
            groups[name] = value
        else:
            groups["core"][name] = value
    return {
        name: hashlib.sha256(json.dumps(group, sort_keys=True, default=_plain).encode()).hexdigest()[:8]
        for name, group in groups.items()
    }


def machine_offset(run: Runtime) -> float | None:
    """How far this machine's clock is ahead of Redis', seconds; none if Redis does not answer."""
    try:
        before = time.time()
        seconds, micros = run.redis.time()
        after = time.time()
    except RedisError:
        return None
    return round((before + after) / 2 - (int(seconds) + int(micros) / 1e6), 3)


def _received(consumer: Any) -> set[str]:
    """The queue that the worker's intake empties instead of its consumer."""
    return {INTAKE_QUEUE} if any(isinstance(step, Intake) for step in consumer.steps) else set()


@inspect_command()
def settle(state: Any, **_: Any) -> dict[str, Any]:
    """What this worker is and how it is set up."""
    global _run
    _run = _run or Runtime(settings(), retries=0)
    conf, consumer = state.app.conf, state.consumer
    return {
        "version": version("settle-jobs"),
        "queues": sorted({*consumer.app.amqp.queues.consume_from, *_received(consumer)}),
        "clock": clock.last_tick(),
        "offset": machine_offset(_run),
        "settings": digests(settings()),
        "visibility_timeout": (conf.broker_transport_options or {}).get("visibility_timeout"),
        "acks_late": bool(conf.task_acks_late),
        "reject_on_worker_lost": bool(conf.task_reject_on_worker_lost),
        "prefetch": int(conf.worker_prefetch_multiplier),
    }
