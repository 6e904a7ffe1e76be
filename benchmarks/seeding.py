"""Very many jobs in the ledger, put there quickly: one goes the ordinary way, the others are copies of its record.

Triggering 100,000 jobs takes a minute; what is measured afterwards is waiting and polling, not that. The first job is
recorded and moved by the ledger itself; Redis copies its hash (`DUMP`, `RESTORE`), and each copy gets its own receipt,
wake-up time, places in the index and owner, as `jobs/lua/accept.lua` would have given it.
"""

from __future__ import annotations

from typing import Any

from benchmarks.product import RECORD
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState

PROVIDER, WORKFLOW = "lettrlabs", "lettrlabs.convert"

#: What the status server answers while a job is under way.
WORD = "processing"


def waiting(ledger: Ledger, client: Any, jobs: int, *, first: float, spread: float, begin: int = 0) -> None:
    """Put submitted jobs into the ledger.

    Args:
        ledger: where.
        client: of the same Redis.
        jobs: how many.
        first: seconds from now until the first of them is due.
        spread: seconds over which their wake-up times lie.
        begin: number of the first, if there are jobs already.
    """
    now = ledger.now()
    template = _template(ledger, f"seed-{begin}", now, remote=10_000_000 + begin)
    hash_key, due_key, index_key, state_key, counts_key = (
        f"settle:{{{PROVIDER}}}:{part}"
        for part in (f"job:{template.id}", "due", "index", f"index:state:{JobState.POLLING.value}", "counts")
    )
    record = client.execute_command("DUMP", hash_key, NEVER_DECODE=True)
    pipe = client.pipeline(transaction=False)
    for number in range(begin, begin + jobs):
        job_id = f"seed-{number}"
        if number > begin:
            key = f"settle:{{{PROVIDER}}}:job:{job_id}"
            receipt = f'{{"remote_id":"{10_000_000 + number}","sent":1,"accepted":1}}'
            pipe.execute_command("RESTORE", key, 0, record)
            pipe.hset(key, "receipt", receipt)
            pipe.set(f"settle:owner:{job_id}", PROVIDER)
            pipe.zadd(index_key, {job_id: round(now * 1000)})
            pipe.zadd(state_key, {job_id: round(now * 1000)})
        pipe.zadd(due_key, {job_id: round((now + first + spread * (number - begin) / jobs) * 1000)})
        if len(pipe) >= 5000:
            pipe.execute()
    pipe.hincrby(counts_key, JobState.POLLING.value, jobs - 1)
    pipe.execute()
    if (copy := ledger.get(f"seed-{begin + jobs - 1}")).state is not JobState.POLLING:
        raise RuntimeError(f"a copied job is at {copy.state}")


def _template(ledger: Ledger, job_id: str, now: float, *, remote: int) -> Job:
    """One job, recorded, submitted, looked at and waiting for a poll that is an hour away."""
    later = now + 3600.0
    ledger.accept(
        Job(
            id=job_id,
            provider=PROVIDER,
            workflow=WORKFLOW,
            state=JobState.ACCEPTED,
            created_at=now,
            updated_at=now,
            deadline_at=now + 86400.0,
            due_at=later,
            digest="0" * 64,
            request={"conversions": [RECORD]},
        )
    )
    intent = {"job": job_id, "at": now, "records": 1, "all_with_order_id": True}
    job = ledger.get(job_id)
    (sent,) = ledger.write([job.to(JobState.SUBMITTING, now=now, due_at=later, intent=intent)])
    assert sent is not None
    receipt = {"remote_id": str(remote), "sent": 1, "accepted": 1}
    (polling,) = ledger.write(
        [sent.to(JobState.POLLING, now=now, due_at=later, receipt=receipt, submitted_at=now, request=None)]
    )
    assert polling is not None
    # Looked at before: the first look at a job brings its status word, and so an event, which costs more than others.
    (seen,) = ledger.write([polling.stay(now=now, due_at=later, word=WORD, polls=1)])
    assert seen is not None
    return seen
