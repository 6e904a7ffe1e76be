"""`settle demo`: fifteen real jobs over four simulated APIs, each outcome checked against the simulator's books."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from celery import Celery
from rich.live import Live
from rich.table import Table
from rich.text import Text

from config import runtime as shared
from config.settings import made_of
from jobs.artifacts import Verification
from jobs.errors import JobNotFound
from jobs.record import Job
from jobs.states import JobState
from simulator import samples
from simulator.account import Account, JobAccount
from simulator.control import ControlClient
from workflows.command import shapes, show
from workflows.command.exits import Exit
from workflows.command.page import Page
from workflows.command.stack import SPEED, Stack

S = JobState

#: All jobs end well within this time, seconds.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Scene:
    """One job of the demo: what is sent, and what must come of it."""

    id: str
    workflow: str
    story: str
    kwargs: dict[str, Any]
    ends: JobState
    reference: str = ""  #: under which the simulator keeps its books
    submits: int = 1  #: how often the simulator must have been asked to do it
    says: str = ""  #: a part of the error, where one is expected
    plan: dict[str, Any] = field(default_factory=dict)
    verification: Verification | None = None


def _scenes(url: str) -> list[Scene]:
    """The jobs. References are planned before anything is sent."""
    base = f"{url}/commonsdb"
    works = {name: samples.declaration(base, name=name) for name in ("Harbour at dusk", "Mill in winter", "Old bridge")}
    forged = samples.declaration(base, name="Forged letter")
    forged["signature"] = works["Old bridge"]["signature"]  # another work's signature
    identifier = {
        name: samples.cid_v1(body["declarationMetadata"]["publicMetadata"])
        for name, body in {**works, "Forged letter": forged}.items()
    }

    def certify(name: str) -> dict[str, Any]:
        body = samples.certificate_request(name)
        return {key: body[key] for key in ("name", "category_id", "hash", "size")}

    def produce(name: str, **more: Any) -> dict[str, Any]:
        paid = samples.payment(name)
        payment = {"id": paid["id"], "ident": paid["ident"]}
        return {"alphabet": "UPPER_HEX", "digits": 12, "size": 2000, "payment": payment, **more}

    seed = "5b8df35d-391c-49d1-9a86-991e2601f3e5"

    def declared(job_id: str, name: str, story: str, ends: JobState, **more: Any) -> Scene:
        body = forged if name == "Forged letter" else works[name]
        return Scene(job_id, "commonsdb.declare", story, {"declaration": body}, ends, identifier[name], **more)

    def produced(job_id: str, story: str, ends: JobState, sent: dict[str, Any] | None = None, **more: Any) -> Scene:
        ident = samples.payment(job_id)["ident"]
        return Scene(job_id, "unique_tokens.produce", story, produce(job_id, **(sent or {})), ends, ident, **more)

    def converted(job_id: str, story: str, records: list[dict[str, Any]], ends: JobState, **more: Any) -> Scene:
        kwargs = {"conversions": records}
        return Scene(job_id, "lettrlabs.convert", story, kwargs, ends, str(records[0].get("orderId", "")), **more)

    verified = Verification.VERIFIED
    return [
        declared("work-1", "Harbour at dusk", "declared, and found good", S.SUCCEEDED),
        declared("work-2", "Mill in winter", "declared; takes a little longer", S.SUCCEEDED, plan={"duration": 180}),
        declared("work-3", "Old bridge", "the provider fails it", S.FAILED, says="failed", plan={"outcome": "failed"}),
        declared("work-4", "Forged letter", "refused: signature of another work", S.FAILED, says="refused"),
        Scene(
            "certificate-1",
            "myipr.certify",
            "minted; the certificate fetched",
            certify("Score, master file"),
            S.SUCCEEDED,
            "Score, master file",
            plan={"duration": 120},
            verification=Verification.UNVERIFIED,
        ),
        Scene(
            "certificate-2",
            "myipr.certify",
            "the mint reports an error",
            certify("Score, second hand"),
            S.FAILED,
            "Score, second hand",
            says="error",
            plan={"outcome": "failed", "duration": 60},
        ),
        Scene(
            "certificate-3",
            "myipr.certify",
            "bad body: never sent",
            {**certify("Score, third hand"), "hash": "not a hash"},
            S.FAILED,
            "Score, third hand",
            submits=0,
            says="hash",
        ),
        produced("tokens-1", "produced, fetched, verified", S.SUCCEEDED, {"seed": seed}, verification=verified),
        produced(
            "tokens-2",
            "with the snapshot for a next part",
            S.SUCCEEDED,
            {"seed": seed, "snapshot": True, "digits": 20, "size": 5000},
            verification=verified,
        ),
        produced("tokens-3", "no digest promised", S.SUCCEEDED, verification=Verification.UNVERIFIED),
        produced("tokens-4", "a wrong digest", S.FAILED, {"seed": seed}, says="SHA-256", plan={"wrong_digest": True}),
        converted("upload-1", "one conversion", [samples.conversion("SO-1")], S.SUCCEEDED),
        converted(
            "upload-2",
            "two, one of them refused",
            [samples.conversion("SO-2"), samples.conversion("SO-3", primaryEmail="nobody@", eventDate=None)],
            S.FAILED,
            submits=0,
            says="primaryEmail",
        ),
        converted("upload-3", "the upload fails", [samples.conversion("SO-4")], S.FAILED, plan={"outcome": "failed"}),
    ]


def _plan(control: ControlClient, scenes: list[Scene]) -> None:
    for scene in scenes:
        provider = scene.workflow.partition(".")[0]
        plan = {"outcome": "success", "duration": 45, **scene.plan}
        control.plan(provider, scene.reference, **plan)  # type: ignore[arg-type]


def _jobs(ids: list[str]) -> list[Job]:
    found = []
    for job_id in ids:
        try:
            found.append(shared.runtime().ledger.get(job_id))
        except JobNotFound:
            continue
    return found


def _follow(ids: list[str], *, quiet: bool) -> list[Job]:
    """Show the jobs until all are finished."""
    end = time.monotonic() + _PATIENCE
    shown: dict[str, str] = {}
    with Live(console=show.console, auto_refresh=False, transient=True) as live:
        while True:
            jobs = _jobs(ids)
            if show.console.is_terminal and not quiet:
                live.update(show.table(jobs), refresh=True)
            elif not quiet:
                for job in jobs:
                    if shown.get(job.id) != job.state:
                        shown[job.id] = job.state
                        click.echo(f"  {job.id:<14} {job.state}")
            if (len(jobs) == len(ids) and all(job.finished for job in jobs)) or time.monotonic() > end:
                return jobs
            time.sleep(0.1)


def _faults(scene: Scene, job: Job | None, books: JobAccount) -> list[str]:
    """What is not as it should be."""
    if job is None:
        return ["never recorded"]
    faults = []
    if job.state is not scene.ends:
        faults.append(f"ended {job.state}, not {scene.ends}")
    if scene.says and (job.failure is None or scene.says not in job.failure.message):
        faults.append(f"the error does not speak of {scene.says!r}")
    if scene.verification and {artifact.verification for artifact in job.artifacts} != {scene.verification}:
        faults.append(f"its files are not {scene.verification}")
    if books.submits != scene.submits:
        faults.append(f"submitted {books.submits} times, not {scene.submits}")
    return faults


def _books(scene: Scene, account: Account) -> JobAccount:
    """What the simulator itself counted for a job."""
    provider = account[scene.workflow.partition(".")[0]]
    if scene.workflow == "lettrlabs.delete":  # it has no caller reference: the only DELETE is ours
        return JobAccount(submits=sum(provider.requests.get("delete_conversion", {}).values()))
    return provider.jobs.get(scene.reference, JobAccount())


def _report(scenes: list[Scene], jobs: list[Job], account: Account, *, as_json: bool) -> bool:
    by_id = {job.id: job for job in jobs}
    rows: list[tuple[Scene, Job | None, JobAccount, list[str]]] = []
    for scene in scenes:
        books = _books(scene, account)
        rows.append((scene, by_id.get(scene.id), books, _faults(scene, by_id.get(scene.id), books)))
    if as_json:
        for scene, job, books, faults in rows:
            click.echo(_shape(scene, job, books, faults).text())
    elif show.console.is_terminal:
        _table(rows)
    else:
        for scene, job, books, faults in rows:
            verdict = "; ".join(faults) or "as it should be"
            state = job.state.value if job else "-"
            polls = f"polled {job.polls if job else 0}"
            click.echo(f"{scene.id:<14}{state:<11}submitted {books.submits}  {polls:<10}{verdict}  ({scene.story})")
    doubles = [name for provider in account.providers.values() for name in provider.doubles]
    if doubles:
        click.echo(f"submitted twice: {', '.join(doubles)}", err=as_json)
    return not doubles and not any(faults for *_, faults in rows)


def _shape(scene: Scene, job: Job | None, books: JobAccount, faults: list[str]) -> shapes.Scene:
    ended = {"state": job.state} if job else {}
    polls = job.polls if job else 0
    return shapes.Scene(
        job_id=scene.id, story=scene.story, polls=polls, submitted=books.submits, faults=faults, **ended
    )


def _table(rows: list[tuple[Scene, Job | None, JobAccount, list[str]]]) -> None:
    grid = Table(title="What became of them", title_justify="left", header_style="bold")
    for column in ("job", "story", "outcome", "polls", "submitted", "as it should be", "remark"):
        grid.add_column(column, overflow="fold", justify="right" if column in ("polls", "submitted") else "left")
    for scene, job, books, faults in rows:
        grid.add_row(
            scene.id,
            scene.story,
            show.state(job) if job else "-",
            f"{job.polls if job else 0} / {books.polls}",
            f"{books.submits} ×",
            Text("yes", style="green") if not faults else Text("; ".join(faults), style="bold red"),
            show.remark(job) if job else "",
        )
    show.console.print(grid)
    click.echo("polls: by our ledger / by the simulator's own books; submitted: by the simulator's books")


def _deletion(app: Celery, jobs: list[Job]) -> Scene | None:
    """A last job that needs an earlier one's id: delete the first upload."""
    for job in jobs:
        if job.id == "upload-1" and job.receipt and job.state is S.SUCCEEDED:
            upload = int(job.receipt["remote_id"])
            app.send_task("settle.lettrlabs.delete", kwargs={"id": upload}, task_id="deletion-1")
            return Scene("deletion-1", "lettrlabs.delete", "the first upload deleted", {}, S.SUCCEEDED)
    return None


@click.command(
    cls=Page,
    examples=[
        ("settle demo", "See it work"),
        ("settle demo --json | jq .faults", "For a script"),
    ],
    exits=[(Exit.FAILED, "a job did not end as it should"), Exit.SETUP],
)
@click.option("--state-dir", type=click.Path(path_type=Path), default=Path(".settle/demo"), help="Begun anew.")
@show.as_json
def demo(state_dir: Path, as_json: bool) -> None:
    """Run fifteen jobs over four simulated APIs with real workers and Redis, and check every outcome.

    Some are good, some the provider refuses or fails, one has a wrong digest. What became of each is compared with the
    books of the simulated APIs. No real API is called, whatever is configured.
    """
    echo_line = (lambda text: click.echo(text, err=True)) if as_json else click.echo
    started = time.monotonic()
    shutil.rmtree(state_dir, ignore_errors=True)
    state_dir.mkdir(parents=True)
    with (state_dir / "demo.log").open("w") as log:

        def echo(name: str, line: str) -> None:
            if not log.closed:
                log.write(f"{name:>12} | {line}\n")

        echo_line(f"Starting Redis, the simulated APIs ({SPEED:g} times as fast as life) and two workers …")
        # The demo never calls a real API, whatever is configured.
        with Stack(state_dir, echo, own=False) as stack:
            url = stack.environment["SETTLE_REDIS_URL"]
            shared.use(shared.Runtime(made_of(redis_url=url)))
            scenes = _scenes(stack.simulator_url)
            control = stack.control()
            _plan(control, scenes)
            # A client that knows nothing but the addresses, as any other application would.
            app = Celery(broker=url, backend=url)
            for scene in scenes:
                app.send_task(f"settle.{scene.workflow}", kwargs=scene.kwargs, task_id=scene.id)
            echo_line(f"{len(scenes)} jobs sent in {time.monotonic() - started:.1f} s. Following them:")
            jobs = _follow([scene.id for scene in scenes], quiet=as_json)
            if last := _deletion(app, jobs):
                scenes.append(last)
                jobs = _follow([scene.id for scene in scenes], quiet=as_json)
            good = _report(scenes, jobs, control.account(), as_json=as_json)
            shared.use(None)
    verdict = "every job ended as it should" if good else "NOT every job ended as it should"
    echo_line(f"{verdict}; {time.monotonic() - started:.1f} s. Logs and files are in {state_dir}.")
    sys.exit(0 if good else 1)


COMMANDS = {"demo": demo}
