"""The simulator's description of itself: OpenAPI 3.1, generated from its routes and the types of its answers."""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import TypeAdapter

from simulator.control import CONTROL_ROUTES
from simulator.exchange import Service
from simulator.openapi import commonsdb, control, lettrlabs, myipr, unique_tokens
from simulator.openapi.shapes import Api, File, Shape

__all__ = ["PATH", "describe"]

PATH = "/openapi.json"
"""Where a running simulator serves its description."""

APIS: dict[str, Api] = {
    "commonsdb": commonsdb.API,
    "myipr": myipr.API,
    "unique_tokens": unique_tokens.API,
    "lettrlabs": lettrlabs.API,
    "tsa": control.TSA,
    "control": control.CONTROL,
    "description": control.DESCRIPTION,
}

_VARIABLE = re.compile(r"\{(\w+)(?::([^}]+))?\}")
_REFERENCE = "#/components/schemas/{model}"


def describe(services: Iterable[Service]) -> dict[str, Any]:
    """Describe the application that plays these services; raises LookupError for a route without a shape."""
    operations = [(service.name, service.prefix, route) for service in services for route in service.routes()]
    rows = [(name, prefix + route.path, route.method, route.operation) for name, prefix, route in operations]
    rows += [("control", path, method, name) for method, path, name in CONTROL_ROUTES]
    rows.append(("description", PATH, "GET", "openapi"))
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    used: set[str] = set()
    for api, path, method, operation in rows:
        shape = APIS[api].shapes.get(operation)
        if shape is None:
            message = f"{api}: operation {operation} has no shape: add one in simulator/openapi"
            raise LookupError(message)
        plain, parameters = _path(path)
        identity = _unique(f"{api}.{operation}", used)
        described = _operation(api, shape, identity, parameters, schemas)
        paths.setdefault(plain, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Settle's simulator",
            "summary": "Four remote APIs as one local server, and its control. All data is invented.",
            "version": _version(),
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": api.title} for name, api in APIS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components(paths),
            "securitySchemes": {name: dict(scheme) for api in APIS.values() for name, scheme in api.schemes.items()},
        },
    }


def _version() -> str:
    try:
        return version("settle-jobs")
    except PackageNotFoundError:  # played from a folder that is not installed
        return "0"


class _Schemas:
    """Collects types and writes them as JSON Schemas once all are known, so that equal ones share a component."""

    def __init__(self) -> None:
        self._types: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """Give the place of a type's schema; `components` fills it."""
        if kind is File:
            return {}
        key = str(len(self._types))
        self._types[key] = kind
        return {"settle-type": key}

    def components(self, paths: dict[str, Any]) -> dict[str, Any]:
        """Fill all places in `paths` and give the components."""
        inputs: list[Any] = [(key, "validation", TypeAdapter(kind)) for key, kind in self._types.items()]
        found, whole = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
        self._fill(paths, {key: schema for (key, _), schema in found.items()})
        components: dict[str, Any] = whole.get("$defs", {})
        return components

    def _fill(self, value: Any, found: dict[str, Any]) -> None:
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            if isinstance(item, dict) and "settle-type" in item:
                item.update(found[item.pop("settle-type")])
            else:
                self._fill(item, found)


def _path(path: str) -> tuple[str, list[dict[str, Any]]]:
    """Give a route's path as OpenAPI writes it, and its parameters; a variable of one value is no variable."""
    parameters: list[dict[str, Any]] = []

    def plain(match: re.Match[str]) -> str:
        name, values = match[1], (match[2] or "").split("|")
        if match[2] and len(values) == 1:
            return values[0]
        schema: dict[str, Any] = {"type": "string", **({"enum": values} if match[2] else {})}
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
        return f"{{{name}}}"

    return _VARIABLE.sub(plain, path), parameters


def _unique(name: str, used: set[str]) -> str:
    candidates = (name if number == 1 else f"{name}_{number}" for number in range(1, 100))
    chosen = next(candidate for candidate in candidates if candidate not in used)
    used.add(chosen)
    return chosen


def _operation(
    name: str, shape: Shape, identity: str, parameters: list[dict[str, Any]], schemas: _Schemas
) -> dict[str, Any]:
    api = APIS[name]
    query = [
        {"name": key, "in": "query", "description": text, "schema": {"type": "string"}}
        for key, text in shape.query.items()
    ]
    described: dict[str, Any] = {
        "operationId": identity,
        "tags": [name],
        "summary": shape.summary,
        "parameters": parameters + query,
        "responses": {"2XX": _success(api, shape, schemas), "4XX": _errors(api, schemas), "5XX": _errors(api, schemas)},
    }
    if shape.body is not None:
        content = {shape.body_media: {"schema": schemas.of(shape.body)}}
        described["requestBody"] = {"required": True, "content": content}
    schemes = [] if shape.public else list(api.schemes)
    if name == "unique_tokens" and shape.keys is None:
        schemes = ["session_key"]
    if shape.keys is not None:
        schemes = list(shape.keys)
    described["security"] = [{scheme: [] for scheme in schemes}] if schemes else []
    return described


def _success(api: Api, shape: Shape, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": "done"}
    content: dict[str, Any] = {}
    if api.errors_as_success:
        described["description"] = "done, or an error under a code of success, by a switch"
        content = {media: {"schema": schemas.of(kind)} for media, kind in api.errors.items()}
    if shape.answer is not None:
        own = schemas.of(shape.answer)
        if shape.media in content:
            own = {"anyOf": [own, content[shape.media]["schema"]]}
        content[shape.media] = {"schema": own}
    return {**described, "content": content} if content else described


def _errors(api: Api, schemas: _Schemas) -> dict[str, Any]:
    content = {media: {"schema": schemas.of(kind)} for media, kind in api.errors.items()}
    return {"description": "refused, or in trouble", **({"content": content} if content else {})}
