"""`settle doctor`: reads the whole set-up and says what is wrong, with the remedy.

Packages, settings, libraries, Redis, storage, workers (asked through the broker), and each configured provider's
harmless calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import click
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config import checks, servers
from config.checks import Finding, Level
from config.checks import settings as of_settings
from config.checks.keys import keys
from config.checks.ledger import usable
from config.checks.libraries import libraries
from config.checks.packages import packages
from config.checks.storage import storage
from config.checks.workers import workers
from config.runtime import Runtime
from config.settings import CoreSettings, settings
from jobs.errors import ConfigurationError, InvalidJob
from jobs.nearest import did_you_mean
from patches import patch_once
from providers import discover
from providers.errors import ProviderError
from workflows.command import progress, shapes, show
from workflows.command.exits import Exit
from workflows.command.kinds import Provider
from workflows.command.page import LEDGER, Page

#: Workers that have not answered by then are taken for dead, seconds.
_PATIENCE = 2.0


def _redis(run: Runtime) -> list[Finding]:
    findings = checks.reachable(run.redis)
    if any(finding.what.startswith("Redis does not answer") for finding in findings):
        return findings
    try:
        return findings + usable(run.redis) + _keys(run)
    except RedisError as error:
        what = f"Redis cannot be written ({type(error).__name__})"
        return [*findings, Finding(Level.REFUSED, what, "look at its log, its disk and its memory")]


def _keys(run: Runtime) -> list[Finding]:
    from config.celery_app import QUEUES  # late: the application reads its settings

    own = run.settings
    if not servers.redis_like(own.broker()):
        return keys(run.redis, None, own.providers(), ())
    with servers.client(own, own.broker(), decode_responses=True, socket_timeout=5, socket_connect_timeout=5) as broker:
        return keys(run.redis, broker, own.providers(), QUEUES)


def _workers(run: Runtime) -> list[Finding]:
    # Late: the application reads its settings, and `settle --help` needs none.
    from config.celery_app import QUEUES, app
    from tasks.inspect import digests, machine_offset

    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)  # else it is tried for half a minute
            answers = app.control.broadcast("settle", reply=True, timeout=_PATIENCE, connection=connection) or []
    except (OperationalError, RedisError, OSError) as error:
        what = f"the broker does not answer ({type(error).__name__})"
        return [Finding(Level.REFUSED, what, "check SETTLE_BROKER_URL, and that the server runs")]
    own: dict[str, Any] = {
        "version": version("settle-jobs"),
        "settings": digests(run.settings),
        "offset": machine_offset(run),
        "task_time_limit": run.settings.stage_time_limit,
    }
    return workers({name: report for answer in answers for name, report in answer.items()}, QUEUES, own)


def ask(name: str) -> list[Finding]:
    """Make a provider's harmless calls, and tell where it differs from what is assumed."""
    run = Runtime(settings(), retries=0)
    try:
        probes = run.loop.run(run.provider(name).probe())
    except ConfigurationError as error:
        return [Finding(Level.REFUSED, f"{name}: {error}", "correct the environment")]
    except ProviderError as error:
        remedy = f"check SETTLE_{name.upper()}__BASE_URL and SETTLE_{name.upper()}__API_KEY"
        return [Finding(Level.REFUSED, f"{name}: {error}", remedy)]
    except RedisError as error:  # some share a session through the ledger
        return [
            Finding(Level.REFUSED, f"{name}: could not be asked without Redis ({type(error).__name__})", "see Redis")
        ]
    finally:
        run.close()
    return [
        Finding(Level.WARNING if probe.remedy else Level.FINE, f"{name}: {probe.what}", probe.remedy)
        for probe in probes
    ]


def reindex() -> Finding:
    """Put every job into the lists of its state and its tags."""
    run = Runtime(settings(), retries=0)
    with progress.bar("jobs put in order", None) as shown:
        jobs = sum(run.ledger.reindex(name, shown.step) for name in run.settings.providers())
    return Finding(Level.FINE, f"{jobs} jobs are in the lists of their states and tags", "")


def _configured(own: CoreSettings) -> list[str]:
    return [name for name, provider in own.providers().items() if provider.base_url and not provider.missing(name)]


def examine(providers: Iterable[str] | None) -> Iterable[tuple[str, list[Finding]]]:
    """Look at everything, a subject at a time.

    Args:
        providers: whose harmless calls are made; those of all that are configured if none are named.
    """
    yield "packages", packages(Path.cwd(), packages_distributions())
    try:
        own = settings()
        own.redis()
    except ConfigurationError as error:
        yield "settings", [Finding(Level.REFUSED, str(error), "correct the environment")]
        return
    run = Runtime(own, retries=0)
    yield "settings", of_settings.missing(own) + of_settings.in_clear(own)
    yield "libraries", libraries(patch_once())
    found = _redis(run)
    yield "redis", found
    yield "storage", storage(own.storage())
    if not any(finding.level is Level.REFUSED and "does not answer" in finding.what for finding in found):
        yield "workers", _workers(run)
    for name in _configured(own) if providers is None else providers:
        yield "providers", ask(name)


_COLOURS = {Level.REFUSED: "red", Level.WARNING: "yellow", Level.FINE: "green"}


def _print(subject: str, findings: list[Finding]) -> None:
    click.echo(click.style(subject, bold=True))
    for finding in findings:
        click.echo(f"  {click.style(finding.level.value, fg=_COLOURS[finding.level])}: {finding.what}")
        if finding.remedy:
            click.echo(f"      remedy: {finding.remedy}")
    if not findings:
        click.echo(f"  {click.style('fine', fg=_COLOURS[Level.FINE])}")


def _print_json(subject: str, findings: list[Finding]) -> None:
    for finding in findings:
        click.echo(shapes.Finding.model_validate({"subject": subject, **asdict(finding)}).text())


@click.command(
    cls=Page,
    examples=[
        ("settle doctor", "Look at everything"),
        ("settle doctor --provider myipr", "And ask one API only"),
        ("settle doctor --no-providers --json", "For a health check: nobody else is called"),
    ],
    exits=[(Exit.SETUP, "something would lose jobs, or cannot work at all")],
    reads=[*LEDGER, "SETTLE_BROKER_URL", "SETTLE_STORAGE_URL", "SETTLE_MYIPR__API_KEY"],
)
@click.option("--provider", "providers", multiple=True, type=Provider(), help="Ask this API only; may be given again.")
@click.option("--no-providers", is_flag=True, help="Call no API.")
@click.option("--reindex", "again", is_flag=True, help="Put in order what jobs are searched by.")
@show.as_json
def doctor(providers: tuple[str, ...], no_providers: bool, again: bool, as_json: bool) -> None:
    """Look at the whole set-up, and say what is wrong and what to do.

    Packages, settings, libraries, Redis, storage, workers, and every provider that is configured.

    Each configured provider is asked, too: only calls that change nothing are made, and compared with what Settle
    assumes. With --reindex, jobs that workers of an older version moved are found again by their state.
    """
    if unknown := set(providers) - set(discover()):
        name = min(unknown)
        raise InvalidJob(f"provider: {name!r} is not one of {', '.join(discover())}{did_you_mean(name, discover())}")
    tell: Callable[[str, list[Finding]], None] = _print_json if as_json else _print
    worst: set[Level] = set()
    for subject, findings in examine(() if no_providers else providers or None):
        tell(subject, findings)
        worst |= {finding.level for finding in findings}
    if again and Level.REFUSED not in worst:
        tell("search", [reindex()])
    if not as_json and not worst - {Level.FINE}:
        click.echo("nothing is wrong")
    sys.exit(Exit.SETUP if Level.REFUSED in worst else Exit.DONE)


COMMANDS = {"doctor": doctor}
