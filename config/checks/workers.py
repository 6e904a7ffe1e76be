"""The workers, as they answer to the remote control command `settle`: queues, clocks, versions, settings, machines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from config.checks.finding import Finding, Level, refused, warning

POLL_QUEUE = "settle.poll"

#: The machine's own clock counts for TLS, signatures and CommonsDB's window of 60 s (contract 2.1), seconds.
_SKEW = 1.0
#: A clock looks several times a second; when it has not for so long, its worker is stuck, seconds.
_STALE = 30.0

Report = Mapping[str, Any]


def workers(reports: Mapping[str, Report], queues: tuple[str, ...], own: Report) -> list[Finding]:
    """What is wrong with the workers, and among them.

    Args:
        reports: what each worker answered, by its name.
        queues: that must be consumed.
        own: the same report of this process, as far as it has one: `version`, `settings`, `offset`, `task_time_limit`.
    """
    theirs = {name: report for name, report in reports.items() if "queues" in report}
    findings = [
        warning(
            f"{name} is no worker of Settle, or of an older version",
            "finish the upgrade, or give the other application a broker database of its own",
        )
        for name in sorted(set(reports) - set(theirs))
    ]
    if not theirs:
        return [*findings, warning("no worker answers: jobs are accepted, and wait", "start the lines of the Procfile")]
    served = {queue for report in theirs.values() for queue in report["queues"]}
    findings += [
        warning(f"no worker consumes {queue}: jobs stand still there", f"start one with -Q {queue}")
        for queue in queues
        if queue not in served
    ]
    for name, report in sorted(theirs.items()):
        findings += _one(name, report, own)
    return findings + _differing(theirs, own) + [Finding(Level.FINE, f"{len(theirs)} workers answer")]


def _one(name: str, report: Report, own: Report) -> list[Finding]:
    findings = []
    if POLL_QUEUE in report["queues"]:
        if report["clock"] is None:
            findings.append(warning(f"{name} runs no clock: it wakes no job", "start it with -A config.celery_app"))
        elif report["clock"] > _STALE:
            what = f"the clock of {name} has not looked for {report['clock']:.0f} s"
            findings.append(warning(what, "look at its log (clock_waits, clock_failed); restart it"))
    if report["offset"] is None:
        findings.append(refused(f"{name} does not reach Redis", "check SETTLE_REDIS_URL there, and its network"))
    timeout = report["visibility_timeout"]
    if timeout is not None and timeout <= own["task_time_limit"]:
        findings.append(
            warning(
                f"{name}: its visibility timeout ({timeout:g} s) is within a stage's time limit: that runs twice",
                "raise SETTLE_VISIBILITY_TIMEOUT there",
            )
        )
    for option, wanted in (("acks_late", True), ("reject_on_worker_lost", True), ("prefetch", 1)):
        if report[option] != wanted:
            what = f"{name}: {option} is {report[option]}, not {wanted}: a killed worker loses or holds messages"
            findings.append(warning(what, "start it with -A config.celery_app, and leave that option as it is"))
    return findings


def _differing(reports: Mapping[str, Report], own: Report) -> list[Finding]:
    offsets = {name: report["offset"] for name, report in reports.items() if report["offset"] is not None}
    offsets["this machine"] = own["offset"] or 0.0
    findings = [
        warning(
            f"the clock of {name} is {abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} that of Redis",
            "let NTP set both: TLS and signatures use the machine's own",
        )
        for name, offset in sorted(offsets.items())
        if abs(offset) > _SKEW
    ]
    versions = defaultdict(list)
    for name, report in {**reports, "this command": own}.items():
        versions[report["version"]].append(name)
    if len(versions) > 1:
        listed = "; ".join(f"{version}: {', '.join(sorted(names))}" for version, names in sorted(versions.items()))
        findings.append(warning(f"versions differ ({listed})", "finish the upgrade: docs/operations.md, Upgrade"))
    for group, mine in sorted(own["settings"].items()):
        if different := sorted(name for name, report in reports.items() if report["settings"].get(group) != mine):
            what = f"the settings of {group} are not the same here and in {', '.join(different)}"
            findings.append(warning(what, "give all processes the same variables, and restart them"))
    return findings
