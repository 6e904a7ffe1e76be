"""`--json`: every command prints what the schema says, and a job is told whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
import pytest

from jobs.artifacts import Artifact, DigestRule, Verification
from jobs.record import Failure
from jobs.states import JobState, Wish
from simulator.account import Account, JobAccount, ProviderAccount
from workflows.command import demo, shapes
from workflows.command import settle as root
from workflows.command.reference import commands

from .conftest import House, Settle
from .schema import checked

S = JobState


def test_every_command_that_prints_data_has_it() -> None:
    """The schema names just these."""
    with click.Context(root) as context:
        all_of_them = commands(root, context)
    has = {name for name, each in all_of_them.items() if any("--json" in param.opts for param in each.params)}
    assert has == {*shapes.PRINTED, "events"}  # events have a schema of their own
    until_ended = {"beat", "dev", "flower", "simulate", "webhooks run"}
    assert set(all_of_them) - has == {"completion", "webhooks", *until_ended}


def test_a_job_is_told_whole(house: House, settle: Settle) -> None:
    """Every field of the outcome, and none that the schema does not name; what is empty inside a result stays."""
    full = house.job(
        "full",
        S.EXPIRED,
        tags={"shop": "7"},
        receipt={"remote_id": 17},
        submitted_at=house.clock.now(),
        polls=3,
        word="in_progress",
        progress=40,
        message="half",
        result={"accepted": None, "rejected_orders": ["e5", None]},
        failure=Failure("late", "too late", "look there"),
        artifacts=(
            Artifact(
                "a.pdf",
                sha256="ab" * 32,
                uri="file:///a.pdf",
                stored_size=7,
                stored_sha256="ab" * 32,
                rule=next(iter(DigestRule)),
                distinct=True,
                verification=Verification.VERIFIED,
            ),
        ),
        root="first",
        parent="before",
        next="after",
        sent=("billing.paid",),
        then=({"workflow": "myipr.certify", "name": "certificate"},),
    )
    house.job("other", S.POLLING, wish=Wish.PAUSE, then=full.then)
    for job_id in ("full", "other"):
        (told,) = checked("status", settle("status", job_id, "--json").out)
        assert told == json.loads(json.dumps(house.ledger.get(job_id).outcome()))
    named = set(full.outcome()) | set(house.ledger.get("other").outcome())
    assert named == set(shapes.Job.model_fields)


def test_jobs_are_told_line_by_line(house: House, settle: Settle) -> None:
    """`list` and `wait`; the exit code of `wait` is that of the first that did not succeed."""
    house.job("a", S.SUCCEEDED, result={"version_id": "v"})
    house.job("b", S.FAILED, failure=Failure("refused", "no", None))
    assert [line["job_id"] for line in checked("list", settle("list", "--json").out)] == ["b", "a"]
    done = settle("wait", "a", "b", "--json")
    assert [line["state"] for line in checked("wait", done.out)] == ["succeeded", "failed"]
    assert (done.code, done.err) == (1, "")
    house.job("c")
    assert settle("wait", "c", "--timeout", "0", "--json").code == 4
    assert [line["state"] for line in checked("watch", settle("watch", "a", "b", "--json").out)] == [
        "succeeded",
        "failed",
    ]


def test_a_job_is_submitted_and_acted_on(house: House, settle: Settle, tmp_path: Path) -> None:
    """`submit`, `certify`, and what a person does; what is printed is the job as it is then."""
    body = {"name": "n", "category_id": "10", "hash": "ab" * 32, "size": "12"}
    (tmp_path / "body.json").write_text(json.dumps(body))
    done = settle("submit", "myipr.certify", "--input", "body.json", "--id", "s", "--tag", "shop=7", "--json")
    (told,) = checked("submit", done.out)
    assert (told["state"], told["tags"], done.code) == ("accepted", {"shop": "7"}, 0)
    (tmp_path / "file.bin").write_bytes(b"x" * 3_000_000)
    (told,) = checked("certify", settle("certify", "file.bin", "--category-id", "10", "--id", "c", "--json").out)
    assert told["job_id"] == "c"
    assert (house.ledger.get("c").request or {})["size_bytes"] == 3_000_000

    (told,) = checked("pause", settle("pause", "s", "--json").out)
    assert told["wish"] == "pause"
    (told,) = checked("resume", settle("resume", "s", "--json", "--deadline", "2h").out)
    assert "wish" not in told
    assert told["deadline_at"] == pytest.approx(house.clock.now() + 7200)
    (told,) = checked("cancel", settle("cancel", "s", "--json").out)
    assert told["wish"] == "cancel"
    house.job("doubt", S.IN_DOUBT, request=body)
    (told,) = checked("resolve", settle("resolve", "doubt", "--remote-id", "r-1", "--json").out)
    assert (told["state"], told["remote_id"]) == ("polling", "r-1")
    house.job("broken", S.FAILED, artifacts=(Artifact("a.pdf", link="/a"),))
    (told,) = checked("replay", settle("replay", "broken", "--json").out)
    assert told["state"] == "fetching"


def test_a_provider_is_told_when_its_gate_moves(house: House, settle: Settle) -> None:
    """With the time until it opens; in a pipe a line."""
    (told,) = checked("pause", settle("pause", "--provider", "myipr", "--for", "90s", "--json").out)
    assert (told["provider"], told["gate"]) == ("myipr", "closed")
    assert told["paused_until"] == pytest.approx(house.clock.now() + 90)
    (told,) = checked("resume", settle("resume", "--provider", "myipr", "--json").out)
    assert (told["gate"], "paused_until" in told) == ("open", False)
    assert settle("pause", "--provider", "myipr").out == "myipr: paused\n"


def test_a_bulk_run_tells_its_sums(house: House, settle: Settle, tmp_path: Path) -> None:
    """And each line, in the report."""
    good = {"name": "n", "category_id": "10", "hash": "ab" * 32, "size": "12"}
    lines = [good, {**good, "hash": "no hash"}, good, {**good, "name": "m"}]
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, lines)))
    command = ("submit", "myipr.certify", "--input", "lines.jsonl", "--report", "report.jsonl", "--json")
    done = settle(*command, "--skip-bad", "--duplicates", "skip")
    assert checked("submit", done.out) == [{"lines": 4, "invalid": 1, "duplicates": 1, "jobs": {"created": 2}}]
    report = checked("report", (tmp_path / "report.jsonl").read_text())
    assert [line["state"] for line in report] == ["created", "invalid", "duplicate", "created"]
    assert report[1]["field"] == "hash"


def test_the_user_of_redis(settle: Settle) -> None:
    """The rules apart, and the line as it is without --json."""
    (told,) = checked("acl", settle("acl", "--role", "caller", "--name", "shop", "--json").out)
    assert told["line"] + "\n" == settle("acl", "--role", "caller", "--name", "shop").out
    assert told["line"].startswith("user shop reset on >PASSWORD ")
    assert told["line"].endswith(" ".join(told["rules"]))


def test_a_scene_of_the_demo(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """Ended well, ended otherwise, and never recorded."""
    scenes = [demo.Scene(name, "myipr.certify", "a story", {}, S.SUCCEEDED, name) for name in ("a", "b", "c")]
    jobs = [house.job("a", S.SUCCEEDED, polls=4), replace(house.job("b", S.FAILED), polls=1)]

    jobs_of = {name: JobAccount(submits=1) for name in "abc"}
    books = Account(providers={"myipr": ProviderAccount(requests={}, max_per_second=0, jobs=jobs_of)})
    assert not demo._report(scenes, jobs, books, as_json=True)
    told = checked("demo", capsys.readouterr().out)
    assert [line.get("state") for line in told] == ["succeeded", "failed", None]
    assert [len(line["faults"]) for line in told] == [0, 1, 1]
