"""What follows a job: links are fed from outcomes and started once; a failed one stops the rest and says so."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from kombu.exceptions import OperationalError

from jobs.artifacts import Artifact
from jobs.record import Job, Move
from jobs.states import JobState
from providers.base import Observation, Verdict
from providers.trigger import request_of
from tasks import emit as emitting
from tasks import links as following
from tasks.announce import Announcer
from tasks.intake import validate
from workflows.command import control

from .conftest import BODY, DONE, Stage

FILE = b"AAA\nBBB"
SHA = hashlib.sha256(FILE).hexdigest()
WITH_FILE = Observation(
    Verdict.SUCCEEDED, word="completed", artifacts=(Artifact("tokens.txt", link="/d", size=7, lines=2, sha256=SHA),)
)
FAILED = Observation(Verdict.FAILED, word="failed", message="no")


def certify(**changes: Any) -> dict[str, Any]:
    """A link that certifies."""
    return {"workflow": "myipr.certify", "kwargs": {**BODY, **changes}}


def paid(**kwargs: Any) -> dict[str, Any]:
    """A link that tells another application."""
    return {"task": "billing.paid", "queue": "billing", "kwargs": kwargs}


def act(stage: Stage, decide: Callable[[Job, float], Move], job_id: str) -> Job:
    return control.change(stage.run, Announcer(stage.app, "person"), job_id, decide)


@pytest.fixture
def sent(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The tasks that were sent to other applications; the messages of our own stages run as ever."""
    taken: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(stage.app, "send_task", lambda name, **options: taken.append((name, options)))
    return taken


def test_a_link_is_fed_from_the_outcome_before_it(stage: Stage) -> None:
    """The SHA-256 of the verified file is certified; the link is a job of its own with the same root."""
    stage.script.says("observe", WITH_FILE, DONE)
    stage.script.says("download", FILE)
    stage.trigger(**BODY, then=[certify(name="second", hash={"$from": "artifacts[tokens.txt].sha256"})])
    first = stage.finish()
    assert first.state is JobState.SUCCEEDED
    assert stage.history() == ["accepted", "submitting", "polling", "fetching", "verifying", "emitting", "succeeded"]
    assert first.outcome()["next"] == "j-1.then.1"
    assert not {"then", "stopped", "root", "parent"} & set(first.outcome())
    second = stage.job("j-1.then.1")
    assert second.request is not None
    assert (second.request["hash"], second.request["name"]) == (SHA, "second")
    assert stage.finish("j-1.then.1").state is JobState.SUCCEEDED
    assert {"root": "j-1", "parent": "j-1"}.items() <= stage.job("j-1.then.1").outcome().items()
    assert stage.script.count("submit") == 2


def test_a_job_without_files_goes_through_emit_if_something_follows(stage: Stage) -> None:
    """It is not finished by its poll's own write: its link comes first."""
    stage.trigger(**BODY, then=[certify(name="second")])
    stage.until(lambda job: job.finished)
    assert stage.history() == ["accepted", "submitting", "polling", "emitting", "succeeded"]


def test_what_follows_starts_in_the_tick_of_the_poll(stage: Stage) -> None:
    """The poll itself brings the job to emit: nothing waits for a lease."""
    stage.trigger(**BODY, then=[certify(name="second")])
    polling = stage.until(lambda job: job.state is JobState.POLLING)
    assert polling.due_at is not None
    stage.clock.advance(polling.due_at - stage.clock.now() + 0.001)
    stage.tick()
    assert stage.job().state is JobState.SUCCEEDED
    assert stage.job("j-1.then.1").state is JobState.ACCEPTED


def test_the_examples_in_the_docs_would_be_accepted() -> None:
    """What the page shows of chains and groups, as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "trigger.md").read_text()
    shown: list[tuple[str, dict[str, Any]]] = []
    app = SimpleNamespace(
        send_task=lambda name, **options: shown.append((name, options["kwargs"])) or SimpleNamespace(info={})
    )
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        if "then" in code:
            exec(code.replace('"hash": "…"', f'"hash": "{SHA}"'), {"app": app})  # noqa: S102
    assert [name for name, _ in shown] == ["settle.unique_tokens.produce", "settle.group"]
    for name, kwargs in shown:
        options, _ = validate(request_of(name.removeprefix("settle.")), (), kwargs)
        assert options.then


def test_what_follows_is_seen_while_the_job_runs(stage: Stage) -> None:
    """The outcome names the links that are to come, and nothing of their bodies."""
    stage.trigger(**BODY, then=[certify(name="a private name"), paid()])
    outcome = stage.job().outcome()
    assert outcome["then"] == ["myipr.certify", "billing.paid"]
    assert "private" not in json.dumps(outcome)


def test_three_links_and_a_task(stage: Stage, sent: list[tuple[str, dict[str, Any]]]) -> None:
    """References reach the job before, a job by its place, and a link by its name; tasks count as places."""
    seen = [Observation(Verdict.SUCCEEDED, word="completed", result={"version_id": f"v-{n}"}) for n in range(4)]
    stage.script.says("observe", *seen)
    stage.trigger(
        **BODY,
        then=[
            {**certify(name={"$from": "result.version_id"}), "name": "cert", "tags": {"shop": "7"}, "deadline": 60},
            paid(first={"$from": "result.version_id", "$of": 0}, then=[{"$from": "result.version_id", "$of": "cert"}]),
            certify(name={"$from": "job_id"}),
            {**certify(name={"$from": "result.version_id", "$of": 1}), "id": "mine"},
        ],
    )
    stage.finish()
    one = stage.finish("j-1.then.1")
    assert one.tags == {"shop": "7"}
    assert one.deadline_at - one.created_at == 60
    three = stage.job("j-1.then.3")
    assert three.request is not None
    assert three.request["name"] == "j-1.then.1"  # the task between them has no outcome
    stage.finish("j-1.then.3")
    four = stage.job("mine")
    assert four.request is not None
    assert four.request["name"] == "v-1"
    stage.finish("mine")
    ((name, options),) = sent
    assert name == "billing.paid"
    assert options["kwargs"] == {"first": "v-0", "then": ["v-1"]}
    assert (options["task_id"], options["queue"]) == ("j-1.then.2", "billing")
    assert (options["root_id"], options["parent_id"]) == ("j-1", "j-1.then.1")
    assert "v-0" not in options["argsrepr"] + options["kwargsrepr"]
    assert [stage.job(i).outcome().get("sent") for i in ("j-1", "j-1.then.1", "mine")] == [None, ["billing.paid"], None]
    assert [stage.job(i).root for i in ("j-1.then.1", "j-1.then.3", "mine")] == ["j-1"] * 3
    assert stage.job("mine").parent == "j-1.then.3"


def test_the_whole_outcome_can_be_passed_on(stage: Stage, sent: list[tuple[str, dict[str, Any]]]) -> None:
    """`.` is all that no longer changes."""
    stage.trigger(**BODY, then=[paid(job={"$from": "."})])
    stage.finish()
    job = sent[0][1]["kwargs"]["job"]
    assert (job["job_id"], job["result"]) == ("j-1", {"version_id": "v-1"})
    assert not {"state", "progress", "updated_at", "polls"} & set(job)
    assert stage.job().outcome()["sent"] == ["billing.paid"]


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_crash_in_emit_starts_each_link_once(stage: Stage, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Dead before or after the links were started: the lease brings emit back, and the link is still one job."""
    monkeypatch.setattr(stage.app, "send_task", lambda name, **options: None)
    crashes = iter([True, True, False, False, False])
    follow = following.follow

    def dying(*args: Any) -> Any:
        crash = next(crashes)
        if crash and where == "before":
            raise KeyboardInterrupt
        done = follow(*args)
        if crash:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(emitting, "follow", dying)
    stage.trigger(**BODY, then=[certify(name={"$from": "result.version_id"}), certify(name="third")])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            stage.finish()
        assert stage.job().state is JobState.EMITTING
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.finish("j-1.then.1").state is JobState.SUCCEEDED
    assert stage.finish("j-1.then.2").state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 3
    assert stage.run.ledger.counts("myipr") == {JobState.SUCCEEDED: 3}


def test_the_broker_away_costs_time_only(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that cannot be sent is sent later; the job waits for it, and says why."""
    answers = iter([OperationalError("away"), OperationalError("away"), None])
    sent = []

    def send(name: str, **options: Any) -> None:
        if error := next(answers):
            raise error
        sent.append(options["task_id"])

    monkeypatch.setattr(stage.app, "send_task", send)
    stage.trigger(**BODY, then=[paid()])
    waiting = stage.until(lambda job: job.failure is not None)
    assert waiting.failure is not None
    assert (waiting.state, waiting.failure.kind) == (JobState.EMITTING, "broker")
    done = stage.finish()
    assert (done.state, done.failure, sent) == (JobState.SUCCEEDED, None, ["j-1.then.1"])


@pytest.mark.parametrize("end", ["failed", "expired", "cancelled"])
def test_a_link_that_does_not_succeed_stops_the_rest(
    stage: Stage, redis_client: redis.Redis, end: str, sent: list[Any]
) -> None:
    """Nothing after it is started; its outcome, its event and what is raised to its caller say what."""
    running = Observation(Verdict.RUNNING, word="in_progress")
    stage.script.says("observe", DONE, FAILED if end == "failed" else running)
    stage.trigger(**BODY, then=[certify(name="second"), certify(name="third"), paid()])
    stage.finish()
    if end == "cancelled":
        stage.until(lambda job: job.state is JobState.POLLING, "j-1.then.1")
        act(stage, control.cancelling, "j-1.then.1")
    second = stage.finish("j-1.then.1")
    assert second.state.value == end
    assert second.outcome()["stopped"] == ["myipr.certify", "billing.paid"]
    last = stage.run.ledger.events("myipr", "j-1.then.1")[-1]
    assert last.data["outcome"]["stopped"] == ["myipr.certify", "billing.paid"]
    raised = json.loads(str(redis_client.get("celery-task-meta-j-1.then.1")))["result"]
    assert "not started: myipr.certify, billing.paid" in str(raised)
    assert stage.job().state is JobState.SUCCEEDED
    assert stage.run.ledger.glance(["j-1.then.2"]) == [None]
    assert sent == []


@pytest.mark.parametrize(("end", "kept"), [("failed", False), ("cancelled", False), ("expired", True)])
def test_bodies_of_links_are_kept_only_for_a_job_that_can_be_reopened(stage: Stage, end: str, kept: bool) -> None:
    """What can never start is forgotten, as the job's own body is."""
    stage.script.says("observe", FAILED if end == "failed" else Observation(Verdict.RUNNING))
    stage.trigger(**BODY, then=[certify(name="a private name")])
    if end == "cancelled":
        act(stage, control.cancelling, "j-1")
    job = stage.finish()
    assert (job.state.value, "private" in str(job.then)) == (end, kept)
    assert job.outcome()["stopped"] == ["myipr.certify"]


def test_resuming_an_expired_link_goes_on_with_the_rest(stage: Stage) -> None:
    """A person resumes it, it succeeds, and the rest follows."""
    stage.script.says("observe", Observation(Verdict.RUNNING))
    stage.trigger(**BODY, then=[certify(name={"$from": "result.version_id"})])
    assert stage.finish().state is JobState.EXPIRED
    stage.script.says("observe", DONE)
    act(stage, control.resuming(stage.run, None), "j-1")
    assert stage.finish().outcome()["next"] == "j-1.then.1"
    assert stage.finish("j-1.then.1").state is JobState.SUCCEEDED


def test_replaying_a_failed_file_goes_on_with_the_rest(stage: Stage) -> None:
    """The file is right the second time; what waits for its digest gets that of the right one."""
    stage.script.says("observe", WITH_FILE, DONE)
    stage.script.says("download", b"wrong")
    stage.trigger(**BODY, then=[certify(name="second", hash={"$from": "artifacts[0].sha256"})])
    failed = stage.finish()
    assert (failed.state, failed.outcome()["stopped"]) == (JobState.FAILED, ["myipr.certify"])
    stage.script.says("download", FILE)
    act(stage, control.replaying(stage.run), "j-1")
    assert stage.finish().state is JobState.SUCCEEDED
    request = stage.job("j-1.then.1").request
    assert request is not None
    assert request["hash"] == SHA


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("result.nothing", "no 'result.nothing'"),
        ("artifacts[0].sha256", "no 'artifacts[0].sha256'"),
        ("result.version_id.deeper", "no 'result.version_id.deeper'"),
        ("tags.shop", "no 'tags.shop'"),
    ],
)
def test_a_reference_that_leads_nowhere_fails_its_link(stage: Stage, path: str, said: str) -> None:
    """Not before: the links ahead of it are started. It names the reference and stops the rest."""
    later = certify(name={"$from": path, "$of": 0})
    stage.trigger(**BODY, then=[certify(name="second"), later, certify(name="never")])
    stage.finish()
    assert stage.finish("j-1.then.1").state is JobState.SUCCEEDED
    third = stage.job("j-1.then.2")
    assert third.failure is not None
    assert (third.state, third.failure.kind) == (JobState.FAILED, "reference")
    assert "kwargs.name" in third.failure.message
    assert said in third.failure.message
    assert third.outcome()["stopped"] == ["myipr.certify"]
    assert (third.root, third.parent) == ("j-1", "j-1.then.1")
    assert stage.run.ledger.glance(["j-1.then.3"]) == [None]
    assert stage.script.count("submit") == 2


def test_a_value_of_the_wrong_kind_fails_its_link(stage: Stage) -> None:
    """What came is checked like any body: the field is named, nothing is sent."""
    stage.trigger(**BODY, then=[certify(name="second", hash={"$from": "result.version_id"})])
    stage.finish()
    second = stage.job("j-1.then.1")
    assert second.failure is not None
    assert (second.state, second.failure.kind) == (JobState.FAILED, "invalid")
    assert "hash:" in second.failure.message


def test_a_missing_value_for_a_task_stops_the_rest(stage: Stage, sent: list[Any], caplog: Any) -> None:
    """A task has no record that could fail: the job before it succeeded, and says that nothing followed."""
    stage.trigger(**BODY, then=[paid(a={"$from": "result.nothing"}), certify(name="never")])
    with caplog.at_level(logging.ERROR):
        job = stage.finish()
    assert (job.state, sent) == (JobState.SUCCEEDED, [])
    assert job.failure is not None
    assert "billing.paid could not follow" in job.failure.message
    assert job.outcome()["stopped"] == ["billing.paid", "myipr.certify"]
    assert "next" not in job.outcome()
    assert any(record.message == "chain_stopped" for record in caplog.records)
    assert stage.run.ledger.events("myipr", "j-1")[-1].data["outcome"]["stopped"] == ["billing.paid", "myipr.certify"]


def test_a_word_of_a_provider_is_never_a_reference(stage: Stage) -> None:
    """An outcome that looks like a reference cannot make a later link read something else."""
    evil = {"$from": "result.secret", "$of": 1}
    stage.script.says("observe", Observation(Verdict.SUCCEEDED, result={"evil": evil, "inner": [evil]}), DONE)
    stage.trigger(**BODY, then=[certify(name="second"), certify(name={"$from": "result.inner", "$of": 0})])
    stage.finish()
    stage.finish("j-1.then.1")
    third = stage.job("j-1.then.2")
    assert third.failure is not None
    assert "holds a reference" in third.failure.message


def test_an_id_that_belongs_to_another_stops_the_rest(stage: Stage) -> None:
    """The job itself succeeded; the chain did not go on, and nothing of the stranger is taken for it."""
    stage.trigger("taken", **{**BODY, "name": "a stranger"})
    stage.trigger(**BODY, then=[{**certify(name="second"), "id": "taken"}, certify(name="third")])
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert job.failure is not None
    assert job.failure.kind == "next_refused"
    assert "taken belongs to another request" in job.failure.message
    assert job.outcome()["stopped"] == ["myipr.certify", "myipr.certify"]
    assert stage.job("taken").parent is None


def test_triggered_again_it_is_the_same_chain(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Also when it is long over; what follows is part of the request, labels are not."""
    then = [{**certify(name="second"), "tags": {"a": "b"}}]
    stage.trigger(**BODY, then=then)
    stage.finish()
    stage.finish("j-1.then.1")
    stage.trigger(**BODY, then=then)
    assert stage.script.count("submit") == 2
    for other in ([], [certify(name="another")]):
        caplog.clear()
        stage.trigger(**BODY, then=other)
        assert "trigger_refused" in [record.message for record in caplog.records]
    stage.trigger("j-2", **BODY)
    caplog.clear()
    stage.trigger("j-2", **BODY, then=[])
    assert "trigger_refused" not in [record.message for record in caplog.records]


BAD: dict[str, tuple[list[Any], str]] = {
    "no-workflow": ([{"workflow": "no.such", "kwargs": {}}], "'no.such' is not one of commonsdb.declare, group"),
    "neither": ([{"kwargs": {}}], "give either workflow or task"),
    "both": ([{**certify(), "task": "a", "queue": "b"}], "give either workflow or task"),
    "unknown-argument": ([certify(colour="red")], "kwargs.colour"),
    "unknown-argument-with-reference": ([certify(colour={"$from": "job_id"})], "kwargs.colour"),
    "missing-argument": ([{"workflow": "myipr.certify", "kwargs": {"name": {"$from": "job_id"}}}], "kwargs.hash"),
    "bad-value": ([certify(name={"$from": "job_id"}, hash="short")], "kwargs.hash"),
    "unknown-field": ([{**certify(), "when": "now"}], "0.when"),
    "bad-path": ([certify(name={"$from": "result..a"})], "0.kwargs.name: $from: write a path"),
    "no-such-part": ([certify(name={"$from": "state"})], "an outcome has no 'state'"),
    "more-in-it": ([certify(name={"$from": "job_id", "default": 1})], "nothing else"),
    "later-link": ([certify(name={"$from": "job_id", "$of": 1})], "0.kwargs.name: $of: use the place"),
    "no-such-name": ([certify(name={"$from": "job_id", "$of": "x"})], "0.kwargs.name: $of: use the place"),
    "truth-as-place": (
        [certify(), certify(name={"$from": "job_id", "$of": True})],
        "1.kwargs.name: $of: use the place",
    ),
    "task-as-place": ([paid(), certify(name={"$from": "job_id", "$of": 1})], "has no outcome"),
    "a-gap": ([certify(name={"$missing": "x"})], "a reference has $from"),
    "same-name": ([{**certify(), "name": "a"}, {**certify(), "name": "a"}], "1.name: 'a' is the name of another link"),
    "same-id": ([{**certify(), "id": "a"}, {**certify(), "id": "a"}], "two links have the same id"),
    "bad-id": ([{**certify(), "id": "a b"}], "id: use 1 to 200 printable"),
    "long-id": ([{**certify(), "id": "a" * 190}], "at most 180 characters"),
    "no-queue": ([{"task": "a", "kwargs": {}}], "queue: name the queue"),
    "our-queue": ([{"task": "a", "queue": "celery"}], "queue: name the queue"),
    "our-other-queue": ([{"task": "a", "queue": "settle.poll"}], "queue: name the queue"),
    "our-task": ([{"task": "settle.poll", "queue": "b"}], "name it as workflow"),
    "queue-of-a-workflow": ([{**certify(), "queue": "b"}], "queue: belongs to a task"),
    "too-many": ([certify()] * 21, "at most 20"),
    "too-long": ([certify(name="a" * 100), paid(text="a" * 300_000)], "longer than 262144 bytes"),
    "too-deep": ([paid(text=json.loads("[" * 50 + "]" * 50))], "40 levels"),
    "no-list": ({"workflow": "myipr.certify"}, "then:"),  # type: ignore[dict-item]
    "no-link": (["myipr.certify"], "then.0"),
    "not-configured": ([{"workflow": "lettrlabs.delete", "kwargs": {"id": 1}}], "SETTLE_LETTRLABS__BASE_URL"),
    "nested": (
        [{"workflow": "group", "kwargs": {"jobs": [{**certify(hash="short"), "then": []}]}}],
        "jobs.0: kwargs.hash",
    ),
    "nested-then": (
        [{"workflow": "group", "kwargs": {"jobs": [{**certify(), "then": [certify(hash="short")]}]}}],
        "jobs.0.then.0: kwargs.hash",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_what_can_never_work_is_refused_at_the_trigger(stage: Stage, case: str) -> None:
    """Nothing is sent; the place is named with its remedy, and no value is quoted."""
    then, said = BAD[case]
    stage.trigger(**BODY, then=then)
    job = stage.job()
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert said in job.failure.message
    assert "short" not in job.failure.message
    assert "a" * 1000 not in json.dumps(job.outcome())
    stage.clock.advance(60)
    stage.tick()
    assert stage.script.calls == []


def test_the_id_of_a_first_job_leaves_room(stage: Stage) -> None:
    """Its links get theirs from it."""
    stage.trigger("x" * 190, **BODY, then=[certify()])
    failure = stage.job("x" * 190).failure
    assert failure is not None
    assert "at most 180 characters" in failure.message
    stage.trigger("x" * 180, **BODY, then=[certify(name="b")] * 12)
    head = "x" * 180
    job_id: str | None = head
    for _ in range(13):
        assert job_id
        job_id = stage.finish(job_id).next
    assert job_id is None
    assert stage.job(f"{head}.then.12").state is JobState.SUCCEEDED


def test_messages_and_events_of_a_link_have_its_root(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower shows the link under the first job."""
    shown: list[tuple[str, str, str | None]] = []
    send = stage.app.events.Dispatcher.send

    def spy(self: Any, kind: str, **fields: Any) -> Any:
        shown.append((fields["uuid"], fields["root_id"], fields["parent_id"]))
        return send(self, kind, **fields)

    monkeypatch.setattr(stage.app.events.Dispatcher, "send", spy)
    published: list[tuple[str, str, str]] = []
    apply = type(stage.app.tasks["settle.submit"]).apply_async

    def note(self: Any, *args: Any, **options: Any) -> Any:
        published.append((self.name, options["root_id"], options["parent_id"]))
        return apply(self, *args, **options)

    for name in ("settle.submit", "settle.poll"):
        monkeypatch.setattr(type(stage.app.tasks[name]), "apply_async", note)
    stage.trigger(**BODY, then=[certify(name="second"), certify(name="third")])
    for job_id in ("j-1", "j-1.then.1", "j-1.then.2"):
        stage.finish(job_id)
    family = {("j-1", "j-1", None), ("j-1.then.1", "j-1", "j-1"), ("j-1.then.2", "j-1", "j-1.then.1")}
    assert set(shown) == family
    assert ("settle.submit", "j-1", "j-1.then.2") in published
    assert {root for _, root, _ in published} == {"j-1"}
