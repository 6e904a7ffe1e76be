"""The examples that are programs: each triggers a real job, follows it, and tells what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from .conftest import PASSWORD, Outside

pytestmark = pytest.mark.acceptance


def sha256_of(name: str) -> str:
    """A hash of its own for each certificate: the provider takes none twice."""
    return hashlib.sha256(name.encode()).hexdigest()


Command = Callable[[Outside, str, str, dict[str, Any]], tuple[list[str], str]]


def raw_redis(outside: Outside, workflow: str, job_id: str, kwargs: dict[str, Any]) -> tuple[list[str], str]:
    return [outside.python, "trigger.py", workflow, job_id, json.dumps(kwargs)], "raw_redis"


def node(outside: Outside, workflow: str, job_id: str, kwargs: dict[str, Any]) -> tuple[list[str], str]:
    return ["node", "trigger.js", workflow, job_id, json.dumps(kwargs)], "node"


LANGUAGES = pytest.mark.parametrize("command", [raw_redis, node], ids=["raw_redis", "node"])


def certificate(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "category_id": "10", "hash": sha256_of(name), "size": "1079", **changes}


def test_the_examples_have_nothing_of_settle(outside: Outside) -> None:
    """Else they would show nothing; the client is there, from its wheel."""
    for module, there in (("jobs", False), ("workflows", False), ("settle_client", True), ("celery", True)):
        done = outside.run([outside.python, "-c", f"import {module}"], "celery_app")
        assert (done.returncode == 0) == there, module


def test_the_bare_celery_application(outside: Outside) -> None:
    """States, outcome and file; once more for the same order is the same job."""
    outside.plan("myipr", "Harbour at dusk")
    command = [outside.python, "order.py", "order-4711", "Harbour at dusk", sha256_of("dusk")]
    done = outside.run(command, "celery_app")
    assert done.returncode == 0, done.stdout + done.stderr
    *states, last = done.stdout.splitlines()
    word, uri, sha256 = last.split()
    assert "POLLING" in states
    assert word == "succeeded"
    assert Path(urlsplit(uri).path).read_bytes().startswith(b"%PDF")
    assert len(sha256) == 64
    again = outside.run(command, "celery_app")
    assert again.stdout.splitlines()[-1] == last
    assert outside.submits("myipr", "Harbour at dusk") == 1


def test_the_bare_celery_application_is_told_of_a_failure(outside: Outside) -> None:
    """By the name of the exception, with the field."""
    done = outside.run([outside.python, "order.py", "order-4712", "Beach", "no hash"], "celery_app")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("JobFailed: ")
    assert "hash:" in done.stdout


@LANGUAGES
def test_another_language(outside: Outside, command: Command, request: pytest.FixtureRequest) -> None:
    """From a message made by hand, or by a package of another language, to the outcome; twice is once."""
    name = f"Harbour by {request.node.callspec.id}"
    outside.plan("myipr", name)
    own, folder = command(outside, "myipr.certify", f"{folder_id(name)}-1", certificate(name))
    done = outside.run(own, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    *states, last = done.stdout.splitlines()
    assert "POLLING" in states
    assert json.loads(last)["artifacts"][0]["name"] == "certificate.pdf"
    assert outside.run(own, folder).stdout.splitlines()[-1] == last
    assert outside.submits("myipr", name) == 1


@LANGUAGES
def test_another_language_is_told_of_a_failure(
    outside: Outside, command: Command, request: pytest.FixtureRequest
) -> None:
    """With the sentence and the remedy; the field of a bad body is named."""
    name = f"Never by {request.node.callspec.id}"
    own, folder = command(outside, "myipr.certify", f"{folder_id(name)}-1", certificate(name, hash="no hash"))
    done = outside.run(own, folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed: hash:" in done.stdout
    assert "trigger it under a new id" in done.stdout
    assert outside.submits("myipr", name) == 0


@LANGUAGES
def test_any_letters_arrive_from_another_language(
    outside: Outside, command: Command, request: pytest.FixtureRequest
) -> None:
    """Letters beyond ASCII, and numbers, arrive as they were sent."""
    tag = f"größe-{request.node.callspec.id}-✓"
    own, folder = command(outside, "lettrlabs.delete", folder_id(tag), {"id": 404, "tags": {"label": tag}})
    outside.run(own, folder)
    assert outside.house.ledger.get(folder_id(tag)).tags == {"label": tag}


@LANGUAGES
def test_a_broker_that_is_away_is_an_error(outside: Outside, command: Command) -> None:
    """Not a trigger that nobody has."""
    own, folder = command(outside, "lettrlabs.delete", "away-1", {"id": 1})
    done = outside.run(own, folder, BROKER_URL="redis://127.0.0.1:1", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1
    assert "ECONNREFUSED" in done.stdout + done.stderr or "refused" in done.stderr


def test_curl(outside: Outside) -> None:
    """Settle's own API and Flower's, with a login."""
    outside.plan("myipr", "Harbour by curl")
    login = {"FLOWER_URL": outside.flower, "FLOWER_USER": "shop", "FLOWER_PASSWORD": PASSWORD}
    command = ["./trigger.sh", "curl-1", "Harbour by curl", sha256_of("curl")]
    done = outside.run(command, "curl", **login)
    assert done.returncode == 0, done.stdout + done.stderr
    first, *states, sent, result = done.stdout.splitlines()
    assert first == "submitted: 201"
    assert states[-1] == "succeeded"
    assert json.loads(sent)["task-id"] == "curl-1"
    assert (json.loads(result)["state"], json.loads(result)["result"]["state"]) == ("SUCCESS", "succeeded")
    assert outside.submits("myipr", "Harbour by curl") == 1
    assert outside.run(command, "curl", **login).stdout.startswith("submitted: 200\n")
    refused = outside.run(command, "curl", **{**login, "FLOWER_PASSWORD": "wrong"})
    assert (refused.returncode, "401" in refused.stderr) == (22, True)


def folder_id(name: str) -> str:
    """A name as an id: printable ASCII without spaces."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
