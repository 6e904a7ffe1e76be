"""The simulator from the command line."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import click

from simulator.application import Simulator
from simulator.switches import SwitchError


async def serve(simulator: Simulator) -> None:
    """Serve until SIGTERM or SIGINT; prints one line with the address when ready."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with simulator:
        click.echo(f"simulator ready on {simulator.url}")
        sys.stdout.flush()
        await stopped.wait()


def _read_switches(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path}: {error}"
        raise click.BadParameter(message, param_hint="--switches") from error
    if not isinstance(value, dict):
        message = f"{path}: must hold a JSON object"
        raise click.BadParameter(message, param_hint="--switches")
    return value


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--speed", default=1.0, show_default=True, help="Simulated seconds per real second.")
@click.option("--seed", default=0, show_default=True, help="Seed of all random draws.")
@click.option(
    "--switches",
    type=click.Path(path_type=Path, dir_okay=False),
    help='JSON file with switches by provider, like {"myipr": {"duplicate_code": 409}}.',
)
@click.option("--openapi", is_flag=True, help="Print the OpenAPI description of the server, and do not serve.")
def command(host: str, port: int, speed: float, seed: int, switches: Path | None, openapi: bool) -> None:
    """Play the four remote APIs on one local port."""
    try:
        simulator = Simulator(host=host, port=port, speed=speed, seed=seed, switches=_read_switches(switches))
    except (SwitchError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    if openapi:
        click.echo(json.dumps(simulator.openapi(), indent=2))
        return
    try:
        asyncio.run(serve(simulator))
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {error.strerror}"
        raise click.ClickException(message) from error


def main(argv: list[str] | None = None) -> None:
    """Run the command with these arguments (None: those of the process), then exit."""
    command.main(args=argv, prog_name="simulator")
