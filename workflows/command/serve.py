"""`settle flower` and `settle simulate`: the web page and the simulated APIs, each in the foreground."""

from __future__ import annotations

import click

from config.runtime import Runtime
from config.settings import settings
from simulator.server import command
from workflows.command.exits import Exit
from workflows.command.page import LEDGER, Page


@click.command(
    cls=Page,
    examples=[
        ("SETTLE_FLOWER__PASSWORD=… settle flower", "The page at http://127.0.0.1:5555/jobs"),
    ],
    exits=[Exit.SETUP],
    reads=[
        *LEDGER,
        "SETTLE_BROKER_URL",
        "SETTLE_FLOWER__USER",
        "SETTLE_FLOWER__PASSWORD",
        "SETTLE_FLOWER__ADDRESS",
        "SETTLE_FLOWER__PORT",
    ],
)
def flower() -> None:
    """Run Flower with its Jobs page and a login, until SIGTERM or Ctrl-C.

    docs/web.md tells of the page and of its JSON API. Flower's own options work as ever (FLOWER_…, flowerconfig.py).
    """
    own = settings().flower
    # Late: Flower and the application are of no use to `settle simulate`.
    from workflows.web import server

    server.login(own)
    from config.flower_app import app

    # A page says that Redis is away sooner than a worker gives up.
    server.serve(own, Runtime(settings(), retries=1), app)


#: The simulator's own command, which knows nothing of ours, with a page like the others'.
simulate = Page(
    "simulate",
    callback=command.callback,
    params=command.params,
    help="""Play the four remote APIs on one local port, until SIGTERM or Ctrl-C.

    It prints one line with its address when it is ready. docs/simulator.md tells of its switches, plans and faults.""",
    examples=[
        ("settle simulate --port 8900 --speed 60", "A minute of theirs in a second"),
        ("settle simulate --openapi > simulator.json", "What it serves, as OpenAPI 3.1"),
    ],
    exits=[(Exit.FAILED, "the port is taken")],
)

COMMANDS = {"flower": flower, "simulate": simulate}
