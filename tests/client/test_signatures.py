"""The client's methods and types are those of the workflows and models that Settle has, and nothing else."""

from __future__ import annotations

import inspect
import pkgutil
import types
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from celery import Celery
from pydantic import BaseModel

import settle_client
import workflows
from jobs.artifacts import Artifact
from jobs.errors import InvalidJob
from jobs.record import Failure, check_job_id
from jobs.states import JobState
from providers.trigger import Link, Member, Options
from settle_client import Settle, State, shapes
from tasks.ways import WORKFLOWS

for found in pkgutil.iter_modules(workflows.__path__):
    if not found.ispkg:
        import_module(f"workflows.{found.name}")

NAMES = sorted(name for name, known in WORKFLOWS.items() if known.chain.__module__.startswith("workflows."))

#: What every trigger takes; `job_id` is not in the model, because it is the id of the message.
OPTIONS = set(shapes.Options.__annotations__) - {"job_id"}


@pytest.fixture(scope="module")
def client() -> Settle:
    return Settle(Celery(broker="memory://", backend="cache+memory://", set_as_current=False))


def method_of(client: Settle, name: str) -> Callable[..., Any]:
    provider, _, operation = name.partition(".")
    place = getattr(client, provider)
    found = getattr(place, operation, None) or getattr(place, f"{operation}_") if operation else place
    assert callable(found)
    return found  # type: ignore[no-any-return]


def shape(annotation: Any) -> Any:
    """A type as JSON sees it: comparable between the client's types and Settle's models. None stands for "or null"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return shape(annotation.__origin__)
    if origin is NotRequired:
        return shape(arguments[0])
    if origin in (Union, types.UnionType):
        kinds = [shape(each) for each in arguments if each is not type(None)]
        return kinds[0] if len(kinds) == 1 else sorted(kinds, key=repr)
    if origin is Literal:
        return ["one of", *sorted(arguments)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation.model_config.get("extra") != "forbid":
            return "object"  # any keys
        fields = annotation.model_fields.values()
        names = annotation.model_fields
        return {
            field.alias or name: (field.is_required(), shape(field.rebuild_annotation()))
            for name, field in zip(names, fields, strict=True)
            if field.annotation is not type(None)  # there only to be refused
        }
    if is_typeddict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return {name: (name in annotation.__required_keys__, shape(kind)) for name, kind in hints.items()}
    if origin in (dict, Mapping):
        return "object"
    if origin in (list, Sequence):
        return [shape(arguments[0])]
    if annotation in (str, int, float, bool):
        return annotation.__name__
    if annotation is Any:
        return "any"
    name = getattr(annotation, "__name__", repr(annotation))
    return {"datetime": "str", "AwareDatetime": "str"}.get(name, name)


@pytest.mark.parametrize("name", NAMES)
def test_each_workflow_has_its_method(client: Settle, name: str) -> None:
    """The same arguments, required where they are, of the same types down to the last field."""
    model = WORKFLOWS[name].request
    method = method_of(client, name)
    hints = get_type_hints(method, include_extras=True)
    parameters = dict(inspect.signature(method).parameters)
    assert parameters.pop("options").kind is inspect.Parameter.VAR_KEYWORD
    assert set(parameters) == set(model.model_fields)
    for field, parameter in parameters.items():
        known = model.model_fields[field]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert (parameter.default is inspect.Parameter.empty) == known.is_required(), field
        assert parameter.default in (None, inspect.Parameter.empty), field
        if field == "jobs":
            continue  # compared below
        ours, theirs = shape(hints[field]), shape(known.rebuild_annotation())
        if field == "declaration":
            theirs = "object"  # complete and signed: whatever made it knows its shape
        assert ours == theirs, field
        assert f"{field}:" in (inspect.getdoc(method) or ""), f"{field} is not described"


def test_the_client_has_no_other_workflow(client: Settle) -> None:
    """A workflow that is gone leaves no method behind."""
    found = {"group"}
    for provider in {name.partition(".")[0] for name in NAMES} - {"group"}:
        methods = [name for name in vars(type(getattr(client, provider))) if not name.startswith("_")]
        found |= {f"{provider}.{name.rstrip('_')}" for name in methods}
    assert found == set(NAMES)


def test_each_method_sends_what_it_was_given(client: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """No argument is mixed up with another, or dropped."""
    sent: list[tuple[str, Mapping[str, Any], str]] = []
    monkeypatch.setattr(Settle, "_publish", lambda _, task, kwargs, job_id: sent.append((task, kwargs, job_id)))
    for name in NAMES:
        values = {field: f"value of {field}" for field in WORKFLOWS[name].request.model_fields}
        beside = {"tags": {"shop": "7"}, "deadline": 5.0, "then": []}
        method_of(client, name)(**values, **beside, job_id="order-1")
        assert sent.pop() == (f"settle.{name}", values | beside, "order-1")


def test_what_a_trigger_takes_beside() -> None:
    """Options, links and members have the fields of Settle's models."""
    assert set(Options.model_fields) == OPTIONS
    both = set(shapes.WorkflowLink.__annotations__) | set(shapes.TaskLink.__annotations__)
    assert both == set(Link.model_fields)
    assert set(shapes.Member.__annotations__) == set(Member.model_fields)
    for mine, model in ((shapes.Options, Options), (shapes.Member, Member)):
        theirs = shape(model)
        for name, (_, kind) in shape(mine).items():
            if name not in ("job_id", "then"):
                assert kind == theirs[name][1], name


def test_states_and_outcomes() -> None:
    """Every state, and every field of an outcome, has its place."""
    assert {str(state) for state in State} - {"pending", "other"} == set(JobState)
    assert set(settle_client.Problem.__dataclass_fields__) == set(Failure.__dataclass_fields__)
    known = Artifact("a", size=1, sha256="a", uri="u", stored_size=1, stored_sha256="a", distinct=True)
    assert set(known.public()) <= set(settle_client.Artifact.__dataclass_fields__)


@pytest.mark.parametrize("job_id", ["", "a b", "é", "x" * 201, "a\n", "order-4711", "~!", "x" * 200])
def test_an_id_is_refused_by_both_or_none(client: Settle, job_id: str) -> None:
    """What the worker would refuse with a line in its log, the client refuses with an error."""

    def refused(call: Callable[[str], Any]) -> bool:
        try:
            call(job_id)
        except (InvalidJob, settle_client.InvalidJob):
            return True
        return False

    assert refused(client.job) == refused(check_job_id)
