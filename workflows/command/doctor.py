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
from jobs.errors import ConfigurationError
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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def doctor(as_json: bool) -> None:
    """Look at the set-up; exit 5 if something would lose jobs, or cannot work at all."""
    findings = examine()
    for finding in findings:
        if as_json:
            click.echo(json.dumps(asdict(finding)))
        else:
            colour = "red" if finding.level is Level.REFUSED else "yellow"
            click.echo(f"{click.style(finding.level.value, fg=colour)}: {finding.what}\n    remedy: {finding.remedy}")
    if not findings and not as_json:
        click.echo("nothing is wrong")
    sys.exit(Exit.SETUP if any(finding.level is Level.REFUSED for finding in findings) else Exit.DONE)


COMMANDS = {"doctor": doctor}
