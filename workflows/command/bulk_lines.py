"""The lines of a bulk input file: CSV and JSON Lines become bodies, one at a time, in constant memory.

No error shows a value: what is wrong is told by line and field.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TextIO, Union, get_args, get_origin

from pydantic import BaseModel

from jobs.errors import InvalidJob

#: Bytes that are no UTF-8 are read as these, so that their line can be named.
_SURROGATES = range(0xDC80, 0xDD00)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input; in CSV the line on which a row begins.

    Args:
        number: in the file, from 1.
        body: what it says; none if it cannot be read.
        error: why it cannot be read, and what to do.
    """

    number: int
    body: dict[str, Any] | None
    error: str = ""


def read(path: Path, form: str, columns: Mapping[str, bool]) -> Iterator[Line]:
    """The lines of a file.

    Args:
        path: the file; it may be read again.
        form: `jsonl` or `csv`.
        columns: the fields that a CSV header may name, as `columns_of` gives them.

    Raises:
        InvalidJob: the file cannot be read, or its CSV header is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="" if form == "csv" else None) as source:
            yield from _csv(source, columns) if form == "csv" else _jsonl(source)
    except OSError as error:
        raise InvalidJob(f"input: {path.name} cannot be read ({error.strerror})") from None


def columns_of(model: type[BaseModel], prefix: str = "", depth: int = 4) -> dict[str, bool]:
    """The columns that fit a model, by name with dots for what is inside; and whether a cell is read as JSON."""
    found: dict[str, bool] = {}
    for name, field in model.model_fields.items():
        column, kinds = f"{prefix}{field.alias or name}", _kinds(field.annotation)
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        # A number or a list has to be read; a text must not be: "00501" is a ZIP code.
        found[column] = str not in kinds and bool(models or kinds & {int, float, bool, list, dict, tuple})
        for inner in models if depth else ():
            found |= columns_of(inner, f"{column}.", depth - 1)
    return found


def _kinds(annotation: Any) -> set[Any]:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return set().union(*map(_kinds, get_args(annotation)))
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    return {origin or annotation}


def _readable(text: str) -> bool:
    return not any(ord(letter) in _SURROGATES for letter in text)


def _jsonl(source: TextIO) -> Iterator[Line]:
    for number, text in enumerate(source, 1):
        if not text.strip():
            continue
        if not text.isascii() and not _readable(text):
            yield Line(number, None, "not UTF-8: save the file in this encoding")
            continue
        try:
            body = json.loads(text, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            yield Line(number, None, f"not JSON at column {error.colno}: give one JSON object on each line")
        except (ValueError, RecursionError):  # a field twice, or a number of thousands of digits
            yield Line(number, None, "not a plain JSON object: give each field once")
        else:
            fine = isinstance(body, dict)
            yield Line(number, body if fine else None, "" if fine else "not a JSON object: give one on each line")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        raise ValueError("a field twice")
    return body


def _csv(source: TextIO, columns: Mapping[str, bool]) -> Iterator[Line]:
    rows = csv.reader(source, strict=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        _check_header(header, columns)
        begins = rows.line_num + 1
        for cells in rows:
            number, begins = begins, rows.line_num + 1
            if not cells:
                continue
            if len(cells) != len(header):
                error = f"{len(cells)} cells under a header of {len(header)}: quote cells that hold a comma"
                yield Line(number, None, error)
            elif not all(map(_readable, cells)):
                yield Line(number, None, "not UTF-8: save the file in this encoding")
            else:
                yield _row(number, header, cells, columns)
    except csv.Error as error:
        raise InvalidJob(f"line {rows.line_num}: not CSV ({error}); use commas and double quotes") from None


def _check_header(header: list[str], columns: Mapping[str, bool]) -> None:
    """A wrong header may be a row of data: its cells are not shown."""
    if not header:
        raise InvalidJob("line 1: no header; name the fields in the first line")
    wrong = []
    for position, name in enumerate(header, 1):
        if name not in columns:
            near = get_close_matches(name, columns, 1)
            wrong.append(f"column {position} is no field" + (f" (perhaps {near[0]})" if near else ""))
        elif name in header[: position - 1]:
            wrong.append(f"column {position} names {name} again")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        fields = ", ".join(columns)
        raise InvalidJob(f"line 1: {'; '.join(wrong[:5])}{more}; the first line names the fields, of: {fields}")


def _row(number: int, header: list[str], cells: list[str], columns: Mapping[str, bool]) -> Line:
    body: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        if not cell.strip():
            continue  # an empty cell is a field that is not given
        inside, *path = reversed(name.split("."))
        place = body
        for part in reversed(path):
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                return Line(number, None, f"{name}: the column before it gives the whole; leave one of them out")
        if inside in place:
            return Line(number, None, f"{name}: the columns before it give its parts; leave one of them out")
        place[inside] = _value(cell) if columns[name] else cell
    return Line(number, body)


def _value(cell: str) -> Any:
    try:
        return json.loads(cell, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return cell  # the model says what is wrong with it
