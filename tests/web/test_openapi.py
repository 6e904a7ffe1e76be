"""The JSON API's description of itself: valid, whole, and what the running server gives out."""

from __future__ import annotations

import json

import httpx
import openapi_spec_validator
import pytest
from jsonschema import ValidationError
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from workflows.web.handler import Handler
from workflows.web.routes import API

from .conftest import Site
from .description import DOCUMENT, OPERATIONS, valid


def test_it_is_valid() -> None:
    """OpenAPI 3.1, by a library that others keep; and it can fail."""
    openapi_spec_validator.validate(DOCUMENT)
    broken = json.loads(json.dumps(DOCUMENT))
    del broken["info"]["title"]
    with pytest.raises(OpenAPIValidationError):
        openapi_spec_validator.validate(broken)


def test_every_method_of_every_address_is_in_it() -> None:
    """What a handler answers to, and no more."""
    served = {
        (method.upper(), route.path)
        for route in API
        for method in ("get", "post", "put", "patch", "delete")
        if getattr(route.handler, method) is not getattr(Handler, method)
    }
    assert served == set(OPERATIONS)
    identities = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(identities) == len(set(identities))


def test_it_is_served(client: httpx.Client) -> None:
    """The same, by the running server."""
    assert client.get("/api/openapi.json").json() == DOCUMENT


def test_what_changes_something_names_the_header() -> None:
    """A client that is made from the description sends it."""
    for (method, path), operation in OPERATIONS.items():
        needed = [each["name"] for each in operation["parameters"] if each["in"] == "header" and each.get("required")]
        assert needed == (["X-Requested-With"] if method == "POST" else []), path


def test_it_tells_acts_apart() -> None:
    """Each with its own fields."""
    schema = OPERATIONS["POST", "/api/jobs/{id}/acts"]["requestBody"]["content"]["application/json"]["schema"]
    valid({"act": "resume", "deadline": 60}, schema)
    valid({"act": "resolve", "remote_id": "r-1"}, schema)
    for wrong in ({"act": "pause", "deadline": 60}, {"act": "explode"}, {}):
        with pytest.raises(ValidationError):
            valid(wrong, schema)


def test_events_are_as_described(site: Site, client: httpx.Client) -> None:
    """The stream's own lines, which the client cannot check."""
    with client.stream("GET", "/api/events") as response:
        seen = set()
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                kind = {"job": "JobEvent", "overview": "ProvidersView"}[name]
                valid(json.loads(line.removeprefix("data: ")), {"$ref": f"#/components/schemas/{kind}"})
                seen.add(name)
                if "job" in seen:
                    break
                site.job("a")
    assert seen == {"job", "overview"}
