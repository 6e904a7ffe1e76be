"""`settle acl`: the Redis user that Settle needs, and the one that a caller needs."""

from __future__ import annotations

import click

from config import acl as rules_of


@click.command()
@click.option("--role", type=click.Choice(rules_of.ROLES), default="settle", show_default=True, help="Of whom.")
@click.option("--name", help="The user's name; that of the role if not given.")
@click.option("--database", default=0, show_default=True, help="The number at the end of SETTLE_REDIS_URL.")
@click.option("--redis", default=8.0, show_default=True, help="Its version; a Valkey counts as 8.")
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Of another application that is sent tasks.")
def acl(role: str, name: str | None, database: int, redis: float, queues: tuple[str, ...]) -> None:
    """Print a line for Redis' ACL file; put a password in the place of PASSWORD."""
    rules = rules_of.rules(role, database=database, redis=redis, queues=queues)
    click.echo(f"user {name or role} reset on >PASSWORD {' '.join(rules)}")


COMMANDS = {"acl": acl}
