"""Log lines: a static name and fields, wherever a process logs to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO

import pytest

from config import logs


@pytest.fixture
def file() -> Iterator[StringIO]:
    """A place to which somebody else has the process log, in a format of its own."""
    root, text = logging.getLogger(), StringIO()
    handlers, level = root.handlers[:], root.level
    formatters = [handler.formatter for handler in handlers]
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(message)s, without more"))
    root.addHandler(handler)
    yield text
    root.handlers[:] = handlers
    root.setLevel(level)
    for each, formatter in zip(handlers, formatters, strict=True):
        each.setFormatter(formatter)


def test_fields_stand_in_the_line_and_a_traceback_below(file: StringIO) -> None:
    """So a search for a job finds the line."""
    logs.dress()
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("some.module").exception("it_broke", extra={"fields": {"job_id": "j-1", "none": None}})
    first, *_, last = file.getvalue().splitlines()
    assert first.endswith(" ERROR   MainProcess it_broke job_id=j-1")
    assert last == "ValueError: why"
