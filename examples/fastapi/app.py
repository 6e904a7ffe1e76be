"""A FastAPI application whose endpoints start jobs of Settle, read them, and follow them.

BROKER_URL=redis://… uvicorn app:app
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from settle_client import InvalidJob, NotSent, Outcome, Settle, StillRunning, key_of


@asynccontextmanager
async def _settle(application: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the process."""
    with Settle(os.environ["BROKER_URL"], os.environ.get("RESULT_URL")) as settle:
        application.state.settle = settle
        yield


app = FastAPI(lifespan=_settle)


class Certificate(BaseModel):
    """What is to be certified."""

    name: str
    sha256: str
    kilobytes: int


# Not `async def`: the client waits for Redis, so FastAPI runs these in a thread of its own.


@app.post("/certificates", status_code=202)
def start(wanted: Certificate, request: Request, idempotency_key: Annotated[str, Header()]) -> dict[str, str]:
    """Start a job. The same key again is the same job, also if the answer to the first request was lost."""
    settle: Settle = request.app.state.settle
    try:
        job = settle.myipr.certify(
            name=wanted.name,
            category_id="10",
            hash=wanted.sha256,
            size=str(wanted.kilobytes),
            job_id=key_of("certificate", idempotency_key, prefix="certificate-"),
        )
    except NotSent as error:
        raise HTTPException(503, "not now; send it again with the same Idempotency-Key") from error
    return {"job": job.id, "state": job.state}


@app.get("/certificates/{job_id}")
def read(job_id: str, request: Request) -> dict[str, Any]:
    """Where the job is, and at its end what came of it."""
    settle: Settle = request.app.state.settle
    try:
        seen = settle.job(job_id).look()
    except InvalidJob as error:
        raise HTTPException(404, "there is no such job") from error
    return _shown(seen) if seen else {"job": job_id, "state": "pending"}


@app.get("/certificates/{job_id}/events")
def follow(job_id: str, request: Request) -> StreamingResponse:
    """Each change of the job as a server-sent event, until its end."""
    settle: Settle = request.app.state.settle

    def events() -> Iterator[str]:
        try:
            for seen in settle.job(job_id).follow(timeout=600):
                yield f"event: {seen.state}\ndata: {json.dumps(_shown(seen))}\n\n"
        except StillRunning:
            yield "event: later\ndata: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def _shown(seen: Outcome) -> dict[str, Any]:
    files = [{"name": file.name, "sha256": file.sha256} for file in seen.artifacts]
    error = seen.error.message if seen.error else None
    return {"job": seen.job_id, "state": seen.state, "progress": seen.progress, "files": files, "error": error}
