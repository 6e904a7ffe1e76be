"""What may go wrong with the set-up, looked at before it does: by `settle doctor`, and by every worker as it starts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis import Redis
from redis.exceptions import RedisError


class Level(StrEnum):
    """How bad a finding is."""

    REFUSED = "refused"  #: jobs would be lost, or cannot be written at all
    WARNING = "warning"  #: jobs may be lost in a bad moment, or a provider differs from what is assumed
    FINE = "fine"  #: looked at, and as it should be


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    level: Level
    what: str
    remedy: str


def ledger(client: Redis) -> list[Finding]:
    """Whether this Redis may quietly forget jobs.

    Raises:
        RedisError: it does not answer.
    """
    redis: Any = client
    info = redis.info()
    findings = []
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < (6, 2):
        findings.append(Finding(Level.REFUSED, f"Redis {version} is too old", "use Redis 6.2 or later, or Valkey"))
    if info.get("role") != "master":
        findings.append(
            Finding(Level.REFUSED, "this Redis is a replica: nothing can be written", "use the address of the primary")
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and int(info.get("maxmemory", 0)):
        findings.append(
            Finding(
                Level.REFUSED,
                f"maxmemory-policy is {policy}: a full Redis would throw jobs away",
                "CONFIG SET maxmemory-policy noeviction",
            )
        )
    elif policy != "noeviction":
        findings.append(
            Finding(
                Level.WARNING,
                f"maxmemory-policy is {policy}: as soon as maxmemory is set, jobs are thrown away",
                "CONFIG SET maxmemory-policy noeviction",
            )
        )
    if not int(info.get("aof_enabled", 0)):
        findings.append(
            Finding(Level.WARNING, "the append-only file is off: a restart loses jobs", "CONFIG SET appendonly yes")
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        findings.append(Finding(Level.REFUSED, "the append-only file cannot be written", "look at the disk of Redis"))
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used > 0.9 * limit:
        findings.append(
            Finding(Level.WARNING, f"memory is {used / limit:.0%} full: soon no job is accepted", "raise maxmemory")
        )
    return findings


def reachable(client: Redis) -> list[Finding]:
    """The findings of a ledger that may not even answer."""
    try:
        return ledger(client)
    except RedisError as error:
        what = f"Redis does not answer ({type(error).__name__})"
        return [Finding(Level.REFUSED, what, "check SETTLE_REDIS_URL, and that the server runs")]
