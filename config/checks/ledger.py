"""Redis: whether it may quietly forget jobs, and whether it allows what Settle needs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from config import acl
from config.checks.finding import Finding, refused, warning

#: A script's round trip that takes longer makes every move slow, seconds.
_SLOW = 0.05

#: Asks Redis 7 or Valkey, command by command, whether the user who runs it may send them. The one text is allowed as a
#: key, as a channel and as a pattern of channels.
_ALLOWED = """
local denied = {}
for _, name in ipairs(ARGV) do
  local ok, allowed = pcall(redis.acl_check_cmd, name, KEYS[1], KEYS[1], KEYS[1])
  if ok and allowed == false then denied[#denied + 1] = name end
end
return denied
"""


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
        findings.append(refused(f"Redis {version} is too old", "use Redis 6.2 or later, or Valkey"))
    if info.get("role") != "master":
        findings.append(refused("this Redis is a replica: nothing can be written", "use the address of the primary"))
    return findings + _eviction(info) + _persistence(info) + _memory(info)


def _eviction(info: Mapping[str, Any]) -> list[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    remedy = "CONFIG SET maxmemory-policy noeviction"
    if policy == "noeviction":
        return []
    if int(info.get("maxmemory", 0)):
        return [refused(f"maxmemory-policy is {policy}: a full Redis would throw jobs away", remedy)]
    return [warning(f"maxmemory-policy is {policy}: as soon as maxmemory is set, jobs are thrown away", remedy)]


def _persistence(info: Mapping[str, Any]) -> list[Finding]:
    if int(info.get("loading", 0)):
        return [warning("Redis is still loading its file", "wait until it is done")]
    if not int(info.get("aof_enabled", 0)):
        return [warning("the append-only file is off: a restart loses jobs", "CONFIG SET appendonly yes")]
    findings = []
    if info.get("aof_last_write_status", "ok") != "ok":
        findings.append(refused("the append-only file cannot be written", "look at the disk of Redis"))
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        findings.append(
            warning("the append-only file could not be rewritten: it grows", "look at the log and the disk of Redis")
        )
    return findings


def _memory(info: Mapping[str, Any]) -> list[Finding]:
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used > 0.9 * limit:
        return [warning(f"memory is {used / limit:.0%} full: soon no job is accepted", "raise maxmemory")]
    return []


def reachable(client: Redis) -> list[Finding]:
    """The findings of a ledger that may not even answer."""
    try:
        return ledger(client)
    except NoPermissionError:
        return [refused("this user of Redis may not send INFO", "give it the rules that `settle acl` prints")]
    except RedisError as error:
        what = f"Redis does not answer ({type(error).__name__})"
        return [refused(what, "check SETTLE_REDIS_URL, and that the server runs")]


def _ping(redis: Any) -> float:
    started = time.monotonic()
    redis.ping()
    return time.monotonic() - started


def usable(client: Redis) -> list[Finding]:
    """Whether scripts may be loaded and run, keys be written, and how long that takes.

    Raises:
        RedisError: it does not answer any more.
    """
    redis: Any = client
    key = f"settle:doctor:{uuid.uuid4().hex}"
    try:
        latency = min(_ping(redis) for _ in range(3))  # one may have met a busy moment
        redis.set(key, "", ex=60)
        redis.delete(key)
        script = redis.register_script(_ALLOWED)
        plain = sorted(name for name in acl.commands("settle") if "|" not in name)
        # Redis 6.2 has no way to ask: there a denied command shows only when it is needed.
        asked = plain if redis.register_script("return redis.acl_check_cmd and 1 or 0")() else []
        denied = script(keys=["celery-task-meta-*"], args=asked)
    except NoPermissionError:
        return [
            refused(
                "this user of Redis may not run scripts, or not write keys that begin with settle:",
                "give it the rules that `settle acl` prints",
            )
        ]
    findings = []
    if denied:
        what = f"this user of Redis may not send {', '.join(sorted(denied)).upper()}"
        findings.append(refused(what, "give it the rules that `settle acl` prints"))
    if latency > _SLOW:
        findings.append(
            warning(f"Redis takes {latency * 1000:.0f} ms for a PING: every move waits for it", "run it nearer")
        )
    return findings
