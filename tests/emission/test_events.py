"""What an event is: the schema in the docs, and events in all their forms."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from jobs.errors import SettleError
from jobs.events import JobEvent, schema

from .conftest import WAY, House

PAGE = Path(__file__).parents[2] / "docs" / "events.schema.json"


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    """Written by `python -m jobs.events`."""
    assert json.loads(PAGE.read_text()) == schema()
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_example_in_the_docs_is_an_event() -> None:
    """The one that people copy; every field of it is one that the schema names."""
    text = PAGE.with_name("events.md").read_text().partition("```json\n")[2].partition("```")[0]
    jsonschema.validate(json.loads(text), schema())
    event = JobEvent.model_validate_json(text)
    assert (event.type, event.model_extra, event.data.model_extra) == ("job.failed", {}, {})
    assert event.data.outcome is not None
    assert event.data.outcome.model_extra == {}


def test_every_event_of_a_job_is_as_the_schema_says(house: House) -> None:
    """As it is told; with a failure, files and all that a record may have, in `tests/security/test_whole_run.py`."""
    house.job("a", *WAY, message="well", progress=100, word="DONE")
    keys = {"myipr": "settle:{myipr}:events"}
    entries = house.run.redis.xrange(keys["myipr"])
    assert isinstance(entries, list)
    events = [JobEvent.of_entry("myipr", fields) for _, fields in entries]  # type: ignore[arg-type]
    assert [event.seq for event in events] == [1, 2, 3, 4]
    for event in events:
        jsonschema.validate(json.loads(event.text()), schema())
    assert events == [JobEvent.of_event("myipr", event) for event in house.run.ledger.events("myipr", "a")]
    record = JobEvent.of_record(house.run.ledger.get("a"))
    last = events[-1]
    assert record.model_dump(exclude={"source", "at"}) == last.model_dump(exclude={"source", "at"})
    assert record.id == last.id == "a:4"
    assert json.loads(last.text()) == {
        "provider": "myipr",
        "job_id": "a",
        "seq": 4,
        "source": "polling",
        "target": "succeeded",
        "at": house.clock.now(),
        "data": {
            "v": 1, "workflow": "myipr.do", "word": "DONE", "progress": 100, "message": "well",
            "outcome": house.run.ledger.get("a").outcome(),
        },
    }  # fmt: skip


@pytest.mark.parametrize("job_id", ["a", "a.then.1", "100%", "a%2E1", "a:1", "~!"])
def test_an_id_has_no_full_stop_and_is_nobody_elses(job_id: str) -> None:
    """The signature joins id, time and body with full stops."""
    one = JobEvent.of_entry("p", _entry(job=job_id))
    assert "." not in one.id
    from urllib.parse import unquote

    assert unquote(one.id.rpartition(":")[0]) == job_id


def test_half_a_character_in_a_providers_words_harms_nothing() -> None:
    """A lone surrogate cannot be encoded; a question mark stands for it."""
    data = {"v": 1, "workflow": "w", "message": "a \ud83d b", "outcome": None, "more": {"x": ["\udfff"]}}
    event = JobEvent.of_entry("p", _entry(data=json.dumps(data)))
    told = json.loads(event.text())
    assert told["data"]["message"] == "a ? b"
    assert told["data"]["more"] == {"x": ["?"]}


@pytest.mark.parametrize(
    "changes",
    [{"data": '{"v": 2, "workflow": "w"}'}, {"to": "resting"}, {"data": "no json"}, {"data": "{}"}, {"at": ""}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_be_read_says_so_and_quotes_nothing(changes: dict[str, str]) -> None:
    """A newer version has written it: nobody passes over it."""
    with pytest.raises(SettleError, match="use the version of Settle") as refused:
        JobEvent.of_entry("p", _entry(**changes))
    assert "resting" not in str(refused.value)


def _entry(**changes: str) -> dict[str, str]:
    fields = {"job": "a", "seq": "1", "from": "", "to": "failed", "at": "1700000000123"}
    return {**fields, "data": '{"v": 1, "workflow": "w"}', **changes}
