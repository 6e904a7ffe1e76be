"""`settle acl`: the Redis user that Settle needs, and the one that a caller needs."""

from __future__ import annotations

import click

from config import acl as rules_of
from jobs.errors import InvalidJob
from jobs.names import check_queue
from workflows.command import shapes, show
from workflows.command.page import Page


@click.command(
    cls=Page,
    examples=[
        ("settle acl >> users.acl", "Settle's own user"),
        ("settle acl --role caller --name shop", "For an application that triggers jobs and waits for them"),
    ],
)
@click.option("--role", type=click.Choice(rules_of.ROLES), default="settle", show_default=True, help="Of whom.")
@click.option("--name", metavar="NAME", help="The user's name; that of the role if not given.")
@click.option(
    "--database", default=0, show_default=True, metavar="N", help="The number that SETTLE_REDIS_URL ends with."
)
@click.option("--redis", default=8.0, show_default=True, metavar="VERSION", help="Its version; a Valkey counts as 8.")
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Of another application that is sent tasks.")
@show.as_json
def acl(role: str, name: str | None, database: int, redis: float, queues: tuple[str, ...], as_json: bool) -> None:
    """Print a line for Redis' ACL file; put a password in the place of PASSWORD.

    The rules allow what Settle (or a caller) needs, and nothing else: SECURITY.md says more.
    """
    for queue in queues:
        try:
            check_queue(queue)
        except ValueError as error:
            raise InvalidJob(f"queue: {error}") from None
    rules = rules_of.rules(role, database=database, redis=redis, queues=queues)
    line = f"user {name or role} reset on >PASSWORD {' '.join(rules)}"
    click.echo(shapes.User(name=name or role, rules=rules, line=line).text() if as_json else line)


COMMANDS = {"acl": acl}
