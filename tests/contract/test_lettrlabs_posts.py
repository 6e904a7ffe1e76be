"""LettrLabs: no job takes another's upload from the list, and no lost POST is forgotten."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from providers.base import Provider, Verdict
from providers.errors import BadAnswer, LostAnswer, NotSent, Refused, Unauthorized
from providers.lettrlabs.posts import Posts
from simulator import samples

from .bench import CONVERT, Bench, Trip, finished, go, job_of

PLACEMENTS = ["payload", "metadata", "list"]


def body(order: str, *, known: bool = True) -> dict[str, Any]:
    """A request of one record."""
    return {"conversions": [samples.conversion(order, **({} if known else {"orderId": None}))]}


async def lost(bench: Bench, trip: Trip, *, arrived: bool) -> None:
    """Submit, and lose the answer."""
    bench.sim.fault("lettrlabs", "reset_after" if arrived else "reset", operation=CONVERT.submit, times=1)
    with pytest.raises(LostAnswer):
        await trip.submit()


async def quick(stack: AsyncExitStack, bench: Bench, job_id: str, request: dict[str, Any], **settings: Any) -> Trip:
    """A trip whose timeouts are short, so that a lost POST is soon known to be lost."""
    given = {"connect_timeout": 0.2, "read_timeout": 0.3, **settings}
    return await stack.enter_async_context(bench.trip(CONVERT, request, job_id=job_id, **given))


@pytest.mark.parametrize("protected", [True, False])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("first", ["arrived", "vanished"])
def test_of_two_lost_posts_neither_takes_the_upload(bench: Bench, known: bool, protected: bool, first: str) -> None:
    """One upload, two POSTs that it may be of: only orderIds that protect allow a repeat, else a person decides."""

    async def check() -> None:
        async with AsyncExitStack() as stack:
            trips = {}
            for name in ("arrived", "vanished"):
                settings = {"order_id_protects": protected}
                trips[name] = await quick(stack, bench, name, body(name, known=known), **settings)
            for name in sorted(trips, reverse=first == "vanished"):
                await lost(bench, trips[name], arrived=name == "arrived")
            for _ in range(2):
                for trip in trips.values():
                    located = await trip.locate()
                    assert (located.receipt, located.absent) == (None, known and protected)

    go(check())
    assert len(bench.uploads()) == 1


@pytest.mark.parametrize("first", ["arrived", "vanished"])
@pytest.mark.parametrize("repeated", ["dropped", "warned", "rejected"])
def test_sent_again_each_finds_its_own(bench: Bench, first: str, repeated: str) -> None:
    """The one that had vanished is told its id; then the list leaves no doubt about the other."""
    bench.sim.set_switches("lettrlabs", repeated_order_id=repeated)
    bench.sim.plan("lettrlabs", "arrived", outcome="success", duration=1)
    bench.sim.plan("lettrlabs", "vanished", outcome="failed", duration=1)
    names = ["arrived", "vanished"] if first == "arrived" else ["vanished", "arrived"]

    async def check() -> None:
        async with AsyncExitStack() as stack:
            trips = {name: await quick(stack, bench, name, body(name)) for name in names}
            for name in names:
                await lost(bench, trips[name], arrived=name == "arrived")
            for name in names:
                assert (await trips[name].locate()).absent
            doubtful = []
            for name in names:
                try:
                    await trips[name].submit()
                except BadAnswer:
                    doubtful.append(name)
            # Whoever was told "known already" while the other was still in doubt asks again, and is never sent again.
            assert doubtful == (["arrived"] if first == "arrived" else [])
            for name in doubtful:
                assert (await trips[name].locate()).receipt is not None
            bench.clock.advance(5)
            finished(CONVERT, [await trips["arrived"].observe()])
            assert (await trips["vanished"].observe()).verdict is Verdict.FAILED

    go(check())
    books = bench.sim.account()["lettrlabs"].jobs
    assert {name: books[name].accepted for name in names} == {"arrived": 1, "vanished": 1}


@pytest.mark.parametrize("repeated", ["dropped", "rejected"])
def test_a_repeat_that_cannot_be_told_waits_for_a_person(bench: Bench, repeated: str) -> None:
    """It arrived, so it is neither refused nor sent again; its upload is one of two."""
    bench.sim.set_switches("lettrlabs", repeated_order_id=repeated)

    async def check() -> None:
        async with AsyncExitStack() as stack:
            trip = await quick(stack, bench, "one", body("SO-1"))
            other = await quick(stack, bench, "two", body("SO-9", known=False))
            await lost(bench, trip, arrived=True)
            await lost(bench, other, arrived=True)
            assert (await trip.locate()).absent
            with pytest.raises(BadAnswer) as caught:
                await trip.submit()
            assert caught.value.may_have_arrived
            for _ in range(2):
                located = await trip.locate()
                assert (located.receipt, located.absent) == (None, False)
            # A person tells the other's upload. With its first look the other is out of the way.
            older, newer = sorted(bench.uploads())
            await other.operation.observe(job_of(CONVERT, other.intent, {"remote_id": str(newer)}, job_id="two"))
            assert (await trip.locate()).receipt == {"remote_id": str(older), "sent": 1}

    go(check())
    assert bench.sim.account()["lettrlabs"].jobs["SO-1"].accepted == 1


def test_a_list_that_cannot_be_read_makes_no_refusal_of_a_repeat(bench: Bench) -> None:
    """Nor "come back later": the job stays in doubt."""
    bench.sim.set_switches("lettrlabs", repeated_order_id="rejected")

    async def check() -> None:
        async with AsyncExitStack() as stack:
            trip = await quick(stack, bench, "one", body("SO-1"))
            await lost(bench, trip, arrived=True)
            bench.sim.fault("lettrlabs", "429", operation="list_conversions")
            with pytest.raises(BadAnswer):
                await trip.submit()
            bench.sim.clear_faults()
            assert (await trip.locate()).receipt is not None

    go(check())


@pytest.mark.parametrize(("apart", "blocked"), [(0.0, True), (200.0, True), (500.0, False)])
@pytest.mark.parametrize("earlier", [True, False])
def test_a_forgotten_post_counts_as_long_as_it_fits(bench: Bench, apart: float, blocked: bool, earlier: bool) -> None:
    """Whatever became of its job: failed, expired, given up."""

    async def check() -> None:
        async with AsyncExitStack() as stack:
            trip = await quick(stack, bench, "one", body("SO-1", known=False))
            await lost(bench, trip, arrived=True)
            at = bench.clock() + (-apart if earlier else apart)
            bench.notes.enter("lettrlabs", "posts", "another 0123456789ab", at, 1e6)
            assert ((await trip.locate()).receipt is None) is blocked

    go(check())


def test_a_post_under_way_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be answered any moment; then its upload is adopted, and the other one is ours."""
    looks: list[object] = []
    original = Posts.others

    def others(self: Posts, *args: Any) -> dict[str, float]:
        looks.append(args)
        return original(self, *args)

    monkeypatch.setattr(Posts, "others", others)

    async def check() -> None:
        async with bench.trip(CONVERT, body("SO-1"), job_id="one") as trip, bench.provider("lettrlabs") as provider:
            await lost(bench, trip, arrived=True)
            mine = bench.uploads()[0]
            theirs = bench.upload("SO-2")
            notes = bench.notes
            notes.enter("lettrlabs", "posts", "two 0123456789ab", notes.now(), 1e6)
            asking = asyncio.create_task(trip.locate())
            async with asyncio.timeout(10):
                while len(looks) < 3:  # noqa: ASYNC110  # the list was read, and the book looked at again
                    await asyncio.sleep(0.01)
            assert not asking.done()
            notes.enter("lettrlabs", "posts", "late 0123456789ab", notes.now(), 1e6)  # left after the list was read
            provider.uploads.adopt(theirs, "two")
            provider.posts.found("two", {})
            assert (await asyncio.wait_for(asking, 2)).receipt == {"remote_id": str(mine), "sent": 1}

    go(check())


def test_without_the_list_nothing_is_taken_from_it(bench: Bench) -> None:
    """Others upload to this account, too: `id_from` says so."""

    async def check() -> None:
        async with AsyncExitStack() as stack:
            trip = await quick(stack, bench, "one", body("SO-1", known=False), id_from=["payload", "metadata"])
            await lost(bench, trip, arrived=True)
            located = await trip.locate()
            assert (located.receipt, located.absent) == (None, False)

    go(check())
    assert bench.count(CONVERT, "list_conversions") == {}


def test_what_never_left_takes_nothing(bench: Bench) -> None:
    """A worker that died before the POST: the upload of somebody else is not its own."""

    async def check() -> None:
        async with bench.trip(CONVERT, body("SO-1", known=False)) as trip:
            bench.upload("SO-2")
            located = await trip.locate()
            assert (located.receipt, located.absent) == (None, False)

    go(check())


def test_a_receipt_that_did_not_reach_the_ledger_is_kept(bench: Bench) -> None:
    """The worker died with the answer in its hand: nobody needs to be asked, and nothing is lost of it."""

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            receipt = await trip.submit()
            bench.sim.fault("lettrlabs", "500")
            assert (await trip.locate()).receipt == receipt
            assert receipt["accepted"] == 2

    go(check())


@pytest.mark.parametrize("kind", ["401", "400"])
def test_a_post_that_was_not_carried_out_is_struck_out_alone(bench: Bench, kind: str) -> None:
    """Not so the earlier one of the same job, whose answer was lost."""

    async def check() -> None:
        async with AsyncExitStack() as stack:
            trip = await quick(stack, bench, "one", body("SO-1"))
            await lost(bench, trip, arrived=False)
            before = bench.notes.entered("lettrlabs", "posts", 0, 1e12)
            if kind == "400":
                trip.request.conversions[0].__dict__["revenue"] = -1.0
                with pytest.raises(BadAnswer):  # it may be a repeat that was refused
                    await trip.submit()
                before = {"one repeat": 0.0, **before}
            else:
                bench.sim.fault("lettrlabs", kind, operation=CONVERT.submit, times=1)  # type: ignore[arg-type]
                with pytest.raises(Exception, match=kind):
                    await trip.submit()
            assert set(bench.notes.entered("lettrlabs", "posts", 0, 1e12)) == set(before)

    go(check())


def test_a_refused_post_leaves_nothing_behind(bench: Bench) -> None:
    """Nor does one that is through."""

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            bench.sim.fault("lettrlabs", "401", operation=CONVERT.submit, times=1)
            with pytest.raises(Unauthorized):
                await trip.submit()
            assert bench.notes.entered("lettrlabs", "posts", 0, 1e12) == {}
            await trip.submit()
            assert bench.notes.entered("lettrlabs", "posts", 0, 1e12) == {}
            trip.request.conversions[0].__dict__["revenue"] = -1.0
            trip.request.conversions[1].__dict__["revenue"] = -1.0
            with pytest.raises(Refused):
                await trip.submit()
            assert bench.notes.entered("lettrlabs", "posts", 0, 1e12) == {}

    go(check())


# --- only the list tells the ids -----------------------------------------------------------------------------------


@pytest.mark.parametrize("id_from", [["list"], ["payload", "metadata", "list"]], ids=["list", "all"])
@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("per", ["post", "record"])
def test_posts_at_the_same_time_do_not_swap_their_uploads(
    bench: Bench, id_from: list[str], order: str, per: str
) -> None:
    """Two workers, eight jobs at once, every other one fails: each job ends as its own upload does."""
    bench.sim.set_switches("lettrlabs", id_placement="list", list_order=order, one_upload_per=per)
    number, settings = 8, {"id_from": id_from, "uploads_per": per, "connect_timeout": 20.0}
    for job in range(number):
        for record in range(2):
            outcome = "failed" if job % 2 else "success"
            bench.sim.plan("lettrlabs", f"SO-{job}-{record}", outcome=outcome, duration=1)  # type: ignore[arg-type]

    async def one(provider: Provider, job: int) -> Verdict:
        records = [samples.conversion(f"SO-{job}-{record}") for record in range(2)]
        operation = provider.operation("convert")
        request = operation.request.model_validate({"conversions": records})
        intent = operation.intent(request, f"job-{job}")
        receipt = await operation.submit(request, intent)
        bench.clock.advance(2)
        return (await operation.observe(job_of(CONVERT, intent, receipt, job_id=f"job-{job}"))).verdict

    async def check() -> list[Verdict]:
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(bench.provider("lettrlabs", **settings)) for _ in range(2)]
            return await asyncio.gather(*(one(workers[job % 2], job) for job in range(number)))

    assert go(check()) == [Verdict.SUCCEEDED, Verdict.FAILED] * (number // 2)


def test_where_the_answer_tells_the_id_nobody_waits(bench: Bench) -> None:
    """The first POST shows it; after that the list is not read, and nobody takes a turn."""

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            await trip.submit()
        bench.notes.remember("lettrlabs", "turn", f"somebody {bench.clock() + 60}")
        async with bench.trip(CONVERT, body("SO-9"), job_id="two") as trip:
            await trip.submit()

    go(check())
    assert bench.count(CONVERT, "list_conversions") == {}


def test_a_provider_that_changes_its_habit_is_followed(bench: Bench) -> None:
    """One POST is in doubt, and found in the list; the next ones go one at a time."""

    async def check() -> None:
        for number, placement in enumerate(["payload", "list", "list", "metadata", "metadata"]):
            bench.sim.set_switches("lettrlabs", id_placement=placement, metadata_key="id")
            async with bench.trip(CONVERT, body(f"SO-{number}"), job_id=f"job-{number}") as trip:
                if number == 1:
                    with pytest.raises(BadAnswer):
                        await trip.submit()
                    async with bench.trip(CONVERT, body("SO-7"), job_id="job-7") as next_one:
                        with pytest.raises(NotSent):  # its upload could be taken for the one in doubt
                            await next_one.submit()
                    assert (await trip.locate()).receipt is not None
                    continue
                assert (await trip.submit())["remote_id"] == str(bench.uploads()[0])
        assert bench.notes.recall("lettrlabs", "ids") == "told"

    go(check())


def test_the_turn_of_a_dead_worker_ends_by_itself(bench: Bench) -> None:
    """Until then others do not send, and say so."""
    bench.sim.set_switches("lettrlabs", id_placement="list")

    async def check() -> None:
        async with AsyncExitStack() as stack:
            trip = await quick(stack, bench, "one", body("SO-1"))
            bench.notes.remember("lettrlabs", "turn", f"dead {bench.clock() + 60}")
            with pytest.raises(NotSent):
                await trip.submit()
            assert bench.count(CONVERT) == {}
            bench.clock.advance(60)
            await trip.submit()
            assert bench.notes.recall("lettrlabs", "turn") is None

    go(check())
    assert bench.count(CONVERT) == {"200": 1}


@pytest.mark.parametrize("kind", ["500", "reset", "rubbish"])
def test_nothing_is_sent_while_the_list_cannot_be_read(bench: Bench, kind: Any) -> None:
    """Its upload could not be told from others. The job waits; it is not in doubt."""
    bench.sim.set_switches("lettrlabs", id_placement="list")
    bench.sim.fault("lettrlabs", kind, operation="list_conversions")

    async def check() -> None:
        async with bench.trip(CONVERT, id_from=["list"]) as trip:
            with pytest.raises(NotSent):
                await trip.submit()
            bench.sim.clear_faults()
            await trip.submit()

    go(check())
    assert bench.count(CONVERT) == {"200": 1}


def test_the_first_post_takes_nothing_while_another_is_lost(bench: Bench) -> None:
    """Nobody knew yet that only the list tells the ids, so it was sent; the list may show the other's upload first."""
    bench.sim.set_switches("lettrlabs", id_placement="list")
    bench.notes.enter("lettrlabs", "posts", "another 0123456789ab", bench.clock() - 60, 1e6)

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            with pytest.raises(BadAnswer):
                await trip.submit()

    go(check())


@pytest.mark.parametrize("id_from", [["list"], ["payload", "metadata", "list"]], ids=["list", "all"])
def test_a_list_that_lags_behind_does_not_mix_up_uploads(bench: Bench, id_from: list[str]) -> None:
    """Ours is not there yet: in doubt. Until it is found the next POST is not sent, or it could take it."""
    bench.sim.set_switches("lettrlabs", id_placement="list", list_lag=5)

    async def check() -> None:
        async with AsyncExitStack() as stack:
            one = await quick(stack, bench, "one", body("SO-1"), id_from=id_from)
            two = await quick(stack, bench, "two", body("SO-2"), id_from=id_from)
            with pytest.raises(BadAnswer):
                await one.submit()
            bench.clock.advance(6)
            with pytest.raises(NotSent):
                await two.submit()
            receipt = (await one.locate()).receipt or {}
            bench.sim.set_switches("lettrlabs", list_lag=0)
            assert receipt["remote_id"] != (await two.submit())["remote_id"]

    go(check())
    assert bench.count(CONVERT) == {"200": 2}


def test_another_upload_that_appears_meanwhile_leaves_a_doubt(bench: Bench) -> None:
    """Made outside Settle while our POST was under way: which one is ours cannot be told."""
    bench.sim.set_switches("lettrlabs", id_placement="list")

    async def check() -> None:
        async with bench.trip(CONVERT, id_from=["list"]) as trip:
            between = trip.operation.provider.uploads.between

            async def meddle(*arguments: Any) -> Any:
                before = await between(*arguments)
                await asyncio.to_thread(bench.upload, f"SO-{time.monotonic_ns()}")
                return before

            trip.operation.provider.uploads.between = meddle
            with pytest.raises(BadAnswer):
                await trip.submit()

    go(check())
