"""Keys of Settle in Redis that hold something else, as a message does that is sent to a key as if it were a queue."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError

from config.checks.finding import Finding, refused, warning
from jobs.refusals import executed
from jobs.states import JobState

#: Puts a question into a pipeline that only a key of the right type answers.
Ask = Callable[[Any, str], object]


def _set(pipe: Any, key: str) -> object:
    return pipe.zcard(key)


def _hash(pipe: Any, key: str) -> object:
    return pipe.hlen(key)


def _list(pipe: Any, key: str) -> object:
    return pipe.llen(key)


def _text(pipe: Any, key: str) -> object:
    return pipe.get(key)


def _stream(pipe: Any, key: str) -> object:
    return pipe.xrevrange(key, count=1)


_STATES = [f"index:state:{state.value}" for state in JobState]
_OF_PROVIDER: dict[str, Ask] = {
    **dict.fromkeys(("due", "bundles", "sends", "index", "done", "notes:until", *_STATES), _set),
    **dict.fromkeys(("gate", "counts", "queue", "notes", "learnt", "index:tagged"), _hash),
    "events": _stream,
}
_INBOX = "settle:inbox:celery:"
_OF_INTAKE: dict[str, Ask] = {"held": _hash, "leases": _set, "counter": _text, "refused": _list}

#: Whether all keys may be looked through.
_MAY_SCAN = "return (not redis.acl_check_cmd or redis.acl_check_cmd('scan', '0')) and 1 or 0"

#: Jobs of a provider, and triggers, whose own keys are looked at: those that are due first.
_LOOKED_AT = 1000
#: So many keys are named.
_NAMED = 10


def keys(ledger: Redis, broker: Redis | None, providers: Iterable[str], queues: Iterable[str]) -> list[Finding]:
    """The keys that hold something else than Settle keeps there.

    Args:
        ledger: a client of the ledger with `decode_responses=True`.
        broker: likewise of the broker; none if that is no Redis.
        providers: whose keys are looked at.
        queues: of Settle.

    Raises:
        RedisError: Redis does not answer.
    """
    names = list(providers)
    found = _damaged(ledger, {f"settle:{{{name}}}:{part}": ask for name in names for part, ask in _OF_PROVIDER.items()})
    jobs = [(name, job_id) for name in names for job_id in _first(ledger, f"settle:{{{name}}}:due", found)]
    if broker is not None:
        intake = {f"{_INBOX}{part}": ask for part, ask in _OF_INTAKE.items()}
        found += _damaged(broker, {**intake, **dict.fromkeys(queues, _list)})
        jobs += _triggered(broker, found)
    of_jobs: dict[str, Ask] = {f"settle:{{{name}}}:job:{job_id}": _hash for name, job_id in jobs}
    found += _damaged(ledger, {**of_jobs, **{f"settle:owner:{job_id}": _text for _, job_id in jobs}})
    with suppress(NoPermissionError):  # Redis 6.2 has no way to ask whether it is allowed
        if ledger.register_script(_MAY_SCAN)():  # the user of `settle acl` may not
            found += [key for key in _pushed(ledger) if key not in found]
    more = [warning(f"{len(found) - _NAMED} more such keys", "remove these first, and ask again")]
    return [*map(_finding, found[:_NAMED]), *(more if len(found) > _NAMED else ())]


def _finding(key: str) -> Finding:
    return refused(
        f"the key {key!r} holds something else than Settle keeps there: what it is for stands still",
        f"find out who writes there, and remove it: redis-cli DEL {shlex.quote(key)}",
    )


def _damaged(client: Any, asked: dict[str, Ask]) -> list[str]:
    pipe = client.pipeline(transaction=False)
    for key, ask in asked.items():
        ask(pipe, key)
    answers = zip(asked, executed(pipe), strict=True)
    return [key for key, answer in answers if isinstance(answer, Exception) and "WRONGTYPE" in str(answer)]


def _first(client: Any, key: str, damaged: list[str]) -> list[str]:
    return list(client.zrange(key, 0, _LOOKED_AT - 1)) if key not in damaged else []


def _triggered(client: Any, damaged: list[str]) -> Iterator[tuple[str, str]]:
    """Provider and id of what was taken from the queue of triggers and is not recorded."""
    tokens = _first(client, f"{_INBOX}leases", damaged)
    if not tokens or f"{_INBOX}held" in damaged:
        return
    for text in client.hmget(f"{_INBOX}held", tokens):
        with suppress(ValueError, TypeError, KeyError, AttributeError, IndexError):
            headers = json.loads(text)["headers"]
            yield headers["task"].split(".")[1], str(headers["id"])


def _pushed(client: Any) -> Iterator[str]:
    """Lists among the keys of the ledger, where Settle keeps none."""
    for key in client.scan_iter(match="settle:*", count=1000, _type="list"):
        if not (key.startswith("settle:inbox:") and key.endswith(":refused")):
            yield key
