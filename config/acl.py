"""What Redis must allow Settle, and nothing else: the rules of two ACL users, printed by `settle acl`.

`settle` is the user of workers, Flower and the `settle` command. `caller` is the user of another application that
triggers jobs and waits for them: it can neither read the ledger nor take a message out of a queue.

The commands of the ledger's Lua scripts are read from the scripts. The others are listed here; a test runs every
workflow under these rules and compares the lists with what Redis saw (`tests/security/test_whole_run.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

#: Sent in every run, by the ledger, by kombu and Celery, by Flower. `a|b` is the subcommand b of a.
COMMANDS = {
    *(
        "client|setinfo",
        "client|tracking",
        "hello",
        "info",
        "multi",
        "exec",
        "ping",
        "time",
        "evalsha",
        "script|exists",
        "script|load",
    ),
    *("del", "exists", "get", "set", "pexpire", "hdel", "hget", "hgetall", "hmget", "hset", "hsetnx"),
    *("brpop", "llen", "lpush", "sadd", "smembers", "srem", "xrange", "xread", "xrevrange"),
    *("echo", "zadd", "zcard", "zcount", "zrange", "zrangebyscore", "zrem", "zremrangebyscore", "zrevrange", "zscore"),
    *("publish", "psubscribe", "subscribe", "unsubscribe"),
}

#: Sent now and then, and why.
SELDOM = {
    "select": "another database than 0",
    "hlen": "settle restored",
    "persist": "a finished job is reopened by a person",
    "ltrim": "a message that is no trigger is refused",
    "setex": "an entry task breaks, with another broker than Redis",
    "mget": "a caller waits for many jobs and loses its connection; notifications by a provider's own names",
    "punsubscribe": "a worker closes its connection",
    "watch": "a message of a worker that was stopped goes back to its queue",
    "unwatch": "likewise",
    "rpop": "likewise",
    "rpush": "likewise",
    "zscan": "settle doctor --reindex",
    "zmscore": "a search by more than one thing on the Jobs page",
    "zrevrank": "a further page of the Jobs page's table",
    "wait": "behind Sentinel an intent is on a replica before its request leaves",
}

#: The ledger; the queues; results and events; what kombu keeps beside them. The empty key stands for "no announcement".
KEYS = ["", "settle:*", "settle.*", "celery", "celery??[369]", "celery-task-meta-*", "celeryev.*", "*.celery.pidbox*"]
KEYS += ["_kombu.binding*", "unacked", "unacked_index", "unacked_mutex"]

#: Sends a message, declares the queue as kombu does, reads results and waits for them.
CALLER_COMMANDS = {"client|setinfo", "hello", "ping", "multi", "exec", "evalsha", "script|load", "script|exists"}
CALLER_COMMANDS |= {"lpush", "llen", "exists", "sadd", "smembers", "zadd", "time", "info"}
CALLER_COMMANDS |= {"get", "mget", "subscribe", "unsubscribe"}
CALLER_KEYS = ["celery", "celery??[369]", "celery-task-meta-*", "_kombu.binding.celery"]
CALLER_KEYS += ["_kombu.binding_permanent.celery", "_kombu.binding_deadlines"]

#: By which redis-py gives its name; it goes on where that is refused.
_SINCE_7_2 = {"client|setinfo"}

ROLES = ("settle", "caller")


def of_scripts() -> set[str]:
    """The commands that the ledger's Lua scripts send, as they stand in them."""
    texts = [entry.read_text() for entry in (files("jobs") / "lua").iterdir() if entry.name.endswith(".lua")]
    return {name.lower() for text in texts for name in re.findall(r"redis\.p?call\('(\w+)'", text)}


def commands(role: str, *, redis: float = 8.0) -> set[str]:
    """What a role may send to this version of Redis."""
    wanted = COMMANDS | set(SELDOM) | of_scripts() if role == "settle" else CALLER_COMMANDS
    return wanted - (_SINCE_7_2 if redis < 7.2 else set())


def rules(role: str, *, database: int = 0, redis: float = 8.0, queues: Sequence[str] = ()) -> list[str]:
    """The rules of a user, as `ACL SETUSER name reset on >password …` takes them.

    Args:
        role: `settle` or `caller`.
        database: the number of the database, which stands in the names of kombu's channels.
        redis: its version; an older one refuses a rule about a command that it does not know.
        queues: of other applications, which tasks are sent to; for `settle`.
    """
    own = role == "settle"
    known = sorted({*KEYS, *(f"{queue}{end}" for queue in queues for end in ("", "??[369]"))})
    channels = [f"/{database}.celeryev/*", f"/{database}.celeryev/worker.*", f"/{database}.celery.pidbox"]
    return [
        *[f"~{key}" for key in (known if own else CALLER_KEYS)],
        *[f"&{channel}" for channel in (*(channels if own else ()), "celery-task-meta-*")],
        "-@all",
        *[f"+{command}" for command in sorted(commands(role, redis=redis))],
    ]
