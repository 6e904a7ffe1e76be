"""The JSON API's description of itself: OpenAPI 3.1, generated from its routes and the types of their bodies."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from jobs.events import JobEvent
from workflows.web import models
from workflows.web.api import HEADER, ApiHandler

if TYPE_CHECKING:
    from workflows.web.routes import Operation, Route

PATH = "/api/openapi.json"
"""Where Flower serves it."""

_REFERENCE = "#/components/schemas/{model}"
_STREAM = (
    "Server-sent events: `job` is one event of a job (`JobEvent`), `overview` is where all jobs stand "
    "(`ProvidersView`), `reset` says that older events are not kept any more. A lost connection goes on where it was "
    "if `Last-Event-ID` holds the last id."
)


class Description(ApiHandler):
    """The description."""

    def get(self) -> None:
        """Read it."""
        from workflows.web.routes import API  # which names this handler

        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(describe(API, (self.application.options.url_prefix or "").strip("/")))


def describe(routes: tuple[Route, ...], prefix: str = "") -> dict[str, Any]:
    """Describe the JSON API.

    Args:
        routes: its addresses.
        prefix: of Flower, without slashes around it.
    """
    kinds: dict[str, Any] = {"Refused": models.Refused, "JobEvent": JobEvent}
    operations = [operation for route in routes for operation in route.operations.values()]
    for operation in operations:
        both = {f"{operation.name} gives": operation.gives, f"{operation.name} takes": operation.takes}
        kinds |= {name: kind for name, kind in both.items() if kind is not None}
    inputs: list[Any] = [(name, "validation", TypeAdapter(kind)) for name, kind in kinds.items()]
    found, whole = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
    schemas = {name: schema for (name, _), schema in found.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Settle",
            "summary": "Submit, read, list, act on and follow jobs, as the Jobs page in Flower does.",
            "version": version("settle-jobs"),
        },
        "servers": [{"url": f"/{prefix}" if prefix else "/"}],
        "security": [{"login": []}],
        "paths": {
            route.path: {method: _operation(method, route, op, schemas) for method, op in route.operations.items()}
            for route in routes
        },
        "components": {
            "schemas": whole.get("$defs", {}),
            "securitySchemes": {"login": {"type": "http", "scheme": "basic"}},
        },
    }


def _operation(method: str, route: Route, operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    for name, schema in (
        operation.query.model_json_schema()["properties"].items() if operation.query.model_fields else ()
    ):
        text = schema.pop("description", "")
        parameters.append({"name": name, "in": "query", "description": text, "schema": schema})
    if operation.gives is None:
        text = "where to go on: the id of the last event that was received"
        parameters.append({"name": "Last-Event-ID", "in": "header", "description": text, "schema": {"type": "string"}})
        content: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": schemas[f"{operation.name} gives"]}}
    if method == "post":
        text = "any value: it keeps other sites out"
        parameters.append(
            {"name": HEADER, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        )
    refused = {"application/json": {"schema": schemas["Refused"]}}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            **{str(int(code)): {"description": code.phrase, "content": content} for code in operation.codes},
            "4XX": {"description": "refused", "content": refused},
            "5XX": {"description": "Redis is away, or something is wrong in Settle", "content": refused},
        },
    }
    if operation.gives is None:
        described["description"] = _STREAM
    if operation.takes is not None:
        body = {"application/json": {"schema": schemas[f"{operation.name} takes"]}}
        described["requestBody"] = {"required": True, "content": body}
    return described
