"""The alert rules and the configuration, judged by promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from .conftest import CONFIG, RULES, program

CASES = Path(__file__).parent / "alerts.test.yml"
ALERTS = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def _promtool(*arguments: str) -> str:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_is_valid() -> None:
    """The one that is mounted in Compose, and the rules that it names."""
    assert f"{len(ALERTS)} rules found" in _promtool("check", "config", str(CONFIG))


def test_every_case_of_every_alert_holds() -> None:
    """It fires when it should, with these labels and this text, and is quiet otherwise."""
    _promtool("test", "rules", str(CASES))


def test_a_case_can_fail(tmp_path: Path) -> None:
    """The cases are looked at: one that expects nothing where an alert fires is noticed."""
    cases = yaml.safe_load(CASES.read_text())
    cases["rule_files"] = [str(RULES)]
    cases["tests"][0]["alert_rule_test"][0]["exp_alerts"] = []
    path = tmp_path / "cases.yml"
    path.write_text(yaml.safe_dump(cases))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(path)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode != 0


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_case_that_fires_and_one_that_is_quiet(alert: str) -> None:
    """A new alert without both would be a guess."""
    expected = [
        bool(judged["exp_alerts"])
        for case in yaml.safe_load(CASES.read_text())["tests"]
        for judged in case["alert_rule_test"]
        if judged["alertname"] == alert
    ]
    assert sorted(expected) == [False, True]
