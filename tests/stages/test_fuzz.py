"""Bad input of every shape: no worker dies, no job is stuck, every job ends or waits with a reason."""

from __future__ import annotations

import copy
import json
from functools import cache
from itertools import count
from typing import Any

import pytest
from celery.exceptions import Ignore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.errors import InvalidJob, JobNotFound
from jobs.states import JobState
from providers import discover
from providers.base import Provider
from simulator import samples
from tests.ledgers import fresh_ledger

from .conftest import Stage

BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

NUMBER = count()

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["\ud800", "\x00", "9" * 5000, "../../etc", "{}", "'; DROP", "<b>", "1e999", "ISCC:" + "A" * 55])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)

_CERTIFY = samples.certificate_request("a file")
BODIES: dict[str, dict[str, Any]] = {
    "commonsdb.declare": {"declaration": samples.declaration(name="a work", registry=True)},
    "myipr.certify": {name: _CERTIFY[name] for name in ("name", "category_id", "hash", "size")},
    "unique_tokens.produce": {"alphabet": "A", "digits": 5, "size": 1000, "payment": {"id": "a", "ident": "pi_b"}},
    "unique_tokens.continue": {"former": "t-1", "size": 1000, "payment": {"id": "a", "ident": "pi_b"}},
    "lettrlabs.convert": {"conversions": [samples.conversion("SO-1")]},
    "lettrlabs.delete": {"id": 7},
}
CHAIN = [
    {
        "workflow": "myipr.certify",
        "kwargs": {**BODIES["myipr.certify"], "hash": {"$from": "artifacts[0].sha256"}},
        "name": "cert",
        "tags": {"a": "b"},
    },
    {"task": "a.b", "queue": "c", "kwargs": {"whole": {"$from": ".", "$of": "cert"}}, "id": "d"},
]
_MEMBER = {"workflow": "myipr.certify", "kwargs": BODIES["myipr.certify"], "id": "m", "deadline": 5, "then": CHAIN}
BODIES["group"] = {"jobs": [_MEMBER], "success": "any"}
BODIES["unique_tokens.produce"]["then"] = [*CHAIN, {"workflow": "group", "kwargs": {"jobs": [_MEMBER]}}]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in _places(each, (*path, key)))][0 if path else 1 :]


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A good request with one place in it replaced, removed, or something added."""
    workflow = draw(st.sampled_from(sorted(BODIES)))
    body = copy.deepcopy(BODIES[workflow])
    *way, last = draw(st.sampled_from(_places(body)))
    target: Any = body
    for step in way:
        target = target[step]
    how = draw(st.sampled_from(["replace", "remove", "add"]))
    if how == "remove":
        del target[last]
    elif how == "add" and isinstance(target, dict):
        target[draw(st.text(max_size=12))] = draw(JSON)
    else:
        target[last] = draw(JSON)
    for option in draw(st.sets(st.sampled_from(["tags", "deadline", "then"]))):
        body[option] = draw(JSON)
    return workflow, body


@BOUNDED
@given(request=spoilt())
def test_whatever_a_caller_sends_is_a_job_or_a_failed_one(stage: Stage, request: tuple[str, dict[str, Any]]) -> None:
    """Accepted with a wake-up time, or failed at once with the reason; never an exception."""
    workflow, body = request
    job_id = f"fuzz-{next(NUMBER)}"
    stage.trigger(job_id, workflow, **body) if body else None
    if not body:
        return
    job = stage.job(job_id)
    if job.state is JobState.ACCEPTED:
        assert job.due_at is not None
    else:
        assert job.state is JobState.FAILED
        assert job.failure is not None
        assert job.failure.message


@pytest.mark.usefixtures("redis_server")
@BOUNDED
@given(request=spoilt())
def test_what_passes_the_model_has_an_intent(request: tuple[str, dict[str, Any]]) -> None:
    """No request that was accepted can break the submit stage of its bundle; intents can be stored."""
    workflow, body = request
    provider, _, name = workflow.partition(".")
    (kind,) = (each for each in discover()[provider].operations if each.name == name)
    try:
        accepted = kind.request.model_validate({k: v for k, v in body.items() if k not in ("tags", "deadline", "then")})
    except ValidationError:
        return
    try:
        intent = kind(_provider(provider)).intent(accepted, "j-1")
    except InvalidJob:  # only the ledger shows that it is impossible: there is no former job to continue, say
        return
    json.dumps(intent, allow_nan=False)


@cache
def _provider(name: str) -> Provider:
    kind = discover()[name]
    return kind(kind.settings_type(base_url="http://127.0.0.1:1", api_key="key"), fresh_ledger())  # type: ignore[arg-type]


@BOUNDED
@given(
    name=st.sampled_from(["measure", "submit", "poll", "fetch", "verify", "emit"]),
    args=st.lists(JSON, max_size=3),
    kwargs=st.dictionaries(st.sampled_from(["seqs", "bundle", "seq", "other"]), JSON, max_size=3),
)
def test_rubbish_on_a_stages_queue_moves_no_job(stage: Stage, name: str, args: list[Any], kwargs: Any) -> None:
    """Whatever a message says, a job that waits still waits, and nobody was called."""
    job_id = f"waits-{next(NUMBER)}"
    stage.trigger(job_id)
    before = stage.job(job_id)
    stage.app.tasks[f"settle.{name}"].apply(args=tuple(args), kwargs=kwargs, throw=False)
    assert stage.job(job_id) == before
    assert stage.script.calls == []


@BOUNDED
@given(job_id=st.text(max_size=300))
def test_any_id_is_taken_or_refused(stage: Stage, job_id: str) -> None:
    """An id that cannot stand in a key leaves no trace; another is a job."""
    task = stage.app.tasks["settle.lettrlabs.delete"]
    task.push_request(id=job_id, hostname="test")
    try:
        with pytest.raises(Ignore):
            task.run(id=7)
    finally:
        task.pop_request()
    try:
        assert stage.job(job_id).id == job_id
    except JobNotFound:
        assert not job_id.isascii() or not job_id.isprintable() or " " in job_id or not 0 < len(job_id) <= 200


@pytest.mark.parametrize("deadline", [float("inf"), float("nan"), 1e300, 10**40, 0, -1])
def test_a_deadline_that_is_no_time_is_refused(stage: Stage, deadline: float) -> None:
    """Neither for ever nor never: the field is named."""
    stage.trigger("d-1", "lettrlabs.delete", id=7, deadline=deadline)
    failure = stage.job("d-1").failure
    assert failure is not None
    assert "deadline" in failure.message
