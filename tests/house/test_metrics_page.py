"""The metrics, their page, the alerts with their runbook, and the dashboard tell of the same things."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.metrics.declared import ALL, OF_LEDGER, OF_WORKER, Kind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PROMETHEUS = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "docker" / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
GRAFANA = ROOT / "docker" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "settle.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
EXPRESSIONS = [(f"alert {rule['alert']}", rule["expr"]) for rule in ALERTS] + [
    (f"panel {panel['title']} {target['refId']}", target["expr"]) for panel in DRAWN for target in panel["targets"]
]
#: Made by others than Settle.
FOREIGN = {
    "up",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "flower_worker_online",
    "flower_worker_number_of_currently_executing_tasks",
}
_SERIES = re.compile(r"\b((?:settle|process|flower)_\w+|up)\b(?:\{([^}]*)\})?")
BY_SERIES = {
    name: metric
    for metric in ALL
    for name in (
        [f"{metric.name}{end}" for end in ("_bucket", "_sum", "_count")]
        if metric.kind is Kind.HISTOGRAM
        else [metric.name]
    )
}


def test_the_page_has_every_metric_as_it_is_declared() -> None:
    """Name, type, labels and meaning, in two tables."""
    rows = re.findall(r"^\| `(settle_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", PAGE, re.M)
    told = [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), said) for name, kind, labels, said in rows]
    assert told == [(metric.name, metric.kind.value, metric.labels, metric.help) for metric in (*OF_LEDGER, *OF_WORKER)]


def test_the_names_follow_the_rules_of_prometheus() -> None:
    """Counters end in `_total`, times and sizes in their unit; nothing is there twice."""
    names = [metric.name for metric in ALL]
    assert len(set(names)) == len(names)
    for metric in ALL:
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets), metric.name
        assert not set(metric.labels) & {"job_id", "id", "le", "job", "instance"}, metric.name


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_each_expression_uses_metrics_and_labels_that_exist(where: str, expression: str) -> None:
    """A renamed metric or label would leave an alert quiet for ever, and a panel empty."""
    found = _SERIES.findall(re.sub(r'"[^"]*"', '""', expression))
    assert found
    for name, selectors in found:
        assert name in BY_SERIES or name in FOREIGN, name
        if name in BY_SERIES:
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors))
            assert used <= {*BY_SERIES[name].labels, "le"}, (where, used)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_leads_to_its_section(rule: dict[str, Any]) -> None:
    """With a severity, a sentence, and what to do about it."""
    name = rule["alert"]
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
    section = OPERATIONS.partition("\n## Alerts\n")[2].partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    for word in ("**Means**", "**Look at**", "**Do**"):
        assert word in section, f"{name}: {word}"


def test_no_section_is_left_of_an_alert_that_is_gone() -> None:
    """The runbook has the alerts there are."""
    sections = re.findall(r"^### (Settle\w+)$", OPERATIONS, re.M)
    assert sections == [rule["alert"] for rule in ALERTS]


def test_each_kind_of_process_is_scraped_by_the_name_it_has_in_compose() -> None:
    """Workers by DNS, so that scaled ones are found; one port for all, which the page names."""
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
    jobs = {job["job_name"].removeprefix("settle-"): job for job in PROMETHEUS["scrape_configs"]}
    assert set(jobs) == {"poll-worker", "file-worker", "flower"} <= services
    for name in ("poll-worker", "file-worker"):
        (found,) = jobs[name]["dns_sd_configs"]
        assert (found["names"], found["type"]) == ([name], "A")
        assert f"SETTLE_METRICS__PORT={found['port']}" in PAGE
    assert jobs["flower"]["static_configs"] == [{"targets": ["flower:5555"]}]


def test_the_dashboard_is_whole() -> None:
    """As Grafana's schema has it: what it would refuse or show broken is found here."""
    assert DASHBOARD["schemaVersion"] >= 36
    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("settle", "Settle")
    assert DASHBOARD.get("id") is None  # Grafana gives it one
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["provider"]["query"]["query"] == "label_values(settle_jobs, provider)"
    for panel in DRAWN:
        assert panel["type"] in ("timeseries", "stat", "state-timeline"), panel["title"]
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert {"defaults", "overrides"} <= set(panel["fieldConfig"])
        used = {name for target in panel["targets"] for name in re.findall(r"\$(\w+)", target["expr"])}
        assert used <= {*variables, "__rate_interval"}, panel["title"]


def test_no_two_panels_lie_on_each_other() -> None:
    """On a grid of 24 columns, every panel below the row that it belongs to."""

    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))

    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        own = cells(panel)
        assert not own & taken, panel["title"]
        assert max(x for x, _ in own) < 24
        taken |= own


def test_each_metric_of_settle_is_on_the_dashboard() -> None:
    """What nobody can see is counted for nothing."""
    shown = {BY_SERIES[name].name for _, text in EXPRESSIONS for name, _ in _SERIES.findall(text) if name in BY_SERIES}
    assert {metric.name for metric in ALL} - shown <= {"settle_gate_pause_seconds", "settle_gate_failures"}


def test_grafana_is_led_to_both() -> None:
    """The data source by Prometheus' name in Compose, and the folder of the dashboard."""
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]
    provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "settle.yml").read_text())["providers"][0]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/etc/grafana/dashboards")


@pytest.mark.parametrize("name", ["metrics.port", "metrics.address", "traces.on", "traces.to_providers"])
def test_each_setting_is_on_the_page(name: str) -> None:
    """With its variable."""
    group, _, field = name.partition(".")
    assert f"`SETTLE_{group.upper()}__{field.upper()}`" in PAGE
