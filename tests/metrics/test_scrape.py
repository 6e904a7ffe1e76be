"""A real Prometheus scrapes real workers and Flower, and the dashboard's expressions find their series."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from celery import Celery
from redis import Redis

from config.metrics.declared import ALL, OF_LEDGER, Kind
from jobs.ledger import Ledger
from simulator import samples
from tests.waiting import until

from .conftest import DASHBOARD, RULES, Watched

#: Expressions that find nothing while all goes well.
QUIET = ("settle_claims_lost_total", "settle_ledger_memory_limit_bytes) > 0")
#: Series that are there only after trouble.
TROUBLE = {"settle_claims_lost_total"}


def _expressions() -> list[tuple[str, str]]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in panels
        for target in panel.get("targets", ())
    ]


def _filled_in(expression: str) -> str:
    """As Grafana sends it."""
    return expression.replace("$provider", ".*").replace("$__rate_interval", "1m")


@pytest.fixture(scope="module")
def busy(watched: Watched) -> Watched:
    """Jobs over all four providers have ended: with files, refused, failed, one whose answer was lost, one conflict."""
    url = watched.stack.environment["SETTLE_REDIS_URL"]
    client = Celery(broker=url, backend=url, set_as_current=False)
    control = watched.stack.control()
    control.plan("lettrlabs", "lost", outcome="success", duration=5)
    control.fault("lettrlabs", "reset_after", operation="create_conversions", times=1)
    sent = [
        client.send_task("settle.lettrlabs.convert", kwargs={"conversions": [samples.conversion(name)]}, task_id=name)
        for name in ("lost", "a", "b", "c")
    ]
    paid = samples.payment("metrics")
    body = {"alphabet": "UPPER_HEX", "digits": 12, "size": 1000, "seed": "a", "payment": _only(paid, "id", "ident")}
    sent.append(client.send_task("settle.unique_tokens.produce", kwargs=body))
    hashed = {"name": "a", "category_id": "10", "hash": "ab" * 32, "size": "1"}
    sent.append(client.send_task("settle.myipr.certify", kwargs=hashed))
    sent.append(client.send_task("settle.myipr.certify", kwargs={"name": "b"}))  # refused: no hash
    for result in sent:
        until(result.ready, f"{result.id} to end")
    client.close()
    return watched


def _only(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: body[name] for name in names}


def test_every_target_is_up(busy: Watched) -> None:
    """The jobs of the shipped configuration, none missing and none down."""
    prometheus = busy.prometheus

    def states() -> dict[str, str]:
        return {each["labels"]["job"]: each["health"] for each in prometheus.get("targets")["activeTargets"]}

    wanted = dict.fromkeys(("settle-poll-worker", "settle-file-worker", "settle-flower"), "up")
    until(lambda: states() == wanted, f"all targets up, not {states()}")


def test_every_rule_is_loaded_and_evaluated(busy: Watched) -> None:
    """No expression of an alert is an error against real series, and none fires while all is well."""

    def rules() -> list[dict[str, Any]]:
        return [rule for each in busy.prometheus.get("rules")["groups"] for rule in each["rules"]]

    until(lambda: all(rule["health"] == "ok" for rule in rules()), "all rules evaluated")
    assert len(rules()) == RULES.read_text().count("- alert:")
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []


@pytest.mark.parametrize("metric", [each for each in ALL if each.name not in TROUBLE], ids=lambda each: each.name)
def test_every_metric_is_there_with_its_labels(busy: Watched, metric: Any) -> None:
    """Under the name and with the labels that are declared, from the processes that should have it."""
    name = f"{metric.name}_bucket" if metric.kind is Kind.HISTOGRAM else metric.name
    found = until(lambda: busy.prometheus.query(name), name)
    labels = {"__name__", "job", "instance", *metric.labels} | ({"le"} if metric.kind is Kind.HISTOGRAM else set())
    # An empty label is the same as none.
    assert all(labels >= set(each["metric"]) >= labels - {"kind", "provider"} for each in found)
    if metric in OF_LEDGER:
        until(
            lambda: (
                {each["metric"]["job"] for each in busy.prometheus.query(metric.name)}
                == {"settle-poll-worker", "settle-file-worker", "settle-flower"}
            ),
            f"{metric.name} from all three",
        )


@pytest.mark.parametrize(("title", "expression"), _expressions(), ids=[title for title, _ in _expressions()])
def test_every_expression_of_the_dashboard_finds_something(busy: Watched, title: str, expression: str) -> None:
    """As Grafana would send it; what may be empty must at least be an expression."""
    if any(quiet in expression for quiet in QUIET):
        busy.prometheus.query(_filled_in(expression))
    else:
        until(lambda: busy.prometheus.query(_filled_in(expression)), expression)


def test_the_figures_are_those_of_the_jobs(busy: Watched) -> None:
    """What was sent above is what is counted, once, over all processes."""

    def value(expression: str) -> float:
        found = busy.prometheus.query(expression)
        return float(found[0]["value"][1]) if found else -1.0

    for expression, wanted in {
        'sum(settle_triggers_total{answer="created"})': 7,
        'max(settle_jobs{provider="lettrlabs",state="succeeded"})': 4,
        'sum(settle_submissions_total{provider="lettrlabs"})': 4,
        'sum(settle_submissions_total{provider="lettrlabs",result="lost_answer"})': 1,
        'sum(settle_doubts_total{provider="lettrlabs",result="found"})': 1,
        'sum(settle_jobs_finished_total{provider="unique_tokens",state="succeeded"})': 1,
        "sum(settle_files_fetched_total)": 2,
        'sum(settle_moves_total{target="succeeded"})': 6,
        "sum(settle_poll_lateness_seconds_count) - sum(settle_polls_total)": 0,
        "sum(flower_worker_online)": 2,
    }.items():
        until(lambda e=expression, w=wanted: value(e) == w, f"{expression} to be {wanted}, not {value(expression)}")


def test_no_name_of_a_job_is_a_label(busy: Watched) -> None:
    """Ids, bodies and keys stay out: they would be personal, secret, or too many."""
    import urllib.request

    for port in busy.ports.values():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert not re.search(r"lost\"|not-a-secret|LL-API|pi_", text)


def test_flower_asks_for_a_login_everywhere_else(busy: Watched) -> None:
    """As the page says: its metrics are open, what has the names of jobs is not."""
    url = f"http://127.0.0.1:{busy.ports['flower']}"
    for path, status in (("/metrics", 200), ("/tasks", 401), ("/api/tasks", 401)):
        assert httpx.get(f"{url}{path}", trust_env=False).status_code == status, path


def test_an_alert_sees_what_happens(busy: Watched) -> None:
    """A provider that is paused makes its alert wait for its time, with its name; opened, it is quiet again."""
    redis = Redis.from_url(busy.stack.environment["SETTLE_REDIS_URL"], decode_responses=True)
    ledger = Ledger(redis)

    def pending() -> list[str]:
        found = busy.prometheus.get("alerts")["alerts"]
        return [each["labels"]["provider"] for each in found if each["labels"]["alertname"] == "SettleProviderPaused"]

    assert pending() == []
    ledger.pause("commonsdb", 600)
    until(lambda: pending() == ["commonsdb"], "the alert to wait")
    ledger.open_gate("commonsdb")
    until(lambda: pending() == [], "the alert to be quiet")
    redis.close()
