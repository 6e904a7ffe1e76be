"""The rules that `settle acl` prints: what they refuse. That they are enough is shown by `test_whole_run.py`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from config import acl
from config.embedded import EmbeddedRedis, free_port
from patches.private import valkey_binary
from tests.forked import python
from tests.waiting import until


def as_user(server: EmbeddedRedis, name: str) -> redis.Redis:
    """A client in the name of one of the two users."""
    return redis.Redis(port=server.port, username=name, password="a-password")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A server that knows both."""
    with EmbeddedRedis(tmp_path_factory.mktemp("acl")) as server, redis.Redis.from_url(server.url) as admin:
        for role in acl.ROLES:
            admin.execute_command("ACL", "SETUSER", role, "reset", "on", ">a-password", *acl.rules(role))
        yield server


@pytest.fixture(params=acl.ROLES)
def client(request: pytest.FixtureRequest, server: EmbeddedRedis) -> Iterator[redis.Redis]:
    """Each of them."""
    with as_user(server, request.param) as connection:
        yield connection


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "GET", "*"),
        ("SHUTDOWN",),        ("ACL", "SETUSER", "settle", "+@all"), ("ACL", "LIST"), ("MONITOR",), ("SCAN", "0"),
        ("REPLICAOF", "NO", "ONE"), ("EVAL", "return 1", "0"), ("CLIENT", "KILL", "ID", "1"), ("DUMP", "celery"),
        ("GET", "anything else"), ("LPUSH", "another queue", "x"), ("PUBLISH", "another channel", "x"), ("SAVE",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_neither_user_may_do_harm(client: redis.Redis, command: tuple[str, ...]) -> None:
    """Refused by Redis itself."""
    with pytest.raises(NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize(
    "command",
    [
        ("LRANGE", "celery", "0", "-1"), ("RPOP", "celery"), ("DEL", "celery"), ("LPUSH", "settle.submit", "x"),
        ("HGETALL", "settle:{myipr}:job:certified"), ("GET", "settle:owner:certified"), ("HGETALL", "unacked"),
        ("HGETALL", "settle:inbox:celery:held"), ("SET", "celery-task-meta-certified", "x"),
        ("PUBLISH", "/0.celery.pidbox", "x"), ("PUBLISH", "celery-task-meta-certified", "x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_caller_may_only_trigger_and_wait(server: EmbeddedRedis, command: tuple[str, ...]) -> None:
    """It reads no ledger and no queue, steers no worker, and forges no result."""
    with as_user(server, "caller") as caller, pytest.raises(NoPermissionError):
        caller.execute_command(*command)


@pytest.mark.parametrize("name", sorted(acl.SELDOM))
def test_what_is_seldom_sent_is_allowed_on_the_queues(server: EmbeddedRedis, name: str) -> None:
    """Asked of Redis without doing it."""
    arguments: dict[str, tuple[str, ...]] = {
        "select": ("0",), "unwatch": (), "punsubscribe": (), "watch": ("unacked",),
        "persist": ("settle:owner:x",), "hlen": ("settle:inbox:celery:held",), "mget": ("celery-task-meta-x",),
        "ltrim": ("settle:inbox:celery:refused", "0", "1"), "setex": ("celery-task-meta-x", "1", "x"),
        "rpop": ("settle.poll",), "rpush": ("settle.poll", "x"), "wait": ("1", "0"),
        "zmscore": ("settle:{myipr}:index", "x"), "zrevrank": ("settle:{myipr}:index", "x"),
        "zscan": ("settle:{myipr}:index", "0"),
    }  # fmt: skip
    with redis.Redis.from_url(server.url) as admin:
        assert admin.execute_command("ACL", "DRYRUN", "settle", *name.split("|"), *arguments[name]) == b"OK"


def test_the_printed_line_is_a_line_of_an_acl_file(tmp_path: Path) -> None:
    """A server that starts with both lines knows both users."""
    port, lines = free_port(), []
    for role in acl.ROLES:
        done = python("-m", "workflows.command", "acl", "--role", role, env=os.environ)
        assert done.returncode == 0, done.stderr
        lines.append(done.stdout)
    users = tmp_path / "users.acl"
    users.write_text("".join(lines).replace(">PASSWORD", ">a-password"))
    server = subprocess.Popen(
        [str(valkey_binary()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--aclfile", str(users)],
        stdout=subprocess.DEVNULL,
    )
    try:
        for role in acl.ROLES:
            with redis.Redis(port=port, username=role, password="a-password") as client:

                def answers(client: redis.Redis = client) -> bool:
                    try:
                        return bool(client.ping())
                    except redis.ConnectionError:
                        return False

                until(answers, "the server with this ACL file")
                assert client.lpush("celery", "x") > 0
                with pytest.raises(NoPermissionError):
                    client.flushall()
    finally:
        server.kill()
        server.wait()
