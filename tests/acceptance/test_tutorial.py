"""The tutorial, done: its code taken from the page, installed as a stranger's package, and run by a real worker."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config.embedded import free_port
from jobs.errors import JobFailed
from tests.notices import OTHER_SECRET, SECRET
from tests.packages import ROOT, blocks, install
from tests.waiting import until
from workflows.command.stack import Process, running

from .acme import KEY, PROOF, Acme, serving
from .conftest import PYTHON, House, _house
from .servers import Servers

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

PAGE = ROOT / "docs" / "add-a-provider.md"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the tutorial's package."""
    tmp = tmp_path_factory.mktemp("package")
    install({**blocks(PAGE), "acme_prints/__init__.py": ""}, tmp / "acme-prints", tmp / "installed")
    return tmp / "installed"


@contextmanager
def _shop(tmp: Path, installed: Path, **settings: str) -> Iterator[tuple[House, Acme]]:
    with ExitStack() as exits:
        acme = exits.enter_context(serving())
        house = _house(tmp, exits.enter_context(Servers(tmp)), exits)
        house.environment.update(
            PYTHONPATH=str(installed), SETTLE_ACME__BASE_URL=acme.url, SETTLE_ACME__API_KEY=KEY, **settings
        )
        house.worker("-P", "threads", "-c", "2")
        yield house, acme


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[tuple[House, Acme]]:
    """The invented API, and a house with the tutorial's package and one worker; nothing is told, all is polled."""
    quick = {"SETTLE_ACME__POLL_FIRST": "0.1", "SETTLE_ACME__POLL_MINIMUM": "0.1", "SETTLE_ACME__POLL_MAXIMUM": "0.5"}
    with _shop(tmp_path_factory.mktemp("tutorial"), installed, SETTLE_DOUBT_GRACE="0.3", **quick) as found:
        yield found


def test_the_page_keeps_its_promise() -> None:
    """One module and one workflow, together below 100 lines."""
    code = blocks(PAGE)
    assert set(code) == {"pyproject.toml", "acme_prints/provider.py", "acme_prints/workflow.py"}
    assert sum(len(text.splitlines()) + 1 for name, text in code.items() if name.endswith(".py")) < 100


def test_a_job_to_its_verified_file(shop: tuple[House, Acme]) -> None:
    """The page's own example: submitted once, polled, fetched, verified, and shown by the other commands."""
    house, acme = shop
    body = json.dumps({"motif": "harbour", "copies": 2})
    done = house.settle("submit", "acme.make", "--input", "-", "--id", "print-1", "--wait", "--json", stdin=body)
    assert done.returncode == 0, done.stderr
    (proof,) = json.loads(done.stdout)["artifacts"]
    assert proof["verification"] == "verified"
    assert proof["sha256"] == hashlib.sha256(PROOF).hexdigest()
    assert Path(urlsplit(proof["uri"]).path).read_bytes() == PROOF
    assert acme.posts[-1] == {"motif": "harbour", "copies": 2, "reference": "print-1"}
    assert acme.asked("harbour") == 1
    listed = house.settle("list", "--provider", "acme", "--state", "succeeded")
    assert "print-1" in [line.split("\t")[0] for line in listed.stdout.splitlines()]
    asked = house.settle("doctor", "--provider", "acme")
    assert (asked.returncode, "the key is good" in asked.stdout) == (0, True), asked.stdout + asked.stderr
    until(
        lambda: [line for line in house.log if "unknown_status_word" in line and "varnishing" in line], "the new word"
    )


def test_a_trigger_from_another_application(shop: tuple[House, Acme]) -> None:
    """By name, with nothing of Settle or the package installed; a bad body never reaches the API."""
    house, acme = shop
    assert house.send("acme.make", {"motif": "beach"}, "sent-1").get(timeout=40)["state"] == "succeeded"
    with pytest.raises(Exception, match="copies:"):
        house.send("acme.make", {"motif": "never", "copies": 0}, "sent-2").get(timeout=40)
    assert (acme.asked("beach"), acme.asked("never")) == (1, 0)


def test_a_lost_answer_is_found_again(shop: tuple[House, Acme]) -> None:
    """The POST arrived and its answer did not: the job is located by its reference, and not sent again."""
    house, acme = shop
    outcome = house.send("acme.make", {"motif": "lost"}, "lost-1").get(timeout=40)
    assert (outcome["state"], outcome["artifacts"][0]["verification"]) == ("succeeded", "verified")
    assert (acme.asked("lost"), acme.taken("lost")) == (1, 1)


def test_a_lost_request_is_sent_again(shop: tuple[House, Acme]) -> None:
    """The connection broke and the API has nothing: only then a second POST, and one job."""
    house, acme = shop
    assert house.send("acme.make", {"motif": "dropped"}, "dropped-1").get(timeout=40)["state"] == "succeeded"
    assert (acme.asked("dropped"), acme.taken("dropped")) == (2, 1)


@pytest.mark.parametrize(
    ("motif", "told"), [("forbidden", "not printed"), ("rejected", "out of ink"), ("spoilt", "SHA-256")]
)
def test_each_failure_is_told(shop: tuple[House, Acme], motif: str, told: str) -> None:
    """Refused at once, failed later, and a file that is not what was promised."""
    house, acme = shop
    with pytest.raises(Exception, match=told) as failed:
        house.send("acme.make", {"motif": motif}, f"{motif}-1").get(timeout=40)
    assert type(failed.value).__name__ == JobFailed.__name__
    assert acme.asked(motif) == 1


def test_the_gate_closes_for_it(shop: tuple[House, Acme]) -> None:
    """A paused provider takes jobs and sends nothing until it is resumed."""
    house, acme = shop
    assert house.settle("pause", "--provider", "acme").returncode == 0
    waiting = house.send("acme.make", {"motif": "gate"}, "gate-1")
    until(lambda: waiting.state == "ACCEPTED", "the job to be accepted")
    assert house.send("lettrlabs.delete", {"id": 1}, "others-go-on").get(timeout=40, propagate=False)
    assert acme.asked("gate") == 0
    assert house.settle("resume", "--provider", "acme").returncode == 0
    assert waiting.get(timeout=40)["state"] == "succeeded"


def test_news_from_the_api_comes_before_the_next_poll(tmp_path: Path, installed: Path) -> None:
    """The next poll is half a minute away. A forged notification changes nothing, a genuine one brings it at once."""
    port = str(free_port())
    rare = {"SETTLE_ACME__POLL_FIRST": "30", "SETTLE_ACME__POLL_MINIMUM": "0.5", "SETTLE_ACME__POLL_MAXIMUM": "60"}
    login = {"SETTLE_FLOWER__PASSWORD": "not-a-secret", "SETTLE_FLOWER__PORT": port}
    address = f"http://127.0.0.1:{port}/hooks/acme"
    with _shop(tmp_path, installed, **rare, **login, SETTLE_ACME__WEBHOOK_SECRET=SECRET) as (house, acme):
        flower = Process("flower", [PYTHON, "-m", "workflows.command", "flower"], house.environment, lambda *_: None)
        with running(flower):
            flower.wait_for("Visit me at")
            assert acme.tell(address, "slow-1") == 202  # before there is such a job
            waiting = house.send("acme.make", {"motif": "slow"}, "slow-1")
            until(lambda: waiting.state == "POLLING", "the job to be polled")
            for polls in (1, 2):  # the words before its end
                assert acme.tell(address, "slow-1") == 202
                until(lambda polls=polls: house.ledger.get("slow-1").polls == polls, "the poll that was told")
            acme.finish("slow-1")
            seen = house.ledger.get("slow-1")
            assert acme.tell(address, "slow-1", OTHER_SECRET) == 401
            assert house.ledger.get("slow-1") == seen
            until(lambda: house.ledger.now() - seen.updated_at > 0.6, "POLL_MINIMUM to be over")
            begun = time.monotonic()
            assert acme.tell(address, "slow-1") == 202
            assert waiting.get(timeout=20)["state"] == "succeeded"
            took = time.monotonic() - begun
    assert took < 5
