"""Groups: many jobs and one outcome for all, with progress; members are started once, whatever happens in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from jobs.errors import IllegalMove
from jobs.ledger import Glance
from jobs.record import Job
from jobs.states import JobState
from providers.base import Observation, Verdict
from providers.group import REMEMBERED
from tasks import parts
from tasks.announce import Announcer
from workflows.command import control

from .conftest import BODY, DONE, Stage

RUNNING = Observation(Verdict.RUNNING, word="in_progress")
FAILED = Observation(Verdict.FAILED, word="failed", message="no")


class Crash(BaseException):
    """A worker dies: nothing of ours catches it."""


def certify(name: str, **more: Any) -> dict[str, Any]:
    return {"workflow": "myipr.certify", "kwargs": {**BODY, "name": name}, **more}


def members(number: int, **more: Any) -> list[dict[str, Any]]:
    return [certify(f"file {n}", **more) for n in range(number)]


def start(stage: Stage, jobs: list[dict[str, Any]], job_id: str = "g", **more: Any) -> None:
    stage.trigger(job_id, "group", jobs=jobs, **more)


def act(stage: Stage, decide: Any, job_id: str) -> Job:
    return control.change(stage.run, Announcer(stage.app, "person"), job_id, decide)


def finish(stage: Stage, job_id: str = "g") -> Job:
    """Skip from wake-up to wake-up, of members and group alike, until the group has ended."""
    for _ in range(3000):
        job = stage.job(job_id)
        if job.finished:
            return job
        stage.clock.advance(1.0)
        stage.tick()
    raise AssertionError(f"still {job}")


def test_a_group_succeeds_when_all_of_its_members_have(stage: Stage) -> None:
    """Each member is a job of its own under the group's root; the outcome names them all."""
    start(stage, members(3), tags={"batch": "7"})
    job = finish(stage)
    assert job.state is JobState.SUCCEEDED
    outcome = job.outcome()
    assert (outcome["remote_id"], outcome["status_word"], outcome["progress"]) == ("g", "succeeded", 100)
    assert outcome["message"] == "3 of 3 ended"
    assert outcome["result"] == {
        "members": 3,
        "succeeded": 3,
        "jobs": [{"id": f"g.{n}", "state": "succeeded"} for n in (1, 2, 3)],
        "left_out": 0,
    }
    assert job.request is None
    assert stage.script.count("submit") == 3
    assert {(stage.job(f"g.{n}").root, stage.job(f"g.{n}").parent) for n in (1, 2, 3)} == {("g", "g")}


def test_a_member_has_an_id_tags_and_a_deadline_of_its_own(stage: Stage) -> None:
    """Beside its workflow and its arguments."""
    start(stage, [certify("a", id="mine", tags={"shop": "7"}, deadline=60), certify("b")])
    job = finish(stage)
    assert [each["id"] for each in job.outcome()["result"]["jobs"]] == ["mine", "g.2"]
    mine = stage.job("mine")
    assert mine.tags == {"shop": "7"}
    assert mine.deadline_at - mine.created_at == 60


def test_progress_is_how_many_have_ended(stage: Stage) -> None:
    """Seen in the outcome while it runs, and so in `AsyncResult.info`."""
    stage.script.says("observe", RUNNING)
    start(stage, members(4))
    stage.until(lambda job: job.state is JobState.POLLING, "g")
    for number in (1, 2, 3):
        act(stage, control.cancelling, f"g.{number}")
    for _ in range(8):
        stage.clock.advance(1)
        stage.tick()
    job = stage.job("g")
    assert (job.state, job.progress, job.word) == (JobState.POLLING, 75, "running")
    assert job.message == "3 of 4 ended, 3 without success"
    assert job.due_at is not None
    assert job.due_at - stage.clock.now() <= 5


@pytest.mark.parametrize(
    ("success", "good", "state", "word"),
    [
        ("all", 3, JobState.SUCCEEDED, "succeeded"),
        ("all", 2, JobState.FAILED, "partial"),
        ("any", 2, JobState.SUCCEEDED, "partial"),
        ("any", 0, JobState.FAILED, "failed"),
    ],
)
def test_how_many_must_succeed(stage: Stage, success: str, good: int, state: JobState, word: str) -> None:
    """All of them, or any: a switch. It waits for all in any case, and names those that did not succeed first."""
    stage.script.says("observe", *[DONE] * good, *[FAILED] * (3 - good), DONE)
    start(stage, members(3), success=success)
    job = finish(stage)
    assert (job.state, job.word) == (state, word)
    result = job.outcome()["result"]
    assert (result["members"], result["succeeded"]) == (3, good)
    assert [each["state"] for each in result["jobs"]] == ["failed"] * (3 - good) + ["succeeded"] * good
    if state is JobState.FAILED:
        assert job.failure is not None
        assert f"{3 - good} without success: {result['jobs'][0]['id']} failed" in job.failure.message


def test_a_group_waits_for_all_even_if_one_has_failed(stage: Stage) -> None:
    """One outcome for all: it is not there before the last."""
    stage.script.says("observe", FAILED, RUNNING)
    start(stage, members(2))
    stage.clock.advance(60)
    for _ in range(10):
        stage.clock.advance(5)
        stage.tick()
    assert stage.job("g").message == "1 of 2 ended, 1 without success"
    stage.script.says("observe", DONE)
    assert finish(stage).state is JobState.FAILED


def test_what_has_succeeded_is_not_read_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what may still move: under way, or failed and perhaps reopened; of a chain its last job."""
    provider: Any = stage.run.provider("group")
    intent = {"group": "g", "members": 5, "ids": {}, "success": "all"}
    job = Job("g", "group", "group", JobState.POLLING, 1.0, 2.0, intent=intent)
    done, going, failed = Glance(JobState.SUCCEEDED), Glance(JobState.POLLING), Glance(JobState.FAILED)
    where: dict[str, Glance | None] = {
        "g.1": done,
        "g.2": failed,
        "g.3": Glance(JobState.SUCCEEDED, next="more"),
        "more": going,
        "g.4": Glance(JobState.SUCCEEDED, broken=True),
    }
    read: list[list[str]] = []
    monkeypatch.setattr(provider.ledger, "glance", lambda ids: read.append(ids) or [where.get(each) for each in ids])

    def look() -> Observation:
        read.clear()
        seen: Observation = asyncio.run(provider.operation("").observe(job))
        return seen

    assert look().progress == 80
    assert read == [["g.1", "g.2", "g.3", "g.4", "g.5"], ["more"]]
    where["g.2"] = going
    assert look().message == "3 of 5 ended, 2 without success"  # one of them was forgotten
    assert read == [["g.2", "more", "g.4", "g.5"]]
    where |= {"g.2": done, "more": done, "g.5": done}
    assert look().result["succeeded"] == 4
    assert look().result["jobs"][0]["state"] == "stopped"
    assert read == [["g.4"]]


def test_only_a_few_groups_are_remembered(stage: Stage) -> None:
    """The one that was not looked at for longest makes room; one under the id of a forgotten one begins anew."""
    provider: Any = stage.run.provider("group")
    job = Job("g", "group", "group", JobState.POLLING, 1.0, 2.0)
    provider.seen(job)["g.1"] = ("g.1", None)
    for number in range(2 * REMEMBERED):
        provider.seen(replace(job, id=f"other {number}"))
        assert provider.seen(job) == {"g.1": ("g.1", None)}
    assert provider.seen(replace(job, created_at=3.0)) == {}
    for number in range(REMEMBERED):
        provider.seen(replace(job, id=f"other {number}"))
    assert provider.seen(job) == {}


def test_a_member_of_a_newer_version_is_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a state that this version does not know: nobody here can say that it has ended."""
    start(stage, members(2))
    stage.until(lambda job: job.state is JobState.POLLING, "g")
    with monkeypatch.context() as patched:
        where = {"g.1": Glance(None), "g.2": Glance(JobState.SUCCEEDED)}
        patched.setattr(stage.run.ledger, "glance", lambda ids: [where[each] for each in ids])
        for _ in range(60):
            stage.clock.advance(1)
            stage.tick()
    job = stage.job("g")
    assert (job.state, job.progress) == (JobState.POLLING, 50)
    assert job.message == "1 of 2 ended, 1 written by a newer version: update this process"
    assert finish(stage).state is JobState.SUCCEEDED


def test_a_member_ends_with_its_chain(stage: Stage) -> None:
    """The group waits for the last link, and a broken chain is no success."""
    chain = [certify("second"), certify("third")]
    start(stage, [certify("a", then=chain), certify("b")])
    job = finish(stage)
    assert stage.script.count("submit") == 4
    assert job.outcome()["result"]["jobs"] == [
        {"id": "g.1", "state": "succeeded", "last": "g.1.then.2"},
        {"id": "g.2", "state": "succeeded"},
    ]
    assert stage.job("g.1.then.2").root == "g"
    stage.script.says("observe", DONE, FAILED)
    start(stage, [certify("a", then=chain)], "h")
    job = finish(stage, "h")
    assert job.state is JobState.FAILED
    assert job.outcome()["result"]["jobs"] == [{"id": "h.1", "state": "failed", "last": "h.1.then.1"}]


def test_a_chain_that_could_not_go_on_is_no_success(stage: Stage) -> None:
    """The member succeeded, what should follow it did not start."""
    stage.trigger("taken", **BODY)
    start(stage, [certify("a", then=[certify("b", id="taken")])])
    job = finish(stage)
    assert job.state is JobState.FAILED
    assert job.outcome()["result"]["jobs"] == [{"id": "g.1", "state": "stopped"}]


def test_something_follows_a_group(stage: Stage) -> None:
    """Fan-out and join in one chain: a group after a job, fed from it, and a job after the group."""
    group = {
        "workflow": "group",
        "name": "both",
        "kwargs": {
            "jobs": [
                {"workflow": "myipr.certify", "kwargs": {**BODY, "name": {"$from": "result.version_id"}}},
                certify("b", then=[certify("c"), {**certify("d"), "kwargs": {**BODY, "name": {"$from": "job_id"}}}]),
            ]
        },
    }
    last = {"workflow": "myipr.certify", "kwargs": {**BODY, "name": {"$from": "result.jobs[1].last", "$of": "both"}}}
    stage.trigger(**BODY, then=[group, last])
    for job_id in ("j-1", "j-1.then.1", "j-1.then.2"):
        finish(stage, job_id)
    first = stage.job("j-1.then.1.1").request
    inner = stage.job("j-1.then.1.2.then.2").request
    final = stage.job("j-1.then.2").request
    assert (first, inner, final) == (None, None, None)  # all were sent
    names = [stage.run.ledger.events("myipr", i)[-1].target for i in ("j-1.then.1.1", "j-1.then.2")]
    assert names == [JobState.SUCCEEDED] * 2
    assert stage.script.count("submit") == 6
    assert {stage.job(i).root for i in ("j-1.then.1", "j-1.then.1.2", "j-1.then.1.2.then.2", "j-1.then.2")} == {"j-1"}


def test_values_reach_the_members_of_a_group(stage: Stage) -> None:
    """References inside of members are of the chain outside; those in their `then` are of their own."""
    stage.script.says("observe", DONE, RUNNING)
    inner = {"workflow": "myipr.certify", "kwargs": {**BODY, "name": {"$from": "job_id"}}}
    member = {**inner, "then": [inner]}
    stage.trigger(**BODY, then=[{"workflow": "group", "kwargs": {"jobs": [member]}}])
    stage.finish()
    stage.run.ledger.pause("myipr", 1e6)
    stage.until(lambda job: job.state is JobState.POLLING, "j-1.then.1")
    held = stage.job("j-1.then.1.1")
    assert held.request is not None
    assert held.request["name"] == "j-1"
    assert held.then[0]["kwargs"]["name"] == {"$from": "job_id", "$of": 0}


def test_a_group_in_a_group(stage: Stage) -> None:
    """A group is a job, and so may be a member."""
    start(stage, [certify("a"), {"workflow": "group", "kwargs": {"jobs": members(2)}}])
    job = finish(stage)
    assert [each["id"] for each in job.outcome()["result"]["jobs"]] == ["g.1", "g.2"]
    assert stage.job("g.2.2").root == "g"
    assert stage.script.count("submit") == 3


def test_a_crash_while_members_are_started_starts_each_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead in the middle: the group is in doubt, which for a group is harmless, and starts what is missing."""
    monkeypatch.setattr(parts, "BATCH", 2)
    reached = parts.reach
    crashes = iter([False, True])

    def die(settings: Any, name: str) -> None:
        if next(crashes, False):
            raise Crash
        reached(settings, name)

    monkeypatch.setattr(parts, "reach", die)
    start(stage, members(5))
    with pytest.raises(Crash):
        stage.tick()
    assert stage.job("g").state is JobState.SUBMITTING
    assert [glance is None for glance in stage.run.ledger.glance([f"g.{n}" for n in range(1, 6)])] == [False] * 4 + [
        True
    ]
    job = finish(stage)
    assert (job.state, stage.script.count("submit")) == (JobState.SUCCEEDED, 5)
    assert stage.history("g.1") == ["accepted", "submitting", "polling", "succeeded"]


def test_a_claim_that_was_lost_stops_the_starting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else goes on with it; this one writes nothing any more."""
    monkeypatch.setattr(parts, "BATCH", 2)
    monkeypatch.setattr(stage.run.ledger, "renew", lambda job, lease: False)
    start(stage, members(5))
    stage.tick()
    assert stage.run.ledger.glance(["g.2", "g.3"])[1] is None
    assert stage.job("g").state is JobState.ACCEPTED


def test_a_member_whose_id_belongs_to_another_did_not_succeed(stage: Stage) -> None:
    """The stranger under that id is not taken for it."""
    stage.trigger("taken", **BODY)
    stage.finish("taken")
    start(stage, [certify("a", id="taken"), certify("b")], success="any")
    job = finish(stage)
    assert job.outcome()["result"]["jobs"] == [{"id": "taken", "state": "refused"}, {"id": "g.2", "state": "succeeded"}]
    assert stage.job("taken").parent is None


def test_a_member_that_cannot_start_fails_alone(stage: Stage) -> None:
    """Its provider is not configured: it is refused with the reason, the others run."""
    start(stage, [certify("a"), {"workflow": "lettrlabs.delete", "kwargs": {"id": 1}}], success="any")
    job = finish(stage)
    assert job.outcome()["result"]["jobs"][0] == {"id": "g.2", "state": "failed"}
    failure = stage.job("g.2").failure
    assert failure is not None
    assert "SETTLE_LETTRLABS__BASE_URL" in failure.message


def test_a_group_looks_again_when_it_is_replayed(stage: Stage) -> None:
    """A person mended the member; the group then succeeds, and what was stopped follows."""
    stage.script.says("observe", RUNNING)
    start(stage, members(1, deadline=60), then=[certify("after")])
    job = finish(stage)
    assert (job.state, job.outcome()["stopped"]) == (JobState.FAILED, ["myipr.certify"])
    stage.script.says("observe", DONE)
    act(stage, control.resuming(stage.run, None), "g.1")
    act(stage, control.replaying(stage.run), "g")
    assert finish(stage).state is JobState.SUCCEEDED
    assert finish(stage, "g.then.1").state is JobState.SUCCEEDED


def test_a_group_that_never_started_cannot_be_replayed(stage: Stage) -> None:
    """It has no members to look at."""
    start(stage, [])
    with pytest.raises(IllegalMove, match="to be replayed"):
        act(stage, control.replaying(stage.run), "g")


def test_cancelling_a_group_ends_the_group_alone(stage: Stage) -> None:
    """Its members go on; what should follow it does not start."""
    stage.script.says("observe", RUNNING)
    start(stage, members(2), then=[certify("after")])
    stage.until(lambda job: job.state is JobState.POLLING, "g")
    act(stage, control.cancelling, "g")
    job = finish(stage)
    assert (job.state, job.outcome()["stopped"]) == (JobState.CANCELLED, ["myipr.certify"])
    stage.script.says("observe", DONE)
    assert stage.finish("g.1").state is JobState.SUCCEEDED


def test_at_its_deadline_a_group_is_expired(stage: Stage) -> None:
    """Its members have deadlines of their own."""
    stage.script.says("observe", RUNNING)
    start(stage, members(2), deadline=30)
    assert finish(stage).state is JobState.EXPIRED
    assert stage.job("g.1").state is JobState.POLLING


def test_a_large_group_is_one_small_record(stage: Stage) -> None:
    """Over a thousand members: all are counted, so many as the setting allows are named, failed ones first."""
    settings = stage.run.provider("group").settings.model_copy(update={"listed": 10})
    stage.run.provider("group").settings = settings
    start(stage, members(1200))
    stage.script.says("observe", *[DONE] * 1100, FAILED)
    job = finish(stage)
    result = job.outcome()["result"]
    assert (result["members"], result["succeeded"], result["left_out"]) == (1200, 1100, 1190)
    assert {each["state"] for each in result["jobs"]} == {"failed"}
    assert len(str(job)) < 4000
    assert stage.script.count("submit") == 1200


BAD: dict[str, tuple[Any, str]] = {
    "none": ([], "jobs: List should have at least 1 item"),
    "no-list": ("all", "jobs"),
    "no-workflow": ([{"workflow": "no.such"}], "'no.such' is not one of"),
    "bad-body": ([certify("a"), {"workflow": "myipr.certify", "kwargs": {"name": "x"}}], "jobs.1: kwargs.category_id"),
    "option-in-body": ([{"workflow": "myipr.certify", "kwargs": {**BODY, "tags": {}}}], "kwargs.tags"),
    "a-reference": ([{"workflow": "myipr.certify", "kwargs": {**BODY, "name": {"$from": "job_id"}}}], "there is none"),
    "same-id": ([certify("a", id="x"), certify("b", id="x")], "two members have the same id"),
    "bad-id": ([certify("a", id="x y")], "id: use 1 to 200"),
    "bad-link": ([certify("a", then=[{"workflow": "no.such"}])], "jobs.0.then.0: workflow: 'no.such'"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_group_is_refused_whole(stage: Stage, case: str) -> None:
    """Nothing is started; the member and its field are named."""
    jobs, said = BAD[case]
    start(stage, jobs)
    job = stage.job("g")
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert said in job.failure.message
    stage.clock.advance(60)
    stage.tick()
    assert stage.run.ledger.jobs("myipr") == []


def test_the_id_of_a_group_leaves_room(stage: Stage) -> None:
    """Its members get theirs from it."""
    start(stage, members(1), "x" * 190)
    failure = stage.job("x" * 190).failure
    assert failure is not None
    assert "at most 180 characters" in failure.message
