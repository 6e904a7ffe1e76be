"""The examples that are servers: asked over HTTP, as their own users would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from config.embedded import free_port
from tests.waiting import until

from .conftest import Outside
from .test_programs import sha256_of

pytestmark = pytest.mark.acceptance


def _answers(client: httpx.Client, path: str) -> bool:
    with suppress(httpx.TransportError):
        return client.get(path).status_code < 500
    return False


@pytest.fixture(scope="module")
def certificates(outside: Outside) -> Iterator[httpx.Client]:
    """The FastAPI application."""
    with ExitStack() as exits:
        port = str(free_port())
        outside.serve("fastapi", [outside.python, "-m", "uvicorn", "app:app", "--port", port], exits)
        client = exits.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=40))
        until(lambda: _answers(client, "/openapi.json"), "FastAPI to answer")
        yield client


@pytest.fixture(scope="module")
def shop(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str]]:
    """The Django project, and where its database is."""
    database = str(tmp_path_factory.mktemp("shop") / "shop.sqlite3")
    made = outside.run([outside.python, "manage.py", "migrate", "--run-syncdb"], "django", SHOP_DATABASE=database)
    assert made.returncode == 0, made.stderr
    with ExitStack() as exits:
        port = str(free_port())
        command = [outside.python, "manage.py", "runserver", "--noreload", port]
        outside.serve("django", command, exits, SHOP_DATABASE=database)
        client = exits.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=40))
        until(lambda: _answers(client, "/orders/0"), "Django to answer")
        yield client, database


def _ask(client: httpx.Client, name: str, key: str, **changes: Any) -> httpx.Response:
    body = {"name": name, "sha256": sha256_of(name), "kilobytes": 1079, **changes}
    return client.post("/certificates", json=body, headers={"Idempotency-Key": key})


def test_fastapi_starts_reads_and_follows(outside: Outside, certificates: httpx.Client) -> None:
    """One job for one key, however often it is sent; its changes as events, to the end."""
    outside.plan("myipr", "Harbour by FastAPI", duration=60)
    started = _ask(certificates, "Harbour by FastAPI", "key-1")
    assert started.status_code == 202
    job = started.json()["job"]
    assert _ask(certificates, "Harbour by FastAPI", "key-1").json()["job"] == job
    events = [line.split(": ", 1) for line in certificates.get(f"/certificates/{job}/events").text.splitlines() if line]
    states = [value for field, value in events if field == "event"]
    assert "polling" in states
    assert states[-1] == "succeeded"
    read = certificates.get(f"/certificates/{job}").json()
    assert json.loads(events[-1][1]) == read
    assert (read["state"], read["files"][0]["name"], read["error"]) == ("succeeded", "certificate.pdf", None)
    assert outside.submits("myipr", "Harbour by FastAPI") == 1


def test_fastapi_tells_what_is_wrong(certificates: httpx.Client) -> None:
    """A job that failed, one that nobody triggered, an id that none can have, and a body that FastAPI refuses."""
    job = _ask(certificates, "Never", "key-2", sha256="no hash").json()["job"]
    failed = until(
        lambda: (seen := certificates.get(f"/certificates/{job}").json())["state"] == "failed" and seen, "the failure"
    )
    assert failed["error"].startswith("hash:")
    assert certificates.get("/certificates/nobody").json() == {"job": "nobody", "state": "pending"}
    assert certificates.get("/certificates/no%20id").status_code == 404
    assert certificates.post("/certificates", json={"name": "x"}).status_code == 422


def test_django_triggers_when_the_order_is_committed(outside: Outside, shop: tuple[httpx.Client, str]) -> None:
    """And not for one that is rolled back; the view tells where the certificate is."""
    client, _ = shop
    order = {"name": "Harbour by Django", "sha256": sha256_of("Django"), "kilobytes": 1079}
    for number in range(1, 4):  # whichever it gets
        outside.plan("myipr", f"Harbour by Django (order {number})")
    refused = client.post("/orders", json={**order, "name": "Rolled back", "refuse": True})
    assert refused.status_code == 409
    made = client.post("/orders", json=order)
    assert made.status_code == 202
    number = made.json()["order"]
    name = f"Harbour by Django (order {number})"
    done = until(lambda: (seen := client.get(f"/orders/{number}").json())["certificate"] and seen, "the certificate")
    assert (done["state"], done["error"]) == ("succeeded", None)
    assert Path(urlsplit(done["certificate"]).path).read_bytes().startswith(b"%PDF")
    books = outside.house.sim.account()["myipr"].jobs
    assert [job for job in books if "Django" in job or "Rolled back" in job] == [name]
    assert books[name].submits == 1


def test_django_makes_up_for_a_crash(outside: Outside, shop: tuple[httpx.Client, str]) -> None:
    """An order that was committed and not triggered is triggered by the command, and by a second run of it no more."""
    client, database = shop
    program = (
        "from shop.models import Order; "
        f"print(Order.objects.create(name='Crashed', sha256='{sha256_of('Crashed')}', kilobytes=1079).pk)"
    )
    shell = [outside.python, "manage.py", "shell", "-v", "0", "-c", program]
    number = outside.run(shell, "django", SHOP_DATABASE=database).stdout.strip()
    outside.plan("myipr", f"Crashed (order {number})")
    assert client.get(f"/orders/{number}").json()["state"] == "pending"
    command = [outside.python, "manage.py", "trigger_orders"]
    assert outside.run(command, "django", SHOP_DATABASE=database).stdout.split() == [f"shop-order-{number}"]
    until(lambda: client.get(f"/orders/{number}").json()["certificate"], "the certificate")
    assert outside.run(command, "django", SHOP_DATABASE=database).stdout == ""
    assert outside.submits("myipr", f"Crashed (order {number})") == 1
