"""Bulk input: lines become jobs, once; what is wrong is told by line and field, never by value."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from pydantic import BaseModel, Field

from config import runtime as shared
from config.settings import made_of
from jobs.clock import ManualClock
from jobs.errors import InvalidJob
from jobs.ledger import Ledger
from jobs.record import Failure, Job
from jobs.states import JobState
from providers.lettrlabs.records import Conversion
from providers.myipr import CertifyRequest
from providers.unique_tokens import ProduceRequest
from simulator import samples
from tasks.ways import WORKFLOWS
from workflows.command import Exit
from workflows.command.bulk import run_bulk
from workflows.command.bulk_lines import columns_of, read
from workflows.command.bulk_options import Bulk, wanted
from workflows.command.bulk_sender import Sender
from workflows.command.bulk_sheet import Sheet

SECRET = "topsecret-value"


class Desk:
    """Submits files to a ledger."""

    def __init__(self, folder: Path, client: redis.Redis) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.ledger = Ledger(client, clock=self.clock)
        settings = made_of(redis_url="redis://nowhere")
        self.run = shared.Runtime(settings, ledger=self.ledger, clock=self.clock)
        self.app = Celery("bulk", broker="memory://", backend="cache+memory://", set_as_current=False)
        self.app.conf.result_expires = 3600
        for name in ("commonsdb", "myipr", "unique_tokens", "lettrlabs"):
            self.app.loader.import_task_module(f"workflows.{name}")

    def file(self, text: str | bytes, name: str = "input.jsonl") -> Path:
        """Write an input file."""
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def submit(self, path: Path, workflow: str = "lettrlabs.convert", wait: bool = False, **options: Any) -> Exit:
        """Run the command's bulk part."""
        own = {name: options.pop(name) for name in ("tags", "deadline") if name in options}
        given = {"batch": None, "id_prefix": None, "skip_bad": False, "duplicates": None, "report": None, "form": None}
        bulk = wanted(str(path), None, {**given, **options})
        assert bulk is not None
        model = WORKFLOWS[workflow].request
        return run_bulk(self.run, self.app, workflow, model, bulk, own, wait=wait, as_json=True)

    def jobs(self, provider: str = "lettrlabs") -> list[Job]:
        """All jobs, oldest first."""
        return sorted(self.ledger.jobs(provider, limit=10_000), key=lambda job: job.id)

    def orders(self) -> list[list[str]]:
        """The orderIds of each job."""
        return sorted([each["orderId"] for each in (job.request or {})["conversions"]] for job in self.jobs())


@pytest.fixture
def desk(tmp_path: Path, redis_client: redis.Redis) -> Iterator[Desk]:
    """An empty ledger and an empty folder."""
    made = Desk(tmp_path, redis_client)
    yield made
    made.run.close()


def lines(*bodies: object) -> str:
    """JSON Lines."""
    return "".join(json.dumps(body) + "\n" for body in bodies)


def conversions(number: int, start: int = 0) -> list[dict[str, Any]]:
    """Records that are good."""
    return [samples.conversion(f"SO-{each:04}") for each in range(start, start + number)]


def certificate(name: str) -> dict[str, Any]:
    """The keyword arguments of `myipr.certify`."""
    return {"name": name, "category_id": "10", "size": "1079", "hash": "ab" * 32}


def report_of(path: Path) -> list[dict[str, Any]]:
    """A JSON Lines report."""
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- rows become records, in jobs of a batch -----------------------------------------------------------------------


def test_rows_become_jobs_of_a_batch(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """In their order; the last job has the rest."""
    assert desk.submit(desk.file(lines(*conversions(250)))) is Exit.DONE
    assert [len(each) for each in desk.orders()] == [100, 100, 50]
    assert desk.orders()[0][0] == "SO-0000"
    assert desk.orders()[2][-1] == "SO-0249"
    assert all(job.state is JobState.ACCEPTED for job in desk.jobs())
    assert json.loads(capsys.readouterr().out) == {"lines": 250, "invalid": 0, "duplicates": 0, "jobs": {"created": 3}}


@pytest.mark.parametrize("batch", [1, 7, 10, 1000])
def test_a_repeated_run_repeats_nothing(desk: Desk, batch: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The same file, batch and prefix are the same jobs; another prefix makes others."""
    path = desk.file(lines(*conversions(10)))
    desk.submit(path, batch=batch)
    before = desk.jobs()
    capsys.readouterr()
    assert desk.submit(path, batch=batch) is Exit.DONE
    assert desk.jobs() == before
    assert json.loads(capsys.readouterr().out)["jobs"] == {"same": len(before)}
    desk.submit(path, batch=batch, id_prefix="again-")
    ids = [job.id for job in desk.jobs()]
    assert len(ids) == 2 * len(before)
    assert sum(name.startswith("again-") for name in ids) == len(before)


def test_csv_and_json_lines_of_the_same_content_are_the_same_jobs(desk: Desk) -> None:
    """Cells have the type of their field, and the order of columns does not matter."""
    record = {
        "orderId": "00017",
        "revenue": 129.5,
        "primaryEmail": "a@example.test",
        "primaryAddress": {"zipCode": "00501", "city": 'Two "Rivers", east'},
        "eventDate": "2026-03-04T16:20:00Z",
    }
    desk.submit(desk.file(lines(record)))
    text = (
        "primaryAddress.zipCode,revenue,eventDate,orderId,primaryEmail,primaryAddress.city,firstName\r\n"
        '00501,129.5,2026-03-04T16:20:00Z,00017,a@example.test,"Two ""Rivers"", east",\r\n'
    )
    desk.submit(desk.file(text, "input.csv"))
    (job,) = desk.jobs()
    assert job.request == {"conversions": [record]}


def test_a_row_may_have_several_lines(desk: Desk, tmp_path: Path) -> None:
    """A quoted cell may hold a line break; rows are named by the line on which they begin. A BOM is no letter."""
    text = '\ufeffcouponCode,revenue,lastName\nA,1,"two\nlines"\n\nB,minus,x\nC,3,y\n'
    desk.submit(desk.file(text, "input.csv"), skip_bad=True, report=tmp_path / "report.jsonl")
    assert [(each["line"], each["state"]) for each in report_of(tmp_path / "report.jsonl")] == [
        (2, "created"),
        (5, "invalid"),
        (6, "created"),
    ]
    assert (desk.jobs()[0].request or {})["conversions"][0]["lastName"] == "two\nlines"


# --- one job for each line -----------------------------------------------------------------------------------------


def test_other_workflows_make_a_job_of_each_line(desk: Desk) -> None:
    """With tags and deadline for all, or of the line's own."""
    own = {**certificate("two"), "tags": {"shop": "8"}, "deadline": 60}
    path = desk.file(lines(certificate("one"), own))
    assert desk.submit(path, "myipr.certify", tags={"shop": "7"}, deadline=30.0) is Exit.DONE
    jobs = {(job.request or {})["name"]: job for job in desk.jobs("myipr")}
    assert {name: (job.tags, job.deadline_at - job.created_at) for name, job in jobs.items()} == {
        "one": ({"shop": "7"}, 30.0),
        "two": ({"shop": "8"}, 60.0),
    }
    desk.submit(desk.file(lines(certificate("one"), certificate("two"))), "myipr.certify")
    assert len(desk.jobs("myipr")) == 2  # tags and deadline are no part of what a job is


def test_a_declaration_a_line(desk: Desk) -> None:
    """As the issue asks: one job per line, ids from the line, and a repeated run repeats nothing."""
    path = desk.file(lines(*({"declaration": samples.declaration(name=f"work {n}")} for n in range(3))), "works.jsonl")
    for _ in range(2):
        assert desk.submit(path, "commonsdb.declare") is Exit.DONE
    assert len(desk.jobs("commonsdb")) == 3


def test_csv_for_other_workflows(desk: Desk) -> None:
    """Numbers and parts of parts have their types; a text stays one."""
    text = "alphabet,digits,size,payment.id,payment.ident,snapshot,deadline\n007,12,2000,p-1,pi_1,true,90\n"
    assert desk.submit(desk.file(text, "tokens.csv"), "unique_tokens.produce") is Exit.DONE
    (job,) = desk.jobs("unique_tokens")
    assert job.request == {
        "alphabet": "007",
        "digits": 12,
        "size": 2000,
        "payment": {"id": "p-1", "ident": "pi_1"},
        "snapshot": True,
    }
    assert job.deadline_at - job.created_at == 90
    assert desk.submit(desk.file("id\n17\n18\n", "ids.csv"), "lettrlabs.delete") is Exit.DONE
    assert sorted((job.request or {})["id"] for job in desk.jobs()) == [17, 18]


# --- bad lines -----------------------------------------------------------------------------------------------------

BAD = [
    ({**samples.conversion("x"), "primaryEmail": SECRET}, "primaryEmail: "),
    ({**samples.conversion("x"), "revenue": SECRET}, "revenue: "),
    ({**samples.conversion("x"), "revenue": -1}, "revenue: "),
    ({**samples.conversion("x"), "colour": SECRET}, "colour: "),
    ({**samples.conversion("x"), "primaryPhoneNumber": SECRET * 2}, "primaryPhoneNumber: "),
    ({**samples.conversion("x"), "eventDate": 1772641200}, "eventDate: give an ISO date-time with a time zone"),
    ({"revenue": 1, "firstName": SECRET}, "give at least one identifier"),
    ([SECRET], "not a JSON object: give one on each line"),
    (SECRET, "not a JSON object: give one on each line"),
    ("{", "not JSON at column"),
    (f'{{"revenue": 1, "revenue": 2, "couponCode": "{SECRET}"}}', "give each field once"),
    (f'{{"couponCode": "{SECRET}", "revenue": {"9" * 5000}}}', "not a plain JSON object"),
    (b'{"couponCode": "\xff' + SECRET.encode() + b'", "revenue": 1}', "not UTF-8"),
]


@pytest.mark.parametrize(("bad", "said"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_bad_line_stops_all_before_anything_is_sent(
    desk: Desk, bad: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named by line and field with the remedy; no value is shown anywhere. `--skip-bad` sends the rest."""
    raw = (
        bad if isinstance(bad, bytes) else (bad if isinstance(bad, str) and bad[0] == "{" else json.dumps(bad)).encode()
    )
    first, last = (json.dumps(each).encode() for each in conversions(2))
    path = desk.file(b"\n".join([first, b"", raw, last]))
    report = tmp_path / "report.jsonl"
    assert desk.submit(path, report=report) is Exit.USAGE
    told = capsys.readouterr()
    assert "settle: line 3: " in told.err
    assert said in told.err
    assert "nothing was sent" in told.err
    assert desk.jobs() == []
    assert [each["state"] for each in report_of(report)] == ["not_sent", "invalid", "not_sent"]
    assert desk.submit(path, report=report, skip_bad=True) is Exit.DONE
    assert desk.orders() == [["SO-0000", "SO-0001"]]
    assert [each["state"] for each in report_of(report)] == ["created", "invalid", "created"]
    for text in (told.err, told.out, report.read_text(), str(capsys.readouterr())):
        assert SECRET not in text


def test_mending_a_line_changes_the_job_of_its_block_only(desk: Desk) -> None:
    """Blocks are counted over all lines, so the other jobs keep their ids."""
    records = conversions(9)
    broken = [*records[:4], {**records[4], "revenue": None}, *records[5:]]
    desk.submit(desk.file(lines(*broken)), batch=3, skip_bad=True)
    before = {job.id for job in desk.jobs()}
    assert [len(each) for each in desk.orders()] == [3, 2, 3]
    desk.submit(desk.file(lines(*records)), batch=3)
    assert len({job.id for job in desk.jobs()} - before) == 1


@pytest.mark.parametrize("workflow", ["lettrlabs.convert", "myipr.certify"])
def test_equal_lines_are_an_error_that_names_both(
    desk: Desk, workflow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the order of their fields; or they are skipped, if one says so."""
    one, two = conversions(2) if workflow == "lettrlabs.convert" else (certificate("one"), certificate("two"))
    path = desk.file(lines(one, two, dict(reversed(one.items()))))
    provider, report = workflow.partition(".")[0], tmp_path / "report.csv"
    assert desk.submit(path, workflow) is Exit.USAGE
    assert "line 3: equal to line 1; remove one, or use --duplicates=skip" in capsys.readouterr().err
    assert desk.jobs(provider) == []
    assert desk.submit(path, workflow, duplicates="skip", report=report, batch=1) is Exit.DONE
    assert len(desk.jobs(provider)) == 2
    with report.open(newline="") as source:
        rows = list(csv.DictReader(source))
    assert [(row["line"], row["state"], row["error"]) for row in rows] == [
        ("1", "created", ""),
        ("2", "created", ""),
        ("3", "duplicate", "equal to line 1"),
    ]
    assert rows[0]["job_id"] in {job.id for job in desk.jobs(provider)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no header"),
        ("couponCode,revenue,Colour\nA,1,2\n", "column 3 is no field"),
        ("couponCode,revnue\nA,1\n", "column 2 is no field (perhaps revenue)"),
        ("couponCode,revenue,couponCode\nA,1,B\n", "column 3 names couponCode again"),
        (f"{SECRET},1\n", "column 1 is no field"),
        ("couponCode;revenue\nA;1\n", "column 1 is no field"),
        ("couponCode,revenue\nA,1,2\n", "line 2: 3 cells under a header of 2"),
        ("couponCode,revenue\nA\n", "line 2: 1 cells under a header of 2"),
        ('couponCode,revenue\n"A"x,1\n', "line 2: not CSV"),
        ('couponCode,revenue\nB,1\n"A,1\n', "not CSV (unexpected end of data)"),
        ("couponCode,primaryAddress,primaryAddress.city\nA,{},X\n", "revenue"),
        (
            'couponCode,revenue,primaryAddress.city,primaryAddress\nA,1,X,"{}"\n',
            "primaryAddress: the columns before it",
        ),
        (
            "couponCode,revenue,primaryAddress,primaryAddress.city\nA,1,7,X\n",
            "primaryAddress.city: the column before it",
        ),
        ("couponCode,revenue\n", "no line in it"),
        ('couponCode,revenue\nA,"1,299.50"\n', "line 2: revenue: "),
    ],
    ids=str,
)
def test_bad_csv_is_told(desk: Desk, text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A header that is a row of data is not quoted."""
    try:
        assert desk.submit(desk.file(text, "input.csv")) is Exit.USAGE
        told = capsys.readouterr().err
    except InvalidJob as error:
        told = str(error)
    assert said in told
    assert SECRET not in told
    assert desk.jobs() == []


def test_only_the_first_errors_are_shown(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report has all."""
    report = tmp_path / "report.jsonl"
    desk.submit(desk.file(lines(*([{"revenue": number} for number in range(50)]))), report=report)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 22
    assert told[20] == "settle: and 30 more; --report has all"
    assert len(report_of(report)) == 50


@pytest.mark.parametrize(("grow", "said"), [(True, "line 3"), (False, "line 2")])
def test_a_file_that_changes_meanwhile_is_noticed(desk: Desk, grow: bool, said: str) -> None:
    """What was checked is what is sent. What went out before the change is known the next time."""
    path = desk.file(lines(certificate("one"), certificate("two")))
    bulk = Bulk(path, "jsonl", 1, "", False, False, None)
    sender = Sender(desk.run, desk.app, "myipr.certify", CertifyRequest, bulk, {})
    with Sheet() as sheet:
        sender.check(sheet)
        desk.file(lines(certificate("one"), certificate("two" if grow else "2"), certificate("three")))
        with pytest.raises(InvalidJob, match=f"{said}: the file changed"):
            sender.send(sheet)


# --- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("body.json", {"batch": 5}, "--batch: is for many lines"),
        ("body.json", {"skip_bad": True}, "--skip-bad: is for many lines"),
        ("<stdin>", {"form": "jsonl"}, "give a file, not a pipe"),
        ("input.jsonl", {"id_prefix": "a b"}, "id: use 1 to 200 printable"),
        ("input.jsonl", {"id_prefix": "x" * 180}, "id: use 1 to 200 printable"),
        ("input.jsonl", {"tags": {str(n): "x" for n in range(30)}}, "tags: "),
        ("input.jsonl", {"deadline": -1.0}, "deadline: "),
        ("input.jsonl", {"report": Path("/nowhere/report.jsonl")}, "report: /nowhere/report.jsonl cannot be written"),
    ],
    ids=str,
)
def test_options_that_cannot_work(desk: Desk, name: str, options: dict[str, Any], said: str) -> None:
    """Said before anything is sent."""
    path = desk.file(lines(*conversions(1)), name) if name[0] != "<" else Path(name)
    with pytest.raises(InvalidJob, match=said.replace("(", r"\(")):
        desk.submit(path, **options)
    assert desk.jobs() == []


def test_one_json_object_is_not_bulk() -> None:
    """By suffix, or by --format; --id is for one job."""
    none = {"batch": None, "id_prefix": None, "skip_bad": False, "duplicates": None, "report": None, "form": None}
    assert wanted("body.json", "order-1", dict(none)) is None
    assert wanted("<stdin>", None, dict(none)) is None
    assert wanted("lines.jsonl", "order-1", {**none, "form": "json"}) is None
    with pytest.raises(InvalidJob, match="id: many jobs cannot have one id"):
        wanted("lines.jsonl", "order-1", dict(none))


# --- waiting -------------------------------------------------------------------------------------------------------


def test_with_wait_the_report_has_the_outcome_of_each_record(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rejected records by their place in the job; the exit code is that of the worst."""
    report = tmp_path / "report.jsonl"

    def finish(_: float) -> None:
        """What workers do meanwhile."""
        assert [each["state"] for each in report_of(report)] == ["created"] * 4  # written before the waiting
        for job in desk.jobs():
            order = (job.request or {})["conversions"][0]["orderId"]
            job = desk.ledger.begin("lettrlabs", [(job.id, None)], list(JobState), 30.0)[0]
            now = desk.clock.now()
            (job,) = desk.ledger.write([job.to(JobState.SUBMITTING, now=now, due_at=now)])  # type: ignore[assignment]
            (job,) = desk.ledger.write([job.to(JobState.POLLING, now=now, due_at=now)])  # type: ignore[assignment]
            result = {"sent": 2, "accepted": 1 if order == "SO-0000" else None, "partial": True}
            if order == "SO-0000":
                result["rejected"] = [1]
            desk.ledger.write([job.to(JobState.SUCCEEDED, now=now, result=result)])

    monkeypatch.setattr("workflows.command.bulk_sender.time.sleep", finish)
    path = desk.file(lines(*conversions(4)))
    assert desk.submit(path, wait=True, batch=2, report=report) is Exit.DONE
    assert [(each["line"], each["outcome"], each["record"]) for each in report_of(report)] == [
        (1, "succeeded", "accepted"),
        (2, "succeeded", "rejected"),
        (3, "succeeded", "unknown"),
        (4, "succeeded", "unknown"),
    ]
    assert json.loads(capsys.readouterr().out)["outcomes"] == {"succeeded": 2}


@pytest.mark.parametrize(
    ("retention", "code", "outcome", "error"),
    [
        (86400, Exit.FAILED, "failed", "not like this"),
        (0, Exit.NOT_FINISHED, "forgotten", "the job is past its retention"),
    ],
)
def test_with_wait_the_worst_job_decides_the_exit_code(
    desk: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    retention: int,
    code: Exit,
    outcome: str,
    error: str,
) -> None:
    """Its reason is in the report; a job that the ledger has forgotten is told, too."""
    report = tmp_path / "report.jsonl"

    def fail(_: float) -> None:
        job = desk.ledger.begin("myipr", [(desk.jobs("myipr")[0].id, None)], list(JobState), 30.0)[0]
        desk.ledger.write([job.to(JobState.FAILED, now=desk.clock.now(), failure=Failure("refused", "not like this"))])

    monkeypatch.setattr(desk.ledger, "_retention", 1000 * retention)
    monkeypatch.setattr("workflows.command.bulk_sender.time.sleep", fail)
    path = desk.file(lines(certificate("one")))
    assert desk.submit(path, "myipr.certify", wait=True, report=report) is code
    (told,) = report_of(report)
    assert (told["outcome"], told["error"]) == (outcome, error)
    assert "record" not in told


def test_waiting_goes_on_beyond_one_window(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """More jobs than are looked at in one go, of which the last one ends first."""
    sleeps = 0

    def end_one(_: float) -> None:
        nonlocal sleeps
        sleeps += 1
        job = [job for job in desk.jobs() if not job.finished][-1]
        job = desk.ledger.begin("lettrlabs", [(job.id, None)], list(JobState), 30.0)[0]
        desk.ledger.write([job.to(JobState.CANCELLED, now=desk.clock.now())])

    monkeypatch.setattr("workflows.command.bulk_sender.time.sleep", end_one)
    monkeypatch.setattr("workflows.command.bulk_sender._WINDOW", 2)
    path = desk.file(lines(*({"id": number} for number in range(1, 5))))
    assert desk.submit(path, "lettrlabs.delete", wait=True) is Exit.CANCELLED
    assert sleeps == 4


# --- the columns of a model ----------------------------------------------------------------------------------------


def test_columns_are_the_fields_of_a_model() -> None:
    """With dots for what is inside; only what is no text is read as JSON."""
    found = columns_of(Conversion)
    assert found["revenue"] is True
    assert found["primaryAddress.zipCode"] is found["orderId"] is found["eventDate"] is False
    assert found["primaryAddress"] is True

    class Loose(BaseModel):
        either: str | int | None = None
        aliased: int = Field(alias="number")
        many: list[str] = []

    assert columns_of(Loose) == {"either": False, "number": True, "many": True}
    assert columns_of(ProduceRequest)["payment.ident"] is False
    certify = ("name", "category", "category_id", "hash", "size", "size_bytes", "file")
    assert columns_of(CertifyRequest) == {name: name == "size_bytes" for name in certify}


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """Without a traceback."""
    with pytest.raises(InvalidJob, match="cannot be read"):
        list(read(tmp_path / "missing.csv", "csv", {}))
