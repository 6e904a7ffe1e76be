"""`settle doctor`: reads the set-up and says what is wrong, with the remedy."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from config import checks
from config.checks import Finding, Level
from config.runtime import Runtime
from config.settings import settings
from jobs.errors import ConfigurationError, InvalidJob
from providers import discover
from providers.errors import ProviderError
from workflows.command import Exit


def examine() -> list[Finding]:
    """Everything that is wrong with the settings and the Redis of this environment."""
    try:
        own = settings()
        run = Runtime(own, retries=0)
        findings = checks.reachable(run.redis)
    except ConfigurationError as error:
        return [Finding(Level.REFUSED, str(error), "correct the environment")]
    for name, provider in own.providers().items():
        if missing := provider.missing(name):
            what = f"{name} is not configured: its jobs are refused"
            findings.append(Finding(Level.WARNING, what, f"set {' and '.join(missing)}, if it is to be used"))
    if own.flower.password is None:
        findings.append(
            Finding(Level.WARNING, "Flower has no login, so it does not start", "set SETTLE_FLOWER__PASSWORD")
        )
    return findings


def ask(name: str) -> list[Finding]:
    """Make a provider's harmless calls, and tell where it differs from what is assumed.

    Raises:
        InvalidJob: there is no such provider.
        ConfigurationError: it is not configured.
    """
    if name not in discover():
        raise InvalidJob(f"provider: {name!r} is not one of {', '.join(discover())}")
    run = Runtime(settings(), retries=0)
    try:
        probes = run.loop.run(run.provider(name).probe())
    except ProviderError as error:
        remedy = f"check SETTLE_{name.upper()}__BASE_URL and SETTLE_{name.upper()}__API_KEY"
        return [Finding(Level.REFUSED, f"{name}: {error}", remedy)]
    finally:
        run.close()
    return [
        Finding(Level.WARNING if probe.remedy else Level.FINE, f"{name}: {probe.what}", probe.remedy)
        for probe in probes
    ]


def reindex() -> Finding:
    """Put every job into the lists of its state and its tags."""
    run = Runtime(settings(), retries=0)
    jobs = sum(run.ledger.reindex(name) for name in run.settings.providers())
    return Finding(Level.FINE, f"{jobs} jobs are in the lists of their states and tags", "")


_COLOURS = {Level.REFUSED: "red", Level.WARNING: "yellow", Level.FINE: "green"}


@click.command()
@click.option("--provider", "providers", multiple=True, metavar="NAME", help="Ask this API, too; may be given again.")
@click.option("--reindex", "again", is_flag=True, help="Put in order what jobs are searched by.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def doctor(providers: tuple[str, ...], again: bool, as_json: bool) -> None:
    """Look at the set-up; exit 5 if something would lose jobs, or cannot work at all.

    With --provider, the calls of that API that change nothing are made, and compared with what Settle assumes.
    With --reindex, jobs that workers of an older version moved are found again by their state.
    """
    findings = examine()
    if again and all(finding.level is not Level.REFUSED for finding in findings):
        findings.append(reindex())
    for name in providers:
        findings += ask(name)
    for finding in findings:
        if as_json:
            click.echo(json.dumps(asdict(finding)))
        else:
            click.echo(f"{click.style(finding.level.value, fg=_COLOURS[finding.level])}: {finding.what}")
            if finding.remedy:
                click.echo(f"    remedy: {finding.remedy}")
    if not as_json and all(finding.level is Level.FINE for finding in findings):
        click.echo("nothing is wrong")
    sys.exit(Exit.SETUP if any(finding.level is Level.REFUSED for finding in findings) else Exit.DONE)


COMMANDS = {"doctor": doctor}
