"""Redis over TLS: the whole of Settle, and every wrong certificate."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.security.scenes import FIRST, SECOND
from tests.security.whole_run import whole_run

from .conftest import Authority, Server

pytestmark = pytest.mark.timeout(240)


def doctor(**settings: str) -> tuple[int, str]:
    """What `settle doctor` says of Redis."""
    done = subprocess.run(
        [sys.executable, "-m", "workflows.command", "doctor", "--json", "--no-providers"],
        env={"SETTLE_FLOWER__PASSWORD": "x", **settings},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, "; ".join(each["what"] for each in findings if each["subject"] == "redis") + done.stderr


def test_all_of_settle_runs_over_tls(server: Server, tmp_path: Path) -> None:
    """Ledger, broker, results, Flower and a caller; each with a certificate, none over the open port."""
    with whole_run(tmp_path, server.admin_url, address=server.url(), tls=server.settings, redis_version=7.0) as run:
        ends = {job_id: end for job_id, (*_, end) in {**FIRST, **SECOND}.items()}
        assert {job_id: state for job_id, state in run.states.items() if job_id in ends} == ends
        # redis-py gives its name, which this version does not know, and goes on.
        assert [entry for entry in run.refused if entry["object"] != "client|setinfo"] == []
        broker = b"".join(part for part in run.seen.places["Flower /broker"] if isinstance(part, bytes))
        assert b"settle.poll" in broker


def test_the_doctor_finds_it_sound(server: Server) -> None:
    """With the authority and our certificate."""
    assert doctor(SETTLE_REDIS_URL=server.url(), **server.settings) == (0, "")


@pytest.mark.parametrize("wrong", ["no authority", "another authority", "no certificate", "another host", "no TLS"])
def test_a_wrong_certificate_is_refused(server: Server, authority: Authority, tmp_path: Path, wrong: str) -> None:
    """On either side; and the password does not stand in what is said."""
    settings: dict[str, Any] = {"SETTLE_REDIS_URL": server.url(), **server.settings}
    if wrong == "no authority":
        del settings["SETTLE_REDIS_TLS__CA_FILE"]
    elif wrong == "another authority":
        other = tmp_path / "other.crt"
        trustme.CA().cert_pem.write_to_path(str(other))
        settings["SETTLE_REDIS_TLS__CA_FILE"] = str(other)
    elif wrong == "no certificate":
        settings = {name: value for name, value in settings.items() if "CERT" not in name and "KEY" not in name}
    elif wrong == "another host":
        settings["SETTLE_REDIS_URL"] = server.url(host="127.0.0.1")
    else:
        settings = {"SETTLE_REDIS_URL": server.url().replace("rediss://", "redis://")}
    code, said = doctor(**settings)
    assert (code, "Redis does not answer" in said) == (5, True), said
    assert "admin-password" not in said
