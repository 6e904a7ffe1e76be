"""What docs/trigger.md says of the message is what Settle reads, field by field; the examples it names are there."""

from __future__ import annotations

import base64
import copy
import json
import re
from typing import Any

import pytest

from jobs.errors import InvalidJob
from tasks.receive import decode
from tests.packages import ROOT

PAGE = (ROOT / "docs" / "trigger.md").read_text()
SECTION = PAGE.partition("## The message, byte for byte")[2].partition("### The answer")[0]
MESSAGE, BODY = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", SECTION, re.S))
FIELDS = dict(re.findall(r"^\| `([\w.-]+)` \| (yes|no) \|", SECTION, re.M))


def _without(path: str) -> dict[str, Any]:
    message = copy.deepcopy(MESSAGE)
    *above, name = path.split(".")
    place = message
    for step in above:
        place = place[step]
    place.pop(name, None)
    return message


def test_the_message_of_the_page_is_read() -> None:
    """As it stands there, and its body is the one that is shown."""
    trigger = decode(json.dumps(MESSAGE))
    assert json.loads(base64.b64decode(MESSAGE["body"], validate=True)) == BODY
    assert (trigger.task, trigger.job_id) == ("settle.lettrlabs.delete", "delete-17")
    assert (trigger.args, trigger.kwargs) == ((), {"id": 17})


def test_each_field_of_the_message_is_told_of() -> None:
    """Those that are shown, and two more that a caller may add."""
    shown = set(MESSAGE) | {f"{name}.{key}" for name in ("headers", "properties") for key in MESSAGE[name]}
    assert set(FIELDS) == shown | {"headers.eta", "headers.traceparent"}


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_a_field_is_needed_or_not(field: str) -> None:
    """As the table says."""
    message = _without(field)
    if field == "properties.body_encoding":
        message["body"] = json.dumps(BODY)
    if FIELDS[field] == "yes":
        with pytest.raises(InvalidJob):
            decode(json.dumps(message))
    else:
        assert decode(json.dumps(message)).kwargs == {"id": 17}


def test_what_a_caller_may_add() -> None:
    """A time, and a trace."""
    message = copy.deepcopy(MESSAGE)
    message["headers"] |= {"eta": "2026-03-04T16:20:00+00:00", "traceparent": "00-ab-cd-01"}
    trigger = decode(json.dumps(message))
    assert (trigger.eta, trigger.trace) == (1772641200.0, "00-ab-cd-01")


@pytest.mark.parametrize(
    "page", ["docs/trigger.md", "examples/README.md", "examples/node/README.md", "client/README.md"]
)
def test_each_link_leads_somewhere(page: str) -> None:
    """Files of the repository, and headings of pages."""
    place = ROOT / page
    found = re.findall(r"\]\((?!https?:)([^)]+)\)", place.read_text())
    assert found
    for link in found:
        path, _, anchor = link.partition("#")
        target = (place.parent / path).resolve() if path else place
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}, link


def test_each_example_is_listed() -> None:
    """In both pages that list them."""
    folders = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()} - {"__pycache__"}
    for page in ("docs/trigger.md", "examples/README.md"):
        text = (ROOT / page).read_text()
        assert {name for name in folders if f"{name}/" in text or f"{name})" in text} == folders, page
