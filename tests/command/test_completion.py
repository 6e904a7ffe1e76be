"""Completion as a shell asks for it: names of commands, workflows, providers, states and the latest jobs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from click.shell_completion import ShellComplete

from config.embedded import EmbeddedRedis, free_port
from config.settings import settings as configured
from jobs.ledger import Ledger
from jobs.outbox import TARGETS
from jobs.record import Job
from jobs.states import JobState
from providers import discover
from workflows.command import completion
from workflows.command import settle as root

from .conftest import Settle

#: Of some of the sixty jobs; of the first ten only, `old` is.
_TAGS = {3: {"old": "1"}, 20: {"shop": "8"}, 40: {"day": "so so", "shop": "8"}, 41: {"shop": "9"}}


def _offered(*words: str) -> list[str]:
    """What is offered for the last of these words."""
    configured.cache_clear()
    asked = ShellComplete(root, {}, "settle", completion.ASKED_BY)
    return [item.value for item in asked.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def jobs(redis_server: EmbeddedRedis, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Sixty jobs of two providers in a real Redis, and the settings that lead there."""
    ledger = Ledger(redis_client)
    for number in range(60):
        name, at = ("myipr", "lettrlabs")[number % 2], 1_700_000_000.0 + number
        tags = _TAGS.get(number, {})
        ledger.accept(Job(f"job-{number:02}", name, f"{name}.do", JobState.POLLING, at, at + 60, due_at=at, tags=tags))
    monkeypatch.setenv("SETTLE_REDIS_URL", redis_server.url)
    return ledger


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["st"], ["status"]),
        (["re"], ["resolve", "resume", "replay", "restored"]),
        (["submit", "myipr."], ["myipr.certify"]),
        (["submit", "lettrlabs.c"], ["lettrlabs.convert"]),
        (["list", "--state", "s"], ["submitting", "succeeded"]),
        (["list", "--state", "un"], ["unfinished"]),
        (["list", "--provider", "m"], ["myipr"]),
        (["pause", "--provider", "l"], ["lettrlabs"]),
        (["list", "--si"], ["--since"]),
        (["completion", "z"], ["zsh"]),
        (["submit", "--format", "j"], ["json", "jsonl"]),
        (["submit", "myipr.certify", "--input", ""], [""]),  # a file: the shell's own business
    ],
    ids=str,
)
def test_names_are_completed(words: list[str], offered: list[str]) -> None:
    """Without any Redis."""
    assert _offered(*words) == offered


def test_all_that_are_installed_are_offered() -> None:
    """And nothing else."""
    assert _offered("watch", "--provider", "") == list(discover())
    assert len(_offered("submit", "")) == 7


@pytest.mark.parametrize(
    "words", [["status"], ["wait", "x"], ["watch"], ["cancel"], ["pause"], ["resolve"], ["list", "--after"]], ids=str
)
def test_the_latest_jobs_are_offered(jobs: Ledger, words: list[str]) -> None:
    """Newest first, of all providers."""
    assert _offered(*words, "") == [f"job-{number:02}" for number in reversed(range(10, 60))]
    assert _offered(*words, "job-3") == [f"job-{number:02}" for number in reversed(range(30, 40))]
    assert _offered(*words, "another") == []


@pytest.fixture
def targets(jobs: Ledger, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook and a task that are configured, and one more of which Redis still knows."""
    monkeypatch.setenv("SETTLE_WEBHOOKS__SHOP__URL", "https://shop.example.org/hooks")
    monkeypatch.setenv("SETTLE_WEBHOOKS__SHOP__SECRETS", "whsec_" + "c2VjcmV0" * 4)
    monkeypatch.setenv("SETTLE_DOWNSTREAM__BILLING__TASK", "billing.paid")
    monkeypatch.setenv("SETTLE_DOWNSTREAM__BILLING__QUEUE", "billing")
    redis_client.sadd(TARGETS, "former", "shop")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["dead"], ["billing", "former", "shop"]),
        (["replay", "--target"], ["billing", "former", "shop"]),
        (["enable"], ["billing", "former", "shop"]),
        (["forget"], ["former"]),  # one that is configured would be refused
        (["test"], ["shop"]),  # only a webhook can be tried
    ],
    ids=str,
)
def test_targets_are_offered(targets: None, words: list[str], offered: list[str]) -> None:
    """Those of the settings, and those for which something may wait."""
    assert _offered("webhooks", *words, "") == offered
    assert _offered("webhooks", *words, "sh") == [name for name in offered if name == "shop"]


def test_without_redis_there_are_those_of_the_settings(targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are known without it."""
    monkeypatch.setenv("SETTLE_REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    assert _offered("webhooks", "enable", "") == ["billing", "shop"]
    assert _offered("list", "--tag", "") == _offered("webhooks", "forget", "") == []


@pytest.mark.parametrize("words", [["list"], ["submit", "myipr.certify"], ["certify", "file.bin"]], ids=str)
def test_tags_of_the_latest_jobs_are_offered(jobs: Ledger, words: list[str]) -> None:
    """Each once, the latest first; what only older jobs have is not looked for."""
    assert _offered(*words, "--tag", "") == ["shop=9", "day=so so", "shop=8"]
    assert _offered(*words, "--tag", "shop=") == ["shop=9", "shop=8"]


def test_tags_cost_two_round_trips(jobs: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs and providers there are."""
    trips: list[int] = []
    real = redis.client.Pipeline.execute
    monkeypatch.setattr(
        redis.client.Pipeline, "execute", lambda pipe, **how: (trips.append(len(pipe)), real(pipe, **how))[1]
    )
    monkeypatch.setattr(redis.Redis, "execute_command", lambda *_: pytest.fail("a round trip of its own"))
    _offered("list", "--tag", "")
    assert trips == [len(discover()), 50]


def test_they_cost_one_round_trip(jobs: Ledger, redis_client: redis.Redis) -> None:
    """One command for each provider, sent together; no record is read."""
    redis_client.config_resetstat()
    _offered("status", "")
    stats = redis_client.info("commandstats")
    calls = {name: stat["calls"] for name, stat in stats.items()}
    assert calls.pop("cmdstat_zrevrange") == len(discover())
    assert not {
        name
        for name in calls
        if name.split("_")[1] not in ("auth", "hello", "client|setinfo", "config|resetstat", "info", "select")
    }


def test_a_redis_that_is_away_offers_nothing_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nor does a wrong setting; and it does not take long."""
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    for name, value in (
        ("SETTLE_LOG_LEVEL", "INFO"),  # no Redis at all
        ("SETTLE_REDIS_URL", f"redis://127.0.0.1:{free_port()}"),
        ("SETTLE_REDIS_URL", "nonsense"),
    ):
        monkeypatch.setenv(name, value)
        assert _offered("status", "") == []
    assert time.monotonic() - began < 5
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_by_the_right_name(settle: Settle, shell: str) -> None:
    """As click reads it."""
    done = settle("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"{completion.ASKED_BY}={shell}_complete" in done.out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("list --state in", "in_doubt"),
        ("list --state = in", "in_doubt"),
        ("list --tag sh", "shop=9 shop=8"),
        ("list --state =", " ".join([*map(str, JobState), "unfinished", "finished"])),
        ("list --tag shop =", "9 8"),
        ("submit --tag shop = 9 myipr", "myipr.certify"),
        ("list --tag shop = 9", "9"),
        ("list --tag = shop = 9", "9"),
    ],
)
def test_bash_completes(tmp_path: Path, jobs: Ledger, words: str, offered: str) -> None:
    """The script in a real bash, with the command on its path; bash takes words apart at `=`."""
    command = tmp_path / "settle"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m workflows.command "$@"\n')
    command.chmod(0o755)
    script = (
        f'eval "$(settle completion bash)"; COMP_WORDS=(settle {words}); COMP_CWORD={len(words.split())}; '
        '_settle_completion settle; echo "${COMPREPLY[*]}"'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    root_folder = Path(__file__).parents[2]
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": path},
        cwd=root_folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{offered}\n", "")
