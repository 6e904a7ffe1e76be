"""What a trigger may say beside the workflow's own arguments, and what is looked at before anything is sent.

`then` and the `jobs` of a group hold whole triggers; their bodies are checked by the models of their own workflows, as
far as they do not wait for values of jobs before them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs import links
from jobs.errors import InvalidJob
from jobs.names import QueueName, TaskName
from jobs.record import check_job_id
from providers import discover

#: Links of one list, members of one group, bytes of one list as JSON, and how deep all of it may lie in each other.
MAX_LINKS = 20
MAX_MEMBERS = 10_000
MAX_BYTES = 256 * 1024
MAX_NESTING = 40

#: The types of our own errors: a body that waits for values, and anything else.
_WAITS = "reference"
_BAD = "body"

#: Room in an id for what is put behind it: the number of a member, the place of a link.
ID_ROOM = 20


def _meaning(model: Any, path: tuple[int | str, ...]) -> str:
    """What a field is for, in its own model's words."""
    text = None
    for part in path:
        if isinstance(part, int):
            continue
        fields = getattr(model, "model_fields", {})
        field = fields.get(part) or next((each for each in fields.values() if each.alias == part), None)
        if field is None:
            return ""
        text, model = field.description, _model_in(field.annotation)
    return f" ({text})" if text else ""


def _model_in(annotation: Any) -> Any:
    """The model inside `X | None`, `list[X]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _lines(error: ValidationError, request: type[BaseModel] | None, waiting: list[links.Place]) -> list[str]:
    """What is wrong, a line each, without what only a value that is not there yet can tell."""

    def open_still(where: links.Place, kind: str) -> bool:
        if where in waiting:
            return kind != "extra_forbidden"  # no value can mend an unknown name
        if any(where[: len(place)] == place for place in waiting):
            return True
        # A model's own rule looks at several fields, and one of them is not there yet.
        above = any(place[: len(where)] == where for place in waiting)
        return above and kind in ("value_error", "assertion_error", _WAITS)

    found = []
    for entry in error.errors(include_input=False, include_url=False, include_context=False):
        where = entry["loc"]
        if open_still(where, entry["type"]):
            continue
        path = ".".join(str(part) for part in where) or "request"
        found.append(f"{path}: {entry['msg'].removeprefix('Value error, ')}{_meaning(request, where)}")
    return found


def _few(lines: list[str]) -> str:
    more = f" (and {len(lines) - 10} more)" if len(lines) > 10 else ""
    return "; ".join(lines[:10]) + more


def problems(error: ValidationError, request: type[BaseModel] | None = None) -> str:
    """What is wrong with a request: each field by its path and what it is for, never its value."""
    return _few(_lines(error, request, []))


def workflow_names() -> list[str]:
    """The names of all workflows that can be triggered here."""
    return sorted(f"{name}.{each.name}".rstrip(".") for name, found in discover().items() for each in found.operations)


def request_of(workflow: str) -> type[BaseModel]:
    """The model of a workflow's keyword arguments.

    Raises:
        InvalidJob: there is no such workflow.
    """
    known = {
        f"{name}.{each.name}".rstrip("."): each.request
        for name, provider in discover().items()
        for each in provider.operations
    }
    if workflow not in known:
        raise InvalidJob(f"workflow: {workflow[:100]!r} is not one of {', '.join(sorted(known))}")
    return known[workflow]


def check_body(workflow: str, kwargs: Mapping[str, Any]) -> list[str]:
    """What is wrong with a body that may wait for values.

    Raises:
        InvalidJob: there is no such workflow.
    """
    request = request_of(workflow)
    waiting = [place[1:] for place, _ in links.references({"workflow": workflow, "kwargs": kwargs})]
    try:
        request.model_validate(kwargs)
    except ValidationError as error:
        return _lines(error, request, waiting)
    except (AttributeError, TypeError, KeyError):
        if not waiting:
            raise
        # A validator that met a reference where it expects a value: the body is looked at again when it is complete.
    return []


def shallow(value: Any) -> Any:
    """Refuse what lies too deep, before anything looks into it.

    Raises:
        PydanticCustomError: it does.
    """
    if links.nesting(value) > MAX_NESTING:
        raise PydanticCustomError(_BAD, "lies more than {limit} levels deep", {"limit": MAX_NESTING})
    return value


def check_root_id(job_id: str) -> str:
    """Accept the id of a job that others get theirs from.

    Raises:
        InvalidJob: it is no id, or leaves no room.
    """
    check_job_id(job_id)
    if len(job_id) > 200 - ID_ROOM:
        raise InvalidJob(f"id: with links or members use at most {200 - ID_ROOM} characters")
    return job_id


class _Triggered(BaseModel):
    """What a link and the member of a group have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kwargs: dict[str, Any] = Field(default_factory=dict, description="keyword arguments")
    id: str | None = Field(None, description="id of the job; made from the first job's if not given")

    @field_validator("id")
    @classmethod
    def _usable(cls, value: str | None) -> str | None:
        try:
            return check_root_id(value) if value is not None else None
        except InvalidJob as error:
            raise ValueError(str(error).removeprefix("id: ")) from None

    def check(self, workflow: str) -> None:
        """Look at the body.

        Raises:
            PydanticCustomError: it can never work.
        """
        try:
            wrong = [f"kwargs.{line}" for line in check_body(workflow, self.kwargs)]
        except InvalidJob as error:
            wrong = [str(error)]
        if wrong:
            raise PydanticCustomError(_BAD, "{text}", {"text": _few(wrong)})


class Link(_Triggered):
    """One link: a workflow of ours, or a Celery task of another application."""

    workflow: str | None = None
    task: TaskName | None = Field(None, description="name of another application's task")
    queue: QueueName | None = Field(None, description="the queue of that application")
    name: str | None = Field(None, min_length=1, max_length=50, description="for references of later links")
    tags: dict[str, str] | None = Field(None, max_length=20)
    deadline: float | None = Field(None, gt=0, le=10 * 365 * 86400, description="seconds from the start of this link")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.workflow is None) == (self.task is None):
            raise ValueError("give either workflow or task")
        if self.workflow is not None:
            if self.queue is not None:
                raise ValueError("queue: belongs to a task; a workflow has its own")
            self.check(self.workflow)
            return self
        if self.queue is None:
            raise ValueError("queue: name the queue of the other application")
        if self.tags is not None or self.deadline is not None:
            raise ValueError("tags and deadline belong to a workflow: a task of another application is not followed")
        return self


def _chained(then: list[Link]) -> list[Link]:
    """Look at a chain as a whole."""
    raw = [link.model_dump(exclude_unset=True) for link in then]
    wrong = list(links.problems(raw))
    if len(json.dumps(raw)) > MAX_BYTES:
        wrong.append(f"is longer than {MAX_BYTES} bytes of JSON")
    named = [link.id for link in then if link.id]
    if len(set(named)) < len(named):
        wrong.append("two links have the same id")
    if wrong:
        raise PydanticCustomError(_BAD, "{text}", {"text": _few(wrong)})
    return then


Then = Annotated[
    list[Link],
    BeforeValidator(shallow),
    AfterValidator(_chained),
    Field(max_length=MAX_LINKS, description="what follows when the job has succeeded"),
]


class Options(BaseModel):
    """The keyword arguments that every workflow takes beside its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tags: dict[str, str] = Field(default_factory=dict, max_length=20, description="the caller's own, searchable")
    deadline: float | None = Field(
        None, gt=0, le=10 * 365 * 86400, description="seconds from the trigger until the job is expired"
    )
    then: Then = []


class Member(_Triggered):
    """One member of a group: a job with a chain of its own."""

    workflow: str
    tags: dict[str, str] = Field(default_factory=dict, max_length=20)
    deadline: float | None = Field(None, gt=0, le=10 * 365 * 86400, description="seconds from the start of the group")
    then: Then = []

    @model_validator(mode="after")
    def _whole(self) -> Self:
        self.check(self.workflow)
        if links.references({"workflow": self.workflow, "kwargs": self.kwargs}):
            # Right inside a link, whose values come before it starts; nothing comes before a group that is triggered.
            raise PydanticCustomError(_WAITS, "kwargs: refers to a job before this one, and there is none")
        return self
