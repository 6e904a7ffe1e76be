"""Sentinels that speak TLS and demand a certificate, as the servers that they name do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import trustme
from celery import Celery

import simulator
from config.embedded import free_port
from simulator import samples
from tests.docs.blocks import ROOT, blocks
from tests.security.places import inspected
from tests.waiting import until
from workflows.command.stack import Process, celery, pointed_at, running

from .conftest import PASSWORD, Authority, Server, binary, certified
from .test_redis import doctor

pytestmark = pytest.mark.timeout(120)

SENTINEL_PASSWORD = "of-the-sentinels-in-this-lane"
FLOWER_PASSWORD = "of-flower-in-this-lane"


@dataclass(frozen=True)
class Guard:
    """A Sentinel, and the settings that lead through it."""

    port: int
    settings: dict[str, str]

    def url(self, scheme: str = "sentinels", host: str = "localhost") -> str:
        """Its address, as if it were two; with a database that no other test uses."""
        return ";".join(2 * [f"{scheme}://{host}:{self.port}/1"])


@pytest.fixture(scope="session")
def guard(server: Server, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """One Sentinel, with a certificate for `localhost` only; it names the server likewise."""
    folder, port = tmp_path_factory.mktemp("sentinel"), free_port()
    config = folder / "sentinel.conf"
    config.write_text(
        f"bind 127.0.0.1\nport 0\ntls-port {port}\ntls-replication yes\ndir {folder}\n"
        f"requirepass {SENTINEL_PASSWORD}\nsentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n"
        f"sentinel monitor ledger localhost {server.port} 1\nsentinel auth-pass ledger {PASSWORD}\n"
    )
    command = [binary(), str(config), "--sentinel", *certified(authority, "sentinel")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    settings = {
        "SETTLE_REDIS_PASSWORD": PASSWORD,
        "SETTLE_REDIS_REPLICAS": "0",
        "SETTLE_SENTINEL__MASTER": "ledger",
        "SETTLE_SENTINEL__PASSWORD": SENTINEL_PASSWORD,
        **server.settings,
    }
    own = {name.rpartition("__")[2].lower(): value for name, value in server.settings.items()}
    options: dict[str, Any] = {"ssl_ca_certs": own["ca_file"], "ssl_certfile": own["cert_file"]}

    def answers() -> bool:
        assert process.poll() is None, "this redis-server does not start as a Sentinel with TLS"
        try:
            with redis.Redis(
                "localhost", port, password=SENTINEL_PASSWORD, ssl=True, ssl_keyfile=own["key_file"], **options
            ) as client:
                return bool(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "ledger"))
        except redis.ConnectionError:
            return False

    try:
        until(answers, "a Sentinel with TLS")
        yield Guard(port, settings)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def caller(guard: Guard, server: Server) -> Iterator[Celery]:
    """Another application, made by the block of docs/operations.md: with this lane's address, files and passwords."""
    own = Path(__file__).relative_to(ROOT).as_posix()
    (block,) = (block for block in blocks(ROOT / "docs" / "operations.md") if block.notes.get("run by") == own)
    files = {name.rpartition("__")[2]: value for name, value in server.settings.items()}
    here = {
        '"sentinel://:password@sentinel-1:26379/0;sentinel://:password@sentinel-2:26379/0"': repr(
            f"sentinel://:{PASSWORD}@localhost:{guard.port}/1"
        ),
        '"authority.crt"}': f"{files['CA_FILE']!r}, 'ssl_certfile': {files['CERT_FILE']!r}, "
        f"'ssl_keyfile': {files['KEY_FILE']!r}}}",
        '"ssl": True': f'"ssl": True, "password": {SENTINEL_PASSWORD!r}',
    }
    code = block.code
    for there, ours in here.items():
        assert there in code
        code = code.replace(there, ours)
    made: dict[str, Any] = {}
    exec(code, made)  # noqa: S102 - the page's own
    with made["app"] as app:
        yield app


def test_a_job_through_sentinels_with_tls(guard: Guard, caller: Celery, tmp_path: Path) -> None:
    """Ledger, broker, results, Flower with its Jobs page, and a caller; the doctor finds nothing in clear text."""
    log: list[str] = []
    port = free_port()
    with simulator.running(speed=60, seed=3) as sim, ExitStack() as exits:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SETTLE_")},
            **pointed_at(sim.url),
            **guard.settings,
            "SETTLE_REDIS_URL": guard.url(),
            "SETTLE_STATE_DIR": str(tmp_path),
            "SETTLE_FLOWER__PASSWORD": FLOWER_PASSWORD,
            "SETTLE_FLOWER__PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }

        def start(name: str, command: list[str], ready: str) -> None:
            process = Process(name, command, environment, lambda _, line: log.append(line))
            exits.enter_context(running(process))
            process.wait_for(ready)

        start("worker", celery("worker", "-P", "threads", "-c", "2"), " ready.")
        start("flower", [sys.executable, "-m", "workflows.command", "flower"], "Visit me at")
        sim.plan("lettrlabs", "tls-1", outcome="success", duration=30)
        body = {"conversions": [samples.conversion("tls-1")]}
        job = caller.send_task("settle.lettrlabs.convert", kwargs=body, task_id="tls-1")
        assert job.get(timeout=40)["state"] == "succeeded"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=("settle", FLOWER_PASSWORD)) as browser:
            assert "tls-1" in until(lambda: (found := browser.get("/api/jobs")).status_code == 200 and found.text, "")
            assert browser.get("/jobs").status_code == 200
            assert "settle.poll" in browser.get("/broker").text
            assert 'settle_queue_messages{queue="settle.poll"}' in browser.get("/metrics").text
        told = dict(inspected(caller, workers=1))
    assert "prefetch_count" in told["inspect stats"]
    assert not [name for name, text in told.items() if PASSWORD in text or SENTINEL_PASSWORD in text]
    assert not [line for line in log if "Traceback" in line or PASSWORD in line or SENTINEL_PASSWORD in line]
    assert doctor(SETTLE_REDIS_URL=guard.url(), **guard.settings) == (0, "")


@pytest.mark.parametrize("wrong", ["no authority", "another authority", "no certificate", "another host", "no TLS"])
def test_a_wrong_certificate_is_refused(guard: Guard, tmp_path: Path, wrong: str) -> None:
    """By the Sentinel or by us; and no password stands in what is said."""
    settings = {"SETTLE_REDIS_URL": guard.url(), **guard.settings}
    if wrong == "no authority":
        del settings["SETTLE_REDIS_TLS__CA_FILE"]
    elif wrong == "another authority":
        other = tmp_path / "other.crt"
        trustme.CA().cert_pem.write_to_path(str(other))
        settings["SETTLE_REDIS_TLS__CA_FILE"] = str(other)
    elif wrong == "no certificate":
        settings = {name: value for name, value in settings.items() if "CERT" not in name and "KEY" not in name}
    elif wrong == "another host":
        settings["SETTLE_REDIS_URL"] = guard.url(host="127.0.0.1")
    else:
        settings = {name: value for name, value in settings.items() if "TLS" not in name}
        settings["SETTLE_REDIS_URL"] = guard.url(scheme="sentinel")
    code, said = doctor(**settings)
    assert (code, "Redis does not answer" in said) == (5, True), said
    assert "in-this-lane" not in said
    assert PASSWORD not in said
