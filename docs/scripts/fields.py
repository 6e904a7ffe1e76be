"""What a field of a model takes, in words: its type, its bounds, its default."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AnyHttpUrl, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_NAMES: dict[Any, str] = {
    bool: "true, false",
    int: "a whole number",
    float: "a number",
    str: "text",
    SecretStr: "a secret",
    Path: "a path",
    AnyHttpUrl: "an http(s) address",
    datetime: "a time",
    date: "a date",
    Any: "any JSON",
    NoneType: "none",
}

_BOUNDS = ((Ge, "ge", "≥ {}"), (Gt, "gt", "> {}"), (Le, "le", "≤ {}"), (Lt, "lt", "< {}"))
_LENGTHS = ((MinLen, "min_length", "at least {} long"), (MaxLen, "max_length", "at most {} long"))


def kind(annotation: Any) -> str:
    """The type of a field, for people."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (UnionType, Union):
        return " or ".join(dict.fromkeys(kind(each) for each in arguments if each is not NoneType))
    if origin in (tuple, list, set, frozenset):
        return f"a list of: {kind(arguments[0])}"
    if origin is dict:
        return "an object"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"an object: {annotation.__name__}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{each.value}`" for each in annotation)
    if isinstance(annotation, type) and issubclass(annotation, Path):
        return "a path"
    return _NAMES.get(annotation, getattr(annotation, "__name__", "a value"))


def models(annotation: Any) -> list[type[BaseModel]]:
    """The models inside `X | None`, `list[X]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in models(each)]


def bounds(field: FieldInfo) -> str:
    """Lowest and highest value, or length."""
    found = []
    for entry in field.metadata:
        for kinds in (_BOUNDS, _LENGTHS):
            found += [text.format(f"{getattr(entry, name):,}") for of, name, text in kinds if isinstance(entry, of)]
    return ", ".join(found)


def default(field: FieldInfo) -> str:
    """What holds when nothing is given; a dash for nothing at all."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None or value in ((), {}, [], ""):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return ", ".join(f"`{each}`" for each in value)
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{value:.10g}`" if isinstance(value, float) else f"`{value}`"
