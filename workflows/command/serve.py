"""`settle flower` and `settle simulate`: the web page and the simulated APIs, each in the foreground."""

from __future__ import annotations

import os
import sys

import click

from config.settings import inherited, settings
from jobs.errors import ConfigurationError
from simulator.server import command as simulate


@click.command()
def flower() -> None:
    """Run Flower with a login (SETTLE_FLOWER__USER and SETTLE_FLOWER__PASSWORD)."""
    own = settings().flower
    if own.password is None or not own.password.get_secret_value():
        raise ConfigurationError("Flower never runs without a login: set SETTLE_FLOWER__PASSWORD")
    # In the environment, not in the arguments: every user of a machine can read those.
    login = f"{own.user}:{own.password.get_secret_value()}"
    environment = {**inherited(), "FLOWER_BASIC_AUTH": login}
    arguments = ["-A", "config.flower_app", "flower", f"--address={own.address}", f"--port={own.port}"]
    os.execve(sys.executable, [sys.executable, "-m", "celery", *arguments], environment)  # noqa: S606


COMMANDS = {"flower": flower, "simulate": simulate}
