"""Holds requests and answers of the JSON API against its description."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from workflows.web.openapi import describe
from workflows.web.routes import API

DOCUMENT = describe(API)
OPERATIONS = {
    (method.upper(), path): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
}


def operation_of(method: str, path: str) -> dict[str, Any]:
    """The operation that a request is for."""
    for (known, template), operation in OPERATIONS.items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if known == method and re.fullmatch(pattern, path):
            return operation
    raise AssertionError(f"{method} {path} is not described")


def valid(value: Any, schema: dict[str, Any]) -> None:
    """Check a value; raises `jsonschema.ValidationError`."""
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def check(response: httpx.Response) -> None:
    """Hold an answer of the API, and the request if it was taken, against the description."""
    request = response.request
    path = request.url.raw_path.decode().partition("?")[0]
    if not path.startswith("/api/"):
        return
    try:
        operation = operation_of(request.method, path)
    except AssertionError:
        assert response.status_code in (404, 405), path
        return
    code = str(response.status_code)
    described = operation["responses"].get(code) or operation["responses"][f"{code[0]}XX"]
    media = response.headers["content-type"].partition(";")[0]
    assert media in described["content"], (path, media)
    if media != "application/json":
        return
    response.read()
    valid(response.json(), described["content"][media]["schema"])
    if response.is_success:
        known = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
        assert set(request.url.params) <= known
        if "requestBody" in operation:
            valid(json.loads(request.content), operation["requestBody"]["content"]["application/json"]["schema"])
