"""What became of each line of a bulk input, on disk: a million lines fit, and none of them is kept.

The sheet is a temporary SQLite database that ends with the process. It holds digests, ids and states, never a value.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from jobs.errors import InvalidJob

FIELDS = ("line", "job_id", "state", "field", "error", "outcome", "record")

#: With what an error begins that is about one field.
_FIELD = re.compile(r"([\w.]+): ")


#: A report is written again after so long, seconds; and not before so many times what writing it took.
_OFTEN, _SHARE = 1.0, 9.0

_UNSURE = "it was on its way when the run ended; run the same command again"


class Sheet:
    """The lines of one run.

    States of a line: `good` (to be sent), `invalid`, `duplicate`; then `unsure` while its job is on its way to the
    ledger, and `created`, `same` or `conflict` by its answer.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # an empty name: a file that nobody else sees
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE lines "
            "(line INTEGER PRIMARY KEY, digest BLOB, state TEXT, error TEXT, job INTEGER, place INTEGER)"
        )
        self._db.execute("CREATE TABLE digests (digest BLOB PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._db.execute(
            "CREATE TABLE jobs (job INTEGER PRIMARY KEY, id TEXT, state TEXT, outcome TEXT, error TEXT, result TEXT)"
        )
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def first(self, digest: bytes, line: int) -> int | None:
        """Note the content of a line; the earlier line with the same content, if there is one."""
        if self._db.execute("INSERT OR IGNORE INTO digests VALUES (?, ?)", (digest, line)).rowcount:
            return None
        (earlier,) = self._db.execute("SELECT line FROM digests WHERE digest = ?", (digest,)).fetchone()
        return int(earlier)

    def add(self, line: int, digest: bytes | None, state: str, error: str = "") -> None:
        """Note how a line was found."""
        self._db.execute("INSERT INTO lines VALUES (?, ?, ?, ?, NULL, NULL)", (line, digest, state, error or None))

    def found(self, line: int) -> tuple[bytes | None, str] | None:
        """The digest and the state of a line, if it was there."""
        row: tuple[bytes | None, str] | None = self._db.execute(
            "SELECT digest, state FROM lines WHERE line = ?", (line,)
        ).fetchone()
        return row

    def leaves(self, job_id: str, lines: list[int]) -> int:
        """Note the job that these lines became, in their order in it, before it is sent. Returns its number."""
        job = self._db.execute("INSERT INTO jobs (id, state) VALUES (?, 'unsure')", (job_id,)).lastrowid
        self._db.executemany(
            "UPDATE lines SET state = 'unsure', error = ?, job = ?, place = ? WHERE line = ?",
            [(_UNSURE, job, place, line) for place, line in enumerate(lines)],
        )
        return int(job or 0)

    def answered(self, job: int, state: str, lines: list[int], error: str = "") -> None:
        """Note what the ledger said of a job."""
        self._db.execute("UPDATE jobs SET state = ? WHERE job = ?", (state, job))
        self._db.executemany(
            "UPDATE lines SET state = ?, error = ? WHERE line = ?", [(state, error or None, line) for line in lines]
        )

    def waiting(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Number and id of the next jobs whose outcome is not known yet."""
        query = (
            "SELECT job, id FROM jobs WHERE outcome IS NULL AND state != 'conflict' AND job > ? ORDER BY job LIMIT ?"
        )
        return self._db.execute(query, (after, limit)).fetchall()

    def ended(self, job: int, outcome: str, error: str | None, result: Any) -> None:
        """Note how a job ended."""
        self._db.execute(
            "UPDATE jobs SET outcome = ?, error = ?, result = ? WHERE job = ?",
            (outcome, error, json.dumps(result) if result else None, job),
        )

    def count(self, table: str, column: str) -> dict[str, int]:
        """How many lines, or jobs, are in each state."""
        query = {
            ("lines", "state"): "SELECT state, count(*) FROM lines GROUP BY state",
            ("jobs", "state"): "SELECT state, count(*) FROM jobs GROUP BY state",
            ("jobs", "outcome"): "SELECT outcome, count(*) FROM jobs GROUP BY outcome",
        }[table, column]
        return dict(self._db.execute(query).fetchall())

    def wrong(self, limit: int) -> list[str]:
        """The first errors, each with its line."""
        rows = self._db.execute(
            "SELECT line, error FROM lines WHERE state IN ('invalid', 'conflict') ORDER BY line LIMIT ?", (limit,)
        )
        return [f"line {line}: {error}" for line, error in rows]

    def _report(self, *, rows: bool) -> Iterator[dict[str, Any]]:
        query = (
            "SELECT line, jobs.id, lines.state, coalesce(lines.error, jobs.error), outcome, result, place "
            "FROM lines LEFT JOIN jobs USING (job) ORDER BY line"
        )
        for line, job_id, state, error, outcome, result, place in self._db.execute(query):
            record = of_record(json.loads(result) if result else {}, place) if rows and outcome == "succeeded" else None
            field = found[1] if state == "invalid" and (found := _FIELD.match(error or "")) else None
            told = (line, job_id, "not_sent" if state == "good" else state, field, error, outcome, record)
            yield {name: value for name, value in zip(FIELDS, told, strict=True) if value is not None}

    def write_report(self, path: Path, *, rows: bool) -> None:
        """Write one JSON line, or CSV line, for each line of input; whoever reads meanwhile sees the last whole one.

        Args:
            path: where; CSV by its suffix.
            rows: whether the lines are records of larger jobs, each with its own fate.

        Raises:
            InvalidJob: it cannot be written.
        """
        with _written(path) as (handle, name):
            try:
                with open(handle, "w", encoding="utf-8", newline="") as target:  # noqa: PTH123 (a descriptor)
                    if path.suffix.lower() == ".csv":
                        table = csv.DictWriter(target, FIELDS)
                        table.writeheader()
                        table.writerows(self._report(rows=rows))
                    else:
                        target.writelines(
                            json.dumps(each, ensure_ascii=False) + "\n" for each in self._report(rows=rows)
                        )
                os.replace(name, path)  # noqa: PTH105
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise


@contextmanager
def _written(path: Path) -> Iterator[tuple[int, str]]:
    """A new file beside a report.

    Raises:
        InvalidJob: there can be none.
    """
    try:
        yield tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InvalidJob(f"report: {path} cannot be written ({error.strerror}); give another --report") from None


class Report:
    """The report of a run, written as it goes. A run that is killed leaves one that is a little older than its end.

    Args:
        sheet: what became of each line.
        path: where; none for no report.
        rows: whether the lines are records of larger jobs, each with its own fate.

    Raises:
        InvalidJob: it cannot be written there; better now than after everything is sent.
    """

    def __init__(self, sheet: Sheet, path: Path | None, *, rows: bool) -> None:
        self._sheet, self._path, self._rows = sheet, path, rows
        self._next = 0.0
        if path is not None:
            with _written(path) as (handle, name):
                os.close(handle)
                Path(name).unlink()

    def write(self) -> None:
        """Write it as things stand."""
        if self._path is None:
            return
        begun = time.monotonic()
        self._sheet.write_report(self._path, rows=self._rows)
        # A long report takes a while to write: a tenth of the run at most.
        self._next = time.monotonic() + max(_OFTEN, _SHARE * (time.monotonic() - begun))

    def go_on(self) -> None:
        """Write it, if it is time."""
        if time.monotonic() >= self._next:
            self.write()


def of_record(result: dict[str, Any], place: int) -> str:
    """What a provider said of one record of a job that succeeded: by its place, for results name no records."""
    if place in (result.get("rejected") or []):
        return "rejected"
    told = result.get("accepted") is not None
    return "accepted" if told else "unknown"
