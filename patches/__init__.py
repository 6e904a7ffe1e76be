"""Cures for defects of Celery, kombu and redis-py, all put in place by `patch_once`.

One module per library, one function per patch. Nothing here imports anything of ours, and a library is imported only
when it is patched. `tests/patches` shows each defect without its patch, so a test fails when upstream is cured: then
the patch goes, and the lower bound in `pyproject.toml` rises.
"""

from __future__ import annotations

import logging
import threading

from patches import celery, kombu, redis
from patches.base import Outcome, Patch, State, apply

__all__ = ["PATCHES", "Outcome", "Patch", "State", "patch_once"]

logger = logging.getLogger(__name__)

_CELERY = ("5.7.0",)
_KOMBU = ("5.7.0",)
_REDIS = ("7.4.1", "8.0.0", "8.0.1", "8.1.0")

PATCHES = (
    Patch(
        "kombu.detached-channel",
        "kombu",
        _KOMBU,
        {"kombu.transport.redis:Channel._connparams": ("self", ...)},
        kombu.detached_channel,
    ),
    Patch(
        "kombu.lost-acknowledgement",
        "kombu",
        _KOMBU,
        {
            "kombu.transport.redis:QoS.ack": ("self", "delivery_tag"),
            "kombu.transport.virtual:QoS.ack": ("self", "delivery_tag"),
        },
        kombu.lost_acknowledgement,
    ),
    Patch(
        "kombu.kept-client",
        "kombu",
        _KOMBU,
        {"kombu.transport.redis:Channel._create_client": ("self", "asynchronous")},
        kombu.kept_client,
    ),
    Patch(
        "kombu.server-name",
        "kombu",
        _KOMBU,
        {"kombu.transport.pyamqp:Transport.establish_connection": ("self",)},
        kombu.server_name,
    ),
    Patch(
        "celery.reconnect-interval",
        "celery",
        _CELERY,
        {"celery.worker.consumer:Consumer.ensure_connected": ("self", "conn")},
        celery.reconnect_interval,
    ),
    Patch(
        "celery.stats-passwords",
        "celery",
        _CELERY,
        {"celery.worker.consumer.connection:Connection.info": ("self", "c")},
        celery.stats_passwords,
    ),
    Patch(
        "redis.not-the-primary",
        "redis",
        _REDIS,
        {"redis.sentinel:SentinelManagedConnection.read_response": ("self", ...)},
        redis.not_the_primary,
    ),
    Patch(
        "redis.ask-sentinels-again",
        "redis",
        _REDIS,
        {
            "redis.sentinel:SentinelManagedConnection.send_packed_command": ("self", ...),
            "redis.sentinel:SentinelManagedConnection._connect_retry": ("self",),
        },
        redis.ask_sentinels_again,
    ),
    Patch(
        "redis.ask-each-sentinel-once",
        "redis",
        _REDIS,
        {"redis.sentinel:Sentinel.__init__": ("self", ...), "redis.asyncio.sentinel:Sentinel.__init__": ("self", ...)},
        redis.ask_each_sentinel_once,
    ),
)

_outcomes: tuple[Outcome, ...] | None = None
_lock = threading.Lock()


def patch_once() -> tuple[Outcome, ...]:
    """Apply every patch, once per process, and warn of each library of an unknown version.

    Returns:
        What became of each patch.
    """
    global _outcomes
    if _outcomes is None:
        with _lock:
            if _outcomes is None:
                found = tuple(apply(patch) for patch in PATCHES)
                for outcome in found:
                    _warn(outcome)
                _outcomes = found
    return _outcomes


def _warn(outcome: Outcome) -> None:
    # All in the message: processes patch before they set up logging, and Python then prints the bare message.
    patch = outcome.patch
    about = (patch.name, patch.library, outcome.version, ",".join(patch.versions))
    if outcome.state is State.UNVERIFIED:
        logger.warning("patch_not_verified patch=%s library=%s version=%s known_versions=%s", *about)
    elif outcome.state is State.SKIPPED:
        logger.error("patch_not_applied patch=%s library=%s version=%s known_versions=%s", *about)
