"""Taking a job back at the provider, where that has a way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import simulator
from jobs.record import Job
from jobs.states import JobState
from providers import discover
from simulator import samples
from tests.ledgers import fresh_ledger


def _cancel(sim: simulator.Running, provider: str, operation: str, body: dict[str, Any]) -> bool:
    """Submit a job, and take it back."""

    async def work() -> bool:
        kind = discover()[provider]
        own = kind.settings_type.model_validate({"base_url": sim.base_urls[provider], "api_key": sim.keys[provider]})  # type: ignore[index]
        made = kind(own, fresh_ledger())
        try:
            chosen = made.operation(operation)
            request = chosen.request.model_validate(body)
            intent = chosen.intent(request, "j-1")
            job = Job("j-1", provider, f"{provider}.{operation}", JobState.POLLING, 0.0, 1e10, intent=intent)
            job = replace(job, receipt=await chosen.submit(request, intent))
            return bool(await chosen.cancel(job))
        finally:
            await made.http.close()

    return asyncio.run(work())


def test_a_line_is_dismantled(sim: simulator.Running) -> None:
    """Unique Tokens: DELETE of the line, by the simulator's own books."""
    paid = samples.payment("cancelled")
    body = {"alphabet": "UPPER_HEX", "digits": 12, "size": 1000, "payment": {"id": paid["id"], "ident": paid["ident"]}}
    assert _cancel(sim, "unique_tokens", "produce", body) is True
    assert sim.account()["unique_tokens"].jobs[paid["ident"]].outcome == "deleted"


def test_an_upload_is_deleted(sim: simulator.Running) -> None:
    """LettrLabs: DELETE of the upload."""
    assert _cancel(sim, "lettrlabs", "convert", {"conversions": [samples.conversion("SO-1")]}) is True
    assert sum(sim.account()["lettrlabs"].requests["delete_conversion"].values()) == 1


@pytest.mark.parametrize(("provider", "operation"), [("myipr", "certify"), ("commonsdb", "declare")])
def test_a_public_record_cannot_be_taken_back(
    sim: simulator.Running, clock: simulator.ManualClock, provider: str, operation: str
) -> None:
    """Neither a certificate nor a declaration can be deleted: the answer says that there is no way."""
    if provider == "myipr":
        request = samples.certificate_request("cancelled")
        body = {name: request[name] for name in ("name", "category_id", "hash", "size")}
    else:
        body = {"declaration": samples.declaration(name="cancelled", now_ms=round(clock() * 1000))}
    assert _cancel(sim, provider, operation, body) is False
