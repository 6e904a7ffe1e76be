"""How a file becomes many jobs: the options of `settle submit` for it, and whether they go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from jobs.errors import InvalidJob
from jobs.record import check_job_id

_FORMS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}

_OPTIONS = (
    click.option("--format", "form", type=click.Choice(["json", "jsonl", "csv"]), help="Instead of by suffix."),
    click.option("--batch", type=click.IntRange(1, 10_000), help="Rows in one job, where rows are records [100]."),
    click.option("--id-prefix", metavar="TEXT", help="In front of the ids that are made from the content."),
    click.option("--skip-bad", is_flag=True, help="Send the good lines though others are bad."),
    click.option("--duplicates", type=click.Choice(["error", "skip"]), help="What equal lines are [error]."),
    click.option(
        "--report", type=click.Path(dir_okay=False, path_type=Path), help="Where each line stands; CSV by its suffix."
    ),
)


def bulk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `settle submit` for a file of many lines."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Bulk:
    """How a file becomes jobs.

    Args:
        path: the file, read twice.
        form: `jsonl` or `csv`.
        batch: rows in one job, where a workflow takes rows.
        prefix: in front of every id.
        skip_bad: send good lines though others are bad.
        skip_duplicates: leave out a line that is equal to an earlier one, instead of calling it bad.
        report: where the fate of each line is written.
    """

    path: Path
    form: str
    batch: int
    prefix: str
    skip_bad: bool
    skip_duplicates: bool
    report: Path | None


def wanted(name: str, job_id: str | None, given: dict[str, Any]) -> Bulk | None:
    """What the options ask for; none for a file with one JSON object.

    Args:
        name: of the input file, or what stands for standard input.
        job_id: of the option `--id`.
        given: the options of `bulk_options`.

    Raises:
        InvalidJob: they do not go together.
    """
    form = given.pop("form") or _FORMS.get(Path(name).suffix.lower(), "json")
    used = [f"--{option.replace('_', '-')}" for option, value in given.items() if value not in (None, False)]
    if form == "json":
        if used:
            raise InvalidJob(f"{used[0]}: is for many lines; give a .jsonl or .csv file, or --format")
        return None
    if job_id is not None:
        raise InvalidJob("id: many jobs cannot have one id; theirs are made from the content, see --id-prefix")
    if not Path(name).is_file():
        raise InvalidJob("input: many lines are read twice, so give a file, not a pipe")
    prefix = given["id_prefix"] or ""
    check_job_id(f"{prefix}{'0' * 32}")
    skip_duplicates = given["duplicates"] == "skip"
    return Bulk(Path(name), form, given["batch"] or 100, prefix, given["skip_bad"], skip_duplicates, given["report"])
