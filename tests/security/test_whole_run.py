"""After a whole run: nothing secret and nothing personal, wherever one may look; and Redis allowed no more than needed.

One module, so that the run is made once.
"""

from __future__ import annotations

import json

import jsonschema
import pytest
from pydantic import BaseModel

from config import acl
from jobs.events import JobEvent, schema
from providers import discover

from .forms import Search
from .scenes import ANSWERED, FIRST, PERSONAL, SECOND, SIGNED_LINK, secret_settings
from .whole_run import Run

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

#: Workers share a session through the ledger: the one secret that is kept there. See SECURITY.md.
KEPT = {"redis settle:{unique_tokens}:notes session": {"session key"}}


def everything(run: Run) -> Search:
    """The search for all of it."""
    return Search({**run.secrets, **PERSONAL, **ANSWERED, "signed link": SIGNED_LINK})


def test_every_secret_of_the_settings_is_searched_for(run: Run) -> None:
    """The list comes from the model: whoever adds a secret has to give it a value in the run."""
    assert secret_settings() <= set(run.secrets)
    assert all(run.secrets.values())


def test_every_job_ended_as_it_should(run: Run) -> None:
    """Refused keys and lost answers cost time; nothing was submitted twice."""
    ends = {job_id: end for job_id, (*_, end) in {**FIRST, **SECOND}.items()}
    ends |= {"produced.then.1": "succeeded", "several.1": "succeeded", "several.2": "succeeded"}
    assert run.states == ends
    assert all(not provider.doubles for provider in run.account.providers.values())


def test_nothing_is_shown_logged_or_kept(run: Run) -> None:
    """Logs down to DEBUG, events, results, Flower, remote control, the command, arguments of processes, Redis."""
    places = set(run.seen.places)
    for expected in (
        *("log of poll-worker", "log of file-worker", "log of flower", "events", "client results", "inspect conf"),
        *("Flower /tasks/datatable", "Flower /broker", "Flower /metrics", "Flower /api/task/result/bad-mail"),
        *("Flower /task/converted", "settle doctor", "settle status", "arguments of processes"),
        *("redis settle:{lettrlabs}:job:converted state", "redis settle:{lettrlabs}:events"),
        *(
            "log of webhooks",
            "webhooks",
            "settle events",
            "settle webhooks",
            "redis settle:{to:shop}:letters bad-mail:1",
        ),
    ):
        assert expected in places, expected
    assert everything(run).places(run.seen.places) == KEPT


def test_redis_is_told_a_body_until_it_is_sent_and_nothing_else(run: Run) -> None:
    """The trigger, its book and the record hold the body, because they must; no key ever goes there."""
    search = everything(run)
    told: set[tuple[str, str]] = set()
    seen: set[str] = set()
    for command, arguments, line in run.wire.commands():
        if not (names := search.found(line)):
            continue
        seen |= names
        key = (arguments[2 if command == "evalsha" else 0]).decode("utf-8", "replace")
        kind = "job" if ":job:" in key else key
        if names == {"session key"}:
            told.add((command, f"session in {kind}"))
        else:
            assert names <= set(PERSONAL), names
            told.add((command, kind))
    assert told == {
        ("lpush", "celery"),  # the trigger, as the caller sends it
        ("hset", "settle:inbox:celery:held"),  # the book of triggers that were taken
        ("evalsha", "job"),  # the job is recorded; its body is dropped by the move that has the receipt
        ("hset", "job"),
        ("hsetnx", "session in settle:{unique_tokens}:notes"),
    }
    assert seen >= set(PERSONAL)  # so the search does find them


def test_every_event_is_as_the_schema_says(run: Run) -> None:
    """Of all providers and all kinds of ends; nothing is in one that the schema does not name."""
    checked = jsonschema.Draft202012Validator(schema())
    ends: set[tuple[str, str]] = set()
    for provider in discover():
        for _, raw in run.admin.xrange(f"settle:{{{provider}}}:events"):  # type: ignore[union-attr]
            event = JobEvent.of_entry(provider, {name.decode(): value.decode() for name, value in raw.items()})
            checked.validate(json.loads(event.text()))
            assert unnamed(event) == [], event.id
            ends.add((provider, event.target))
    assert {provider for provider, _ in ends} == set(discover())
    assert {"succeeded", "failed", "in_doubt"} <= {target for _, target in ends}


def unnamed(told: BaseModel) -> list[str]:
    """The fields that no model names, at any depth."""
    found = list(told.model_extra or ())
    for name in type(told).model_fields:
        value = getattr(told, name)
        for each in value if isinstance(value, list) else [value]:
            found += unnamed(each) if isinstance(each, BaseModel) else []
    return found


def test_a_whole_run_needs_nothing_else(run: Run) -> None:
    """Redis refused nothing: `ACL LOG` is empty, and all jobs came to their ends."""
    assert run.refused == []


def test_every_command_that_is_allowed_is_sent(run: Run) -> None:
    """What is no longer needed is no longer allowed; what is rare has a reason."""
    sent = {command for command, *_ in run.wire.commands()}
    sent |= {f"{command}|{words[0].decode().lower()}" for command, words, _ in run.wire.commands() if words}
    assert acl.COMMANDS - sent == set()
    assert not set(acl.SELDOM) & acl.COMMANDS
