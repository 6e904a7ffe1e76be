"""`settle dev`: the whole of Settle in one terminal."""

from __future__ import annotations

import secrets
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

import click

from config.embedded import free_port
from config.settings import settings
from workflows.command.exits import Exit
from workflows.command.page import Page
from workflows.command.stack import SPEED, Stack

_COLOURS = {
    "simulator": "magenta",
    "poll-worker": "cyan",
    "file-worker": "blue",
    "webhooks": "green",
    "flower": "yellow",
    "beat": "green",
}


def _echo(name: str, line: str) -> None:
    click.echo(f"{click.style(f'{name:>12}', fg=_COLOURS.get(name))} │ {line}")


@click.command(
    cls=Page,
    examples=[
        ("settle dev", "Everything, with simulated APIs"),
        ("settle dev --speed 1", "As slow as life"),
        (
            "SETTLE_MYIPR__BASE_URL=https://… SETTLE_MYIPR__API_KEY=… settle dev",
            "One API for real, the others simulated",
        ),
    ],
    exits=[Exit.SETUP],
    reads=[
        "SETTLE_STATE_DIR",
        "SETTLE_REDIS_URL",
        "SETTLE_FLOWER__PASSWORD",
        "SETTLE_FLOWER__PORT",
        "SETTLE_MYIPR__BASE_URL",
    ],
)
@click.option("--speed", default=SPEED, show_default=True, metavar="FACTOR", help="Simulated seconds per real second.")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Of Redis and artifacts; kept between runs.")
def dev(speed: float, state_dir: Path | None) -> None:
    """Run Redis, workers, Flower and the simulated APIs in this terminal, until Ctrl-C or SIGTERM.

    A provider that is configured in the environment is called for real; the others are simulated.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended by either signal
    with Stack(state_dir or settings().state_dir, _echo, speed=speed) as stack, suppress(KeyboardInterrupt):
        # One that a person has set is theirs to know, and is not shown.
        own = "SETTLE_FLOWER__PASSWORD" in stack.environment
        password = stack.environment.setdefault("SETTLE_FLOWER__PASSWORD", secrets.token_urlsafe(12))
        stack.environment.setdefault("SETTLE_FLOWER__PORT", str(free_port()))
        stack.start("webhooks", [sys.executable, "-m", "workflows.command", "webhooks", "run"])
        page = stack.start("flower", [sys.executable, "-m", "workflows.command", "flower"])
        page.wait_for("Visit me at")
        env = stack.environment
        if settings().schedules is not None:
            stack.start("beat", [sys.executable, "-m", "workflows.command", "beat"])
        click.echo(
            f"\nready. Simulated APIs at {stack.simulator_url}\n"
            f"Flower at http://127.0.0.1:{env['SETTLE_FLOWER__PORT']}, "
            f"login {env.get('SETTLE_FLOWER__USER', 'settle')} / {'the password that is set' if own else password}\n"
            "In another terminal of this folder: settle submit, settle watch, settle list\n"
        )
        threading.Event().wait()
    click.echo("stopped")


COMMANDS = {"dev": dev}
