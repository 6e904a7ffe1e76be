"""What an operation takes and answers, as types from which the description is generated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Closed(BaseModel):
    """An object with these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Open(BaseModel):
    """An object with at least these fields."""

    model_config = ConfigDict(extra="allow")


def absent(**rules: Any) -> Any:
    """Mark a field that may be missing; that is not the same as null."""
    return Field(default=None, json_schema_extra=_no_default, **rules)


def _no_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class File:
    """Marks a body that is a file: text or binary, not JSON."""


@dataclass(frozen=True)
class Shape:
    """One operation.

    Args:
        summary: a line for people.
        answer: the type of the body of a success; `File` for a file, None for no body.
        body: the type of the request's body; None for no body.
        query: the query parameters by name, each with a line for people.
        media: content type of a success.
        body_media: content type of the request.
        public: whether it needs no key.
        keys: names of security schemes, where they are not those of the API.
    """

    summary: str
    answer: Any = None
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"
    body_media: str = "application/json"
    public: bool = False
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Api:
    """What the operations of one API share.

    Args:
        title: for people.
        schemes: the security schemes by name; all are needed.
        errors: the types of error bodies by content type.
        shapes: the operations by name.
        errors_as_success: whether an error may come with a code of success.
    """

    title: str
    schemes: Mapping[str, Mapping[str, Any]]
    errors: Mapping[str, Any]
    shapes: Mapping[str, Shape]
    errors_as_success: bool = False
