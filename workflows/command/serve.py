"""`settle flower` and `settle simulate`: the web page and the simulated APIs, each in the foreground."""

from __future__ import annotations

import click

from config.runtime import Runtime
from config.settings import settings
from simulator.server import command as simulate


@click.command()
def flower() -> None:
    """Run Flower with its Jobs page and a login (SETTLE_FLOWER__USER and SETTLE_FLOWER__PASSWORD)."""
    own = settings().flower
    # Late: Flower and the application are of no use to `settle simulate`.
    from workflows.web import server

    server.login(own)
    from config.flower_app import app

    # A page says that Redis is away sooner than a worker gives up.
    server.serve(own, Runtime(settings(), retries=1), app)


COMMANDS = {"flower": flower, "simulate": simulate}
