"""RabbitMQ over TLS, with a private authority, a certificate for one name, and one that it demands of its clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from docker.models.containers import Container

from simulator import samples
from simulator.control import ControlClient

from .conftest import APP_IMAGE, RABBITMQ_IMAGE, REDIS_IMAGE, ROOT, Redis, Simulator, Start, Worker, pointed_at
from .load import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(240)]

CERTIFICATES = "/run/certificates"

LISTENER = f"""
listeners.tcp = none
listeners.ssl.default = 5671
ssl_options.cacertfile = {CERTIFICATES}/authority.crt
ssl_options.certfile = {CERTIFICATES}/broker.crt
ssl_options.keyfile = {CERTIFICATES}/broker.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""

TLS = {
    f"SETTLE_BROKER_TLS__{name}_FILE": f"{CERTIFICATES}/{file}"
    for name, file in {"CA": "authority.crt", "CERT": "settle.crt", "KEY": "settle.key"}.items()
}


@dataclass
class House:
    """A worker that reaches its broker over TLS only."""

    worker: Container

    def settle(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """One command in the worker's container: its exit code, and what it printed."""
        done = self.worker.exec_run(["settle", *arguments], environment=environment)
        return done.exit_code, done.output.decode()


def _certificates(folder: Path) -> None:
    authority = trustme.CA()
    for name, host in (("broker", "broker"), ("settle", "settle.example")):
        issued = authority.issue_cert(host)
        issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.crt"))
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    authority.cert_pem.write_to_path(str(folder / "authority.crt"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.crt"))
    for file in folder.iterdir():
        file.chmod(0o644)  # each container has a user of its own


@pytest.fixture
def house(start: Start, simulator: Simulator, tmp_path: Path) -> House:
    """RabbitMQ, Redis as the ledger, a worker."""
    folder, listener = tmp_path / "certificates", tmp_path / "listener.conf"
    folder.mkdir()
    _certificates(folder)
    listener.write_text(LISTENER)
    mounts = {str(folder): {"bind": CERTIFICATES, "mode": "ro"}}
    own = {str(ROOT / "docker" / "rabbitmq.conf"): "20-settle.conf", str(listener): "30-listener.conf"}
    configured = {source: {"bind": f"/etc/rabbitmq/conf.d/{name}", "mode": "ro"} for source, name in own.items()}
    broker = start(RABBITMQ_IMAGE, "broker", aliases=("another-name",), volumes={**mounts, **configured})
    start(REDIS_IMAGE, "ledger", Redis.command(), tmpfs={"/data": "mode=1777"}, user="root")
    until(lambda: broker.exec_run(["rabbitmqctl", "await_startup"]).exit_code == 0, "RabbitMQ")
    environment = {
        "SETTLE_BROKER_URL": "amqps://guest:guest@broker:5671//",
        "SETTLE_REDIS_URL": "redis://ledger:6379/0",
        **TLS,
        **pointed_at(simulator),
    }
    worker = start(APP_IMAGE, "worker", Worker.command(), environment=environment, volumes=mounts)
    until(lambda: b" ready." in worker.logs(), "the worker")
    return House(worker)


def test_a_job_over_tls_and_every_wrong_certificate(house: House, control: ControlClient, tmp_path: Path) -> None:
    """A trigger and all messages of its job; refused: authority, name, no certificate of ours, no TLS."""
    control.plan("lettrlabs", "tls-1", outcome="success", duration=30)
    body = json.dumps({"conversions": [samples.conversion("tls-1")]})
    send = "from config.celery_app import app; import json, sys; app.send_task('settle.lettrlabs.convert', "
    send += "kwargs=json.loads(sys.argv[1]), task_id='tls-1')"
    sent = house.worker.exec_run(["python", "-c", send, body])
    assert sent.exit_code == 0, sent.output
    code, told = house.settle("wait", "tls-1", "--timeout", "60", "--json")
    assert (code, json.loads(told.splitlines()[-1])["state"]) == (0, "succeeded"), told
    code, told = house.settle("doctor", "--json", "--no-providers")
    findings = [json.loads(line) for line in told.splitlines()]
    assert any("1 workers answer" in finding["what"] for finding in findings), told
    assert not any("SETTLE_BROKER_URL" in finding["what"] for finding in findings), told  # not in clear text

    wrong = {
        "authority": {"SETTLE_BROKER_TLS__CA_FILE": f"{CERTIFICATES}/other.crt"},
        "no authority": {"SETTLE_BROKER_TLS__CA_FILE": "/etc/ssl/certs/ca-certificates.crt"},
        "name": {"SETTLE_BROKER_URL": "amqps://guest:guest@another-name:5671//"},
        "our own": {
            "SETTLE_BROKER_TLS__CERT_FILE": f"{CERTIFICATES}/other.crt",
            "SETTLE_BROKER_TLS__KEY_FILE": f"{CERTIFICATES}/settle.key",
        },
    }
    for name, changes in wrong.items():
        code, told = house.settle("doctor", "--json", "--no-providers", **changes)
        assert (code, "the broker does not answer" in told) == (5, True), (name, told)
