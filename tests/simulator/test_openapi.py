"""The simulator's description of itself: valid, whole, and true of what is answered on the wire."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openapi_spec_validator
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from simulator import DEFAULT_DID, DEFAULT_KEYS, ManualClock, Running, Simulator, running, samples
from simulator.server import command

DOCUMENT = Simulator().openapi()
OPERATIONS = {
    (method.upper(), path): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
}


def _found(method: str, path: str) -> tuple[tuple[str, str], dict[str, Any]]:
    """The operation that a request is for: one without a variable goes before one with."""
    for template in sorted({path for _, path in OPERATIONS}, key=lambda path: path.count("{")):
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if (method, template) in OPERATIONS and re.fullmatch(pattern, path):
            return (method, template), OPERATIONS[method, template]
    raise AssertionError(f"{method} {path} is not described")


def _valid(value: Any, schema: dict[str, Any]) -> None:
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def _refused(response: httpx.Response) -> bool:
    """Whether an answer is an error, be it under a code of success."""
    if not response.is_success or "json" not in response.headers.get("content-type", ""):
        return not response.is_success
    body = response.json()
    return "customErrorNumber" in body or body.get("status", 200) in range(400, 600) or "errors" in body


def _check(response: httpx.Response) -> tuple[tuple[str, str], str]:
    """Hold a request and its answer against the description; gives the operation and the class of the code."""
    request, family = response.request, f"{response.status_code // 100}XX"
    operation, described = _found(request.method, request.url.raw_path.decode().partition("?")[0])
    known = {item["name"] for item in described["parameters"] if item["in"] == "query"}
    assert set(request.url.params) <= known, operation
    if (body := described.get("requestBody")) and not _refused(response):
        media = request.headers.get("content-type", "").partition(";")[0]
        assert list(body["content"]) == [media], operation
        if media.endswith("json"):
            _valid(json.loads(request.content), body["content"][media]["schema"])
    content = described["responses"][family].get("content", {})
    if not response.content:
        return operation, family
    by_media = {name.partition(";")[0]: item["schema"] for name, item in content.items()}
    schema = by_media[response.headers["content-type"].partition(";")[0]]
    if schema:
        media = response.headers["content-type"]
        _valid(response.json() if "json" in media else response.text, schema)
    return operation, family


Seen = dict[tuple[str, str], set[str]]


@pytest.fixture
def seen() -> Seen:
    """The operations that were asked, and what classes of codes they gave."""
    return {}


@pytest.fixture
def client(sim: Running, seen: Seen) -> Iterator[httpx.Client]:
    """A client whose every answer is held against the description."""

    def hook(response: httpx.Response) -> None:
        response.read()
        operation, family = _check(response)
        seen.setdefault(operation, set()).add(family)

    with httpx.Client(base_url=sim.url, event_hooks={"response": [hook]}) as found:
        yield found


def test_it_is_valid() -> None:
    """OpenAPI 3.1, by a library that others keep; and it can fail."""
    openapi_spec_validator.validate(DOCUMENT)
    broken = json.loads(json.dumps(DOCUMENT))
    del broken["paths"]["/myipr/create"]["post"]["responses"]
    del broken["info"]["title"]
    with pytest.raises(OpenAPIValidationError):
        openapi_spec_validator.validate(broken)


def test_every_route_is_in_it_and_no_other() -> None:
    """The application is asked itself, not the table that the description was made from."""
    served = set()
    for route in Simulator().application().router.routes():
        assert route.resource is not None
        info = route.resource.get_info()
        path = info.get("path") or info["formatter"]
        if pattern := info.get("pattern"):  # a variable of one value is no variable
            path = re.sub(
                r"\{(\w+)\}",
                lambda match, text=pattern.pattern: _only_value(text, match[1]) or match[0],
                path,
            )
        served.add((route.method, path))
    assert served == set(OPERATIONS)
    identities = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(identities) == len(set(identities))


def _only_value(pattern: str, name: str) -> str | None:
    found = re.search(rf"\(\?P<{name}>([^)]*)\)", pattern)
    return found[1] if found and re.fullmatch(r"\w+", found[1]) else None


def test_it_is_served_and_printed(sim: Running) -> None:
    """`GET /openapi.json` and `settle simulate --openapi` give the same, and nothing secret."""
    answer = httpx.get(f"{sim.url}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT
    printed = CliRunner().invoke(command, ["--openapi"])
    assert printed.exit_code == 0
    assert json.loads(printed.output) == DOCUMENT
    assert not any(secret in answer.text for secret in (*DEFAULT_KEYS.values(), DEFAULT_DID))


def _commonsdb(client: httpx.Client, sim: Running, clock: ManualClock) -> None:
    base, key = "/commonsdb/v1", {"Authorization": f"Bearer {sim.keys['commonsdb']}"}
    body = samples.declaration(name="Harbour", now_ms=round(clock() * 1000), registry=True)
    identifier = client.post(f"{base}/declare", json=body, headers=key).json()["cidV1"]
    code = samples.iscc("Harbour").removeprefix("ISCC:")
    for after in (0, 3600):
        clock.advance(after)
        for path in (f"status/{identifier}", f"metadata/{identifier}", f"search/{code}"):
            client.get(f"{base}/{path}", headers=key)
            client.get(f"{base}/{path}")
        client.get(f"{base}/metadata-pub/{identifier}")
    client.get(f"{base}/status/nobody", headers=key)
    client.get(f"{base}/metadata-pub/nobody")
    client.get(f"{base}/search/short", headers=key)
    for wrong in ({}, [], {**body, "signature": "a.b.c"}, body):  # the last is too old by now
        client.post(f"{base}/declare", json=wrong, headers=key)
    client.post(f"{base}/declare", content=b"{", headers=key)


def _myipr(client: httpx.Client, sim: Running, clock: ManualClock) -> None:
    base, key = "/myipr", {"Authorization": f"SECRET {sim.keys['myipr']}"}
    sim.plan("myipr", "bad", outcome="failed")
    sim.plan("myipr", "Harbour", outcome="success")
    body = samples.certificate_request("Harbour")
    result = client.post(f"{base}/create", json=body, headers=key).json()["result"]
    bad = client.post(f"{base}/create", json=samples.certificate_request("bad"), headers=key).json()["result"]
    client.post(f"{base}/create", json=body, headers=key)
    client.post(f"{base}/create", json={}, headers=key)
    version, file = f"{base}/get-version/{result['versionId']}", f"{base}/get-file/{result['fileId']}"
    for after in (0, 3600):
        clock.advance(after)
        client.post(version, headers=key)
        client.post(f"{base}/get-version/{bad['versionId']}", headers=key)
        certificate = client.post(f"{version}/certificate", headers=key)
    result = certificate.json()["result"]
    link = httpx.URL((result[0] if isinstance(result, list) else result)["certificateLink"])
    client.get(f"{link.path}")
    client.get(f"{base}/certificates/dead")
    client.post(file, headers=key)
    client.post(f"{base}/get-file/nobody", headers=key)
    for page in ("1", "2", "x"):
        client.get(f"{base}/recent-files", params={"page": page}, headers=key)
    for method in ("GET", "POST"):
        client.request(method, f"{base}/categories", headers=key)
        client.request(method, f"{base}/categories")
    for path in (version, file, f"{version}/certificate"):
        client.get(path, headers=key)
        client.post(path)


def _unique_tokens(client: httpx.Client, sim: Running, clock: ManualClock) -> None:
    media = {"Content-Type": "application/vnd.api+json"}
    api = {"Api-Key": sim.keys["unique_tokens"], **media}
    new = {"data": {"type": "session", "attributes": {"note": "a note"}}}
    session = client.post("/api/sessions", content=json.dumps(new), headers=api).json()["data"]["id"]
    client.post("/api/sessions", content=b"{", headers=media)
    key = {"Session-Key": session, **media}
    client.get(f"/api/sessions/{session}", headers={**api, **key})
    client.get(f"/api/sessions/{session}")
    own = {"data": {"type": "alphabet", "id": "MINE", "attributes": {"chars": "abc"}}}
    client.post("/api/alphabets", content=json.dumps(own), headers=key)
    client.post("/api/alphabets", content=json.dumps({"data": {}}), headers=key)
    client.get("/api/alphabets", params={"filter[length]": "3"}, headers=key)
    client.get("/api/alphabets", params={"filter[length]": "x"}, headers=key)
    for path in ("MINE", "MINE/12", "nobody", "MINE/0"):
        client.get(f"/api/alphabets/{path}", headers=key)
    client.delete("/api/alphabets/MINE", headers=key)
    client.delete("/api/alphabets/MINE", headers=key)
    client.delete("/api/alphabets", headers=key)
    client.delete("/api/alphabets")
    ident = samples.payment()["ident"]
    sim.plan("unique_tokens", ident, outcome="success", duration=20)
    order = json.dumps(samples.tokens_request(size=1000))
    line = client.post("/api/tokens", params={"analysis": "metrics"}, content=order, headers=key).json()["data"]["id"]
    client.post("/api/tokens", content=json.dumps(samples.tokens_request(alphabet="nobody")), headers=key)
    unplanned = json.dumps(samples.tokens_request(paid_by=samples.payment("another"), seed=None))
    client.post("/api/tokens", content=unplanned, headers=key)
    files = ("data", "snapshot", "score", "delta", "analysis")
    for after in (0, 10, 60):
        clock.advance(after)
        client.get(f"/api/tokens/{line}", headers=key)
        for milestone in ("requested", "started", "ended", "finished", "analyzed"):
            client.get(f"/api/tokens/{line}/{milestone}", headers=key)
        for method, file in itertools.product(("GET", "HEAD"), files):
            client.request(method, f"/api/tokens/{line}/{file}", headers=key)
        client.get("/api/tokens", headers=key)
    snapshot = client.get(f"/api/tokens/{line}/snapshot", headers=key).content
    client.get(f"/api/tokens/{line}/data", params={"format": "gz"}, headers=key)
    part = samples.tokens_request(size=1000, paid_by=samples.payment("second"))
    parts = {"info": ("info.json", json.dumps(part)), "snapshot": ("snapshot.blob", snapshot)}
    only = {"Session-Key": session}
    client.post(f"/api/tokens/{line}", files=parts, headers=only)
    client.post(f"/api/tokens/{line}", files={**parts, "snapshot": ("snapshot.blob", b"x")}, headers=only)
    for path in (f"/api/tokens/{line}", f"/api/tokens/{line}/ended", "/api/tokens"):
        client.get(path)
    client.delete(f"/api/tokens/{line}", headers=key)
    client.delete(f"/api/tokens/{line}", headers=key)
    client.delete("/api/tokens", headers=key)
    client.delete("/api/tokens")
    client.delete(f"/api/sessions/{session}", headers={**api, **key})
    client.delete(f"/api/sessions/{session}", headers=api)


def _lettrlabs(client: httpx.Client, sim: Running, clock: ManualClock) -> None:
    base, key = "/lettrlabs/api/v1", {"X-API-KEY": sim.keys["lettrlabs"]}
    sim.plan("lettrlabs", "SO-1", outcome="success")
    sim.plan("lettrlabs", "SO-2", outcome="failed")
    client.get(f"{base}/me", headers=key)
    client.get(f"{base}/me")
    for order in ("SO-1", "SO-2", "SO-1"):
        client.post(f"{base}/conversions", json=[samples.conversion(order), {}], headers=key)
    client.post(f"{base}/conversions", json=[{}], headers=key)
    client.post(f"{base}/conversions", json={}, headers=key)
    client.post(f"{base}/conversions", json=[])
    uploads = client.get(f"{base}/conversions", params={"pageNumber": "0", "pageSize": "50"}, headers=key).json()
    client.get(f"{base}/conversions", params={"pageSize": "x"}, headers=key)
    numbers = [upload["id"] for upload in uploads["payload"]]
    for after in (0, 3600):
        clock.advance(after)
        for number in (*numbers, 7, "x"):
            client.get(f"{base}/conversions/{number}/status", headers=key)
    client.get(f"{base}/conversions/{numbers[0]}/status")
    for number in (numbers[0], numbers[0], 7):
        client.delete(f"{base}/conversions/{number}", headers=key)
    client.delete(f"{base}/conversions/{numbers[0]}")
    clock.advance(3600)
    client.get(f"{base}/conversions/{numbers[0]}/status", headers=key)


def _control(client: httpx.Client, sim: Running, clock: ManualClock) -> None:
    stamps = {"Content-Type": "application/timestamp-query"}
    client.post("/tsa", content=b"no query", headers=stamps)
    client.post("/tsa", content=b"no query")
    client.get("/openapi.json")
    base = "/_control"
    for path in ("account", "health", "faults"):
        client.get(f"{base}/{path}")
    for provider in (*DEFAULT_KEYS, "nobody"):
        client.get(f"{base}/switches/{provider}")
    client.patch(f"{base}/switches/myipr", json={"success_code": 200})
    client.patch(f"{base}/switches/myipr", json={"success_code": 7})
    client.post(f"{base}/faults", json={"provider": "myipr", "kind": "500", "operation": "create", "times": 3})
    client.post(f"{base}/faults", json={"provider": "myipr", "kind": "nothing"})
    client.get(f"{base}/faults")
    client.delete(f"{base}/faults", params={"provider": "myipr"})
    client.delete(f"{base}/faults", params={"number": "x"})
    client.post(f"{base}/plans", json={"provider": "myipr", "reference": "a", "outcome": "failed"})
    client.post(f"{base}/plans", json={"provider": "myipr"})
    client.get(f"{base}/account")
    client.post(f"{base}/reset")


RUNS: dict[str, Callable[[httpx.Client, Running, ManualClock], None]] = {
    "commonsdb": _commonsdb, "myipr": _myipr, "unique_tokens": _unique_tokens, "lettrlabs": _lettrlabs,
    "control": _control,
}  # fmt: skip
#: What cannot be answered so, with the switches of the start.
NEVER = {
    "myipr.wrong_method": "2XX", "myipr.wrong_method_2": "2XX", "myipr.wrong_method_3": "2XX",
    "myipr.categories_2": "2XX", "control.get_account": "4XX", "control.get_health": "4XX",
    "control.get_faults": "4XX", "control.post_reset": "4XX", "description.openapi": "4XX",
}  # fmt: skip


def test_each_operation_answers_as_described(
    client: httpx.Client, sim: Running, clock: ManualClock, seen: Seen
) -> None:
    """The happy path and an error of each operation, held against the description one by one."""
    for run in RUNS.values():
        run(client, sim, clock)
    for place, operation in OPERATIONS.items():
        wanted = {"2XX", "4XX"} - {NEVER.get(operation["operationId"])}
        assert seen.get(place, set()) >= wanted, (place, seen.get(place))


@pytest.mark.parametrize(
    ("provider", "switches"),
    [
        ("commonsdb", {"metadata_shape": "full", "metadata_pub_shape": "declaration", "date_times": False}),
        ("commonsdb", {"metadata_shape": "public", "text_errors_as_json": True, "declarer_missing_code": 403}),
        ("commonsdb", {"auth_error_shape": "text"}),
        ("myipr", {"http_code": "always_200", "error_shape": "hint"}),
        ("myipr", {"http_code": "always_200", "recent_id_type": "integer", "results_beside_result": True}),
        ("myipr", {"duplicate_reveals_ids": True, "certificate_result_array": True, "file_versions_key": "result"}),
        ("myipr", {"categories_method": "POST", "categories_key": "results", "recent_end": "error"}),
        ("unique_tokens", {"error_http": "as_success", "early_milestone": "errors"}),
        ("unique_tokens", {"list_carries_links": True, "deleted_line": "record", "failure_form": "errors"}),
        ("unique_tokens", {"filehashes_without_seed": True, "answered_status": "started", "analyzed": "instead"}),
        ("lettrlabs", {"frame": "orders", "empty_as": "null", "file_name": "null"}),
        ("lettrlabs", {"empty_as": "absent", "file_name": "absent", "auth_error_shape": "envelope"}),
        ("lettrlabs", {"auth_error_shape": "text", "rejected_records": "echoed", "all_invalid_code": 200}),
        ("lettrlabs", {"no_payload": "absent", "deletion_answer": "nothing", "revenue_echo": "number"}),
        ("lettrlabs", {"list_element": "short", "unknown_id_code": 200, "failure_form": "http_error"}),
    ],
    ids=str,
)
def test_it_is_true_under_other_switches(
    client: httpx.Client, sim: Running, clock: ManualClock, provider: Any, switches: dict[str, Any]
) -> None:
    """The description holds for every form that a switch can give an answer."""
    sim.set_switches(provider, **switches)
    RUNS[provider](client, sim, clock)


@pytest.mark.parametrize("kind", ["429", "500", "503"])
@pytest.mark.parametrize(
    ("provider", "switches"),
    [
        ("commonsdb", {"outage_shape": "problem"}),
        ("commonsdb", {"outage_shape": "text"}),
        ("commonsdb", {"outage_shape": "empty"}),
        ("myipr", {"error_shape": "hint"}),
        ("myipr", {"error_shape": "envelope", "http_code": "always_200"}),
        ("unique_tokens", {}),
        ("lettrlabs", {"outage_shape": "envelope"}),
        ("lettrlabs", {"outage_shape": "html"}),
    ],
    ids=str,
)
def test_it_is_true_of_outages(
    client: httpx.Client, sim: Running, provider: Any, switches: dict[str, Any], kind: Any
) -> None:
    """Whatever form an outage has: each operation of the provider, once."""
    sim.set_switches(provider, **switches)
    sim.fault(provider, kind)
    for method, path in [place for place, item in OPERATIONS.items() if item["tags"] == [provider]]:
        answer = client.request(method, re.sub(r"\{milestone\}", "ended", path).replace("{", "").replace("}", ""))
        assert answer.status_code == int(kind) or switches.get("http_code") == "always_200"


def test_a_wrong_answer_is_noticed(sim: Running) -> None:
    """The check above can fail: an unknown field, a missing one, and a path that is not described."""
    request = httpx.Request("GET", f"{sim.url}/commonsdb/v1/status/x")
    good = {"identifier": "x", "status": "s", "message": "", "createdAt": 1, "updatedAt": 1, "version": "1"}
    for body in ({**good, "more": 1}, {k: v for k, v in good.items() if k != "status"}, {**good, "status": 5}):
        with pytest.raises(ValidationError):
            _check(httpx.Response(200, json=body, request=request))
    _check(httpx.Response(200, json=good, request=request))
    with pytest.raises(AssertionError):
        _check(httpx.Response(200, json=good, request=httpx.Request("GET", f"{sim.url}/other")))


def test_another_port_and_host_change_nothing() -> None:
    """It names no address, so that it can be kept."""
    with running(port=0) as other:
        assert httpx.get(f"{other.url}/openapi.json").json() == DOCUMENT
