"""What goes wrong is one line with the remedy: no traceback, and nothing secret."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from redis import exceptions as of_redis

from config.checks import Level
from config.embedded import free_port
from config.settings import settings as configured
from workflows.command import Exit, dev, doctor
from workflows.command.trouble import explain

from .conftest import House, Settle

SECRET = "tops3cret"


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second try: a lost connection is told at once."""
    monkeypatch.setattr("redis.retry.Retry.call_with_retry", lambda self, do, fail, *_, **__: do())


BAD = [
    ("SETTLE_REDIS_URL", f"http://:{SECRET}@host", "must begin with one of redis://"),
    ("SETTLE_REDIS_URL", f"redis://:{SECRET}/x@host:6379", "not an address that can be read; write it as redis://"),
    ("SETTLE_REDIS_URL", f"redis://:{SECRET}@host:port", "not an address that can be read"),
    ("SETTLE_REDIS_URL", f"redis://:{SECRET}@[::1", "not an address that can be read"),
    ("SETTLE_REDIS_URL", f"sentinel://:{SECRET}@a:1/1;sentinel://b:2/2", "all Sentinels need the same"),
    ("SETTLE_BROKER_URL", f"amq://user:{SECRET}@host", "must begin with one of"),
    ("SETTLE_BROKER_URL", f"amqp://user:{SECRET}#1@host:1:2", "not an address that can be read"),
    ("SETTLE_REDIS_PASSWORD", SECRET, "the address has a password already"),
    ("SETTLE_MYIPR", f'{{"api_key": "{SECRET}"', "SETTLE_MYIPR, or a list or group in SETTLE_MYIPR__…: not JSON"),
    ("SETTLE_MYIPR__DOWNLOAD_HOSTS", SECRET, "not JSON; write it as JSON"),
    ("SETTLE_MYIPR__API_KEY__NAME", SECRET, "SETTLE_MYIPR__API_KEY"),
    ("SETTLE_FLOWER", f'{{"passwort": "{SECRET}"}}', "SETTLE_FLOWER__PASSWORT"),
    ("SETTLE_REDIS_PASWORD", SECRET, "is not a setting of Settle: check its spelling, or unset it; did you mean"),
    ("SETTLE_SECRETS_DIR", "/nowhere/at/all", "SETTLE_SECRETS_DIR: /nowhere/at/all cannot be read"),
]


@pytest.mark.parametrize(("variable", "value", "said"), BAD, ids=[f"{n}-{bad[0]}" for n, bad in enumerate(BAD)])
@pytest.mark.parametrize("command", ["list", "submit lettrlabs.delete --input body.json"])
def test_a_bad_setting_is_named_and_not_quoted(
    settle: Settle,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    variable: str,
    value: str,
    said: str,
) -> None:
    """Exit code 5, the variable, and what to do."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body.json").write_text('{"id": 1}')
    monkeypatch.setenv("SETTLE_REDIS_URL", f"redis://:{SECRET}@127.0.0.1:{free_port()}/0")
    monkeypatch.setenv(variable, value)
    done = settle(*command.split())
    assert (done.code, done.out) == (5, "")
    assert variable.split("__")[0] in done.err
    assert said in done.err
    assert SECRET not in done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("settle: ")


@pytest.mark.parametrize("command", ["list", "status x", "watch", "wait x", "pause x"])
def test_a_redis_that_is_away(settle: Settle, monkeypatch: pytest.MonkeyPatch, away: None, command: str) -> None:
    """Where it was looked for, without the password; exit code 5."""
    port = free_port()
    monkeypatch.setenv("SETTLE_REDIS_URL", f"redis://user:{SECRET}@127.0.0.1:{port}/3?password={SECRET}")
    done = settle(*command.split())
    assert (done.code, done.out) == (5, "")
    assert (
        done.err
        == f"settle: Redis does not answer (ConnectionError): check SETTLE_REDIS_URL (redis://127.0.0.1:{port}/3)\n"
    )


def test_no_redis_at_all(settle: Settle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a setting nor a server in this folder."""
    monkeypatch.chdir(tmp_path)
    done = settle("list")
    assert done.code == 5
    assert "set SETTLE_REDIS_URL, or start `settle dev`" in done.err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (of_redis.OutOfMemoryError(SECRET), "Redis is full, so no job is accepted: raise its maxmemory"),
        (of_redis.BusyLoadingError(SECRET), "Redis is loading its data"),
        (of_redis.NoPermissionError(SECRET), "give it the rules that `settle acl` prints"),
        (
            of_redis.AuthenticationError(SECRET),
            "does not accept the login: check user and password",
        ),
        (of_redis.ReadOnlyError(SECRET), "is a replica and takes no writes"),
        (
            of_redis.TimeoutError(SECRET),
            "not answer (TimeoutError): check SETTLE_REDIS_URL (redis://there:1/2)",
        ),
        (
            OperationalError(SECRET),
            "not answer (OperationalError): check SETTLE_BROKER_URL (amqp://here//)",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "report.csv"), "report.csv: No space left on device"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_trouble_has_its_remedy(
    monkeypatch: pytest.MonkeyPatch, settle: Settle, error: Exception, said: str
) -> None:
    """Addresses without passwords; of the error itself its kind."""
    monkeypatch.setenv("SETTLE_REDIS_URL", f"redis://user:{SECRET}@there:1/2")
    monkeypatch.setenv("SETTLE_BROKER_URL", f"amqp://user:{SECRET}@here//")
    told = explain(error)
    assert told is not None
    assert said in told[0]
    assert SECRET not in told[0]
    assert told[1] is Exit.SETUP


def test_a_defect_keeps_its_traceback() -> None:
    """It is nobody's mistake but ours."""
    assert explain(KeyError("x")) is None


def test_an_interruption(house: House, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """130, as shells have it."""

    def find(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(house.ledger, "find", find)
    done = settle("list")
    assert (done.code, done.err.strip()) == (130, "settle: interrupted")


def test_a_reader_that_has_seen_enough() -> None:
    """As `settle … | head`: no word about it."""
    settle = [sys.executable, "-m", "workflows.command", "acl"]
    with subprocess.Popen(settle, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_signing_key_that_cannot_be_read_is_not_quoted(monkeypatch: pytest.MonkeyPatch, settle: Settle) -> None:
    """Nor is an API key."""
    monkeypatch.setenv("SETTLE_COMMONSDB__BASE_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("SETTLE_COMMONSDB__API_KEY", SECRET)
    monkeypatch.setenv("SETTLE_COMMONSDB__SIGNING_KEY", f'{{"kty": "{SECRET}"}}')
    configured.cache_clear()
    found = doctor.ask("commonsdb")
    assert [finding.level for finding in found] == [Level.REFUSED]
    assert SECRET not in repr(found)


BODIES = ["{", "[1]", '"text"', f'{{"id": "{SECRET}"}}', f'{{"{SECRET * 20}": 1}}']


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bad_input_is_not_quoted(house: House, settle: Settle, tmp_path: Path, body: str) -> None:
    """The field at most."""
    (tmp_path / "body.json").write_text(body)
    done = settle("submit", "lettrlabs.delete", "--input", "body.json", "--tag", f"shop={SECRET}")
    assert (done.code, done.out) == (2, "")
    assert SECRET not in done.err.replace(SECRET * 20, "")
    assert done.err.count("\n") == 1
    assert "id" in done.err or "input" in done.err


def test_a_password_that_is_set_is_not_shown_by_dev(settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one that was made up for this run."""

    class Stack:
        simulator_url = "http://127.0.0.1:1"

        def __init__(self, *_: object, **__: object) -> None:
            self.environment = dict(environment)

        def __enter__(self) -> Stack:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def start(self, *_: object) -> Any:
            return type("Page", (), {"wait_for": lambda *_: ""})

    class Ended:
        def wait(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(dev, "Stack", Stack)
    monkeypatch.setattr(dev.threading, "Event", Ended)
    monkeypatch.setattr(dev.signal, "signal", lambda *_: None)
    environment: dict[str, str] = {"SETTLE_FLOWER__PASSWORD": SECRET}
    done = settle("dev")
    assert (done.code, SECRET in done.out, "the password that is set" in done.out) == (0, False, True)
    environment = {}
    assert "the password that is set" not in settle("dev").out


def test_json_and_errors_do_not_mix(house: House, settle: Settle) -> None:
    """Standard output has nothing but JSON; an error stands on standard error as ever."""
    house.job("a")
    done = settle("wait", "a", "--timeout", "0", "--json")
    assert [json.loads(line)["job_id"] for line in done.out.splitlines()] == ["a"]
    done = settle("status", "b", "--json")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("settle: no job 'b' in the ledger")
