"""A whole run of Settle with everything in it that must not be seen, and all that could show it.

Workers, Flower and the simulator; jobs of all four providers that succeed, are refused, fail, lose an answer, meet a
refused key, follow one another and belong to a group. Redis allows no more than `settle acl` says.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
from celery import Celery

import simulator
from config import acl
from config.embedded import free_port
from jobs.ledger import Ledger
from jobs.states import TERMINAL
from providers import discover
from tests.emission.receiver import listening
from tests.waiting import until
from workflows.command.stack import WORKERS, Process, celery, pointed_at, running, signing

from .places import Flower, Seen, commands, dump, inspected, listen, processes
from .scenes import (
    CALLER_PASSWORD,
    FIRST,
    FLOWER_PASSWORD,
    GROUP_KEY,
    KEYS,
    PERSONAL,
    REDIS_PASSWORD,
    SECOND,
    SENTINEL_PASSWORD,
    WEBHOOK_SECRET,
    payment,
)
from .wire import Wire, tapped


@dataclass
class Run:
    """What is left of the run."""

    seen: Seen
    wire: Wire
    secrets: dict[str, str]
    admin: redis.Redis
    states: dict[str, str]
    account: simulator.Account
    refused: list[dict[str, Any]]  #: Redis' own list of what the rules did not allow
    url: str
    caller_url: str
    environment: dict[str, str]


def with_user(url: str, name: str, password: str) -> str:
    """The address with another user."""
    return f"{url.split('//')[0]}//{name}:{password}@{url.rpartition('@')[2]}"


def _users(admin: redis.Redis, version: float) -> None:
    for name, password in (("settle", REDIS_PASSWORD), ("caller", CALLER_PASSWORD)):
        admin.execute_command(
            "ACL", "SETUSER", name, "reset", "on", f">{password}", *acl.rules(name, redis=version, queues=["billing"])
        )
    admin.acl_log_reset()


def made_of_tls(url: str, tls: Mapping[str, str]) -> str:
    """The address as another application would write it."""
    names = {"CA_FILE": "ssl_ca_certs", "CERT_FILE": "ssl_certfile", "KEY_FILE": "ssl_keyfile"}
    query = [f"{names[name.rpartition('__')[2]]}={quote(value)}" for name, value in tls.items()]
    return f"{url}?{'&'.join(['ssl_cert_reqs=required', *query])}" if tls else url


@contextmanager
def _app(url: str) -> Iterator[Celery]:
    """Another application, which knows nothing but an address."""
    app = Celery(broker=url, backend=url, set_as_current=False)
    try:
        yield app
    finally:
        app.backend.result_consumer.stop()
        app.backend.client.close()
        app.close()
        gc.collect()  # kombu leaves a connection in a cycle


@contextmanager
def whole_run(
    tmp: Path,
    admin_url: str,
    *,
    address: str | None = None,
    tls: Mapping[str, str] | None = None,
    redis_version: float = 8.0,
) -> Iterator[Run]:
    """Run it all.

    Args:
        tmp: a folder of its own.
        admin_url: of a Redis of its own, with a user who may do everything.
        address: of the same for everybody else, if that is another.
        tls: the settings that go with it.
        redis_version: what its rules are made for.
    """
    tls = tls or {}
    seen = Seen()
    with ExitStack() as exits:
        admin = exits.enter_context(redis.Redis.from_url(admin_url))
        _users(admin, redis_version)
        url, caller_url = (
            with_user(address or admin_url, name, password)
            for name, password in (("settle", REDIS_PASSWORD), ("caller", CALLER_PASSWORD))
        )
        sim = exits.enter_context(simulator.running(speed=60, seed=5, keys=KEYS))
        signed = signing(sim.url, tmp)
        port = free_port()
        shop = exits.enter_context(listening())
        shop.answer = lambda got: (500 if "bad-mail" in got.id else 200, {}, 0.0)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SETTLE_")},
            **pointed_at(sim.url),
            **{f"SETTLE_{name.upper()}__API_KEY": key for name, key in KEYS.items()},
            "SETTLE_GROUP__API_KEY": GROUP_KEY,
            **signed,
            "SETTLE_COMMONSDB__CONFIRM_WITHIN": "5",
            **tls,
            "SETTLE_REDIS_URL": url.replace(f":{REDIS_PASSWORD}@", "@"),
            "SETTLE_REDIS_PASSWORD": REDIS_PASSWORD,
            "SETTLE_SENTINEL__PASSWORD": SENTINEL_PASSWORD,
            "SETTLE_BROKER_URL": url,
            "SETTLE_STATE_DIR": str(tmp / "state"),
            "SETTLE_FLOWER__PASSWORD": FLOWER_PASSWORD,
            "SETTLE_FLOWER__PORT": str(port),
            "SETTLE_LOG_LEVEL": "DEBUG",
            "SETTLE_WEBHOOKS__SHOP__URL": shop.url,
            "SETTLE_WEBHOOKS__SHOP__SECRETS": f"whsec_{WEBHOOK_SECRET}",
            "SETTLE_WEBHOOKS__SHOP__ALLOW_HTTP": "true",
            "SETTLE_WEBHOOKS__SHOP__ALLOW_PRIVATE": "true",
            "SETTLE_WEBHOOKS__SHOP__RETRY_FOR": "0",
            "SETTLE_DOWNSTREAM__BILLING__TASK": "billing.ended",
            "SETTLE_DOWNSTREAM__BILLING__QUEUE": "billing",
            "PYTHONUNBUFFERED": "1",
        }
        secrets = {
            "SETTLE_REDIS_URL": REDIS_PASSWORD,
            "SETTLE_REDIS_PASSWORD": REDIS_PASSWORD,
            "SETTLE_SENTINEL__PASSWORD": SENTINEL_PASSWORD,
            "SETTLE_BROKER_URL": REDIS_PASSWORD,
            "SETTLE_FLOWER__PASSWORD": FLOWER_PASSWORD,
            "SETTLE_GROUP__API_KEY": GROUP_KEY,
            "SETTLE_WEBHOOKS__SECRETS": WEBHOOK_SECRET,
            "address of the webhook": "of-the-address",
            "SETTLE_COMMONSDB__SIGNING_KEY": json.loads(signed["SETTLE_COMMONSDB__SIGNING_KEY"])["d"],
            **{f"SETTLE_{name.upper()}__API_KEY": key for name, key in KEYS.items()},
        }
        wire = exits.enter_context(tapped(admin_url))

        def start(name: str, command: list[str], ready: str) -> int:
            process = Process(name, command, environment, lambda place, line: seen.add(f"log of {place}", line))
            exits.enter_context(running(process))
            process.wait_for(ready, 60)
            return process.process.pid

        pids = [
            start(name, celery("worker", "-n", f"{name}@%h", *arguments), " ready.")
            for name, arguments in WORKERS.items()
        ]
        pids.append(start("flower", [sys.executable, "-m", "workflows.command", "flower"], "Visit me at"))
        pids.append(start("webhooks", [sys.executable, "-m", "workflows.command", "webhooks", "run"], "delivering to"))
        client, within = (exits.enter_context(_app(made_of_tls(each, tls))) for each in (caller_url, url))
        flower = exits.enter_context(Flower(port))
        stop = threading.Event()
        listener = threading.Thread(target=listen, args=(within, seen, stop), daemon=True)
        listener.start()
        exits.callback(listener.join, 10)
        exits.callback(stop.set)

        ledger = Ledger(exits.enter_context(redis.Redis.from_url(admin_url, decode_responses=True)))

        def jobs() -> dict[str, str]:
            return {job.id: job.state.value for name in discover() for job in ledger.jobs(name, None, 500)}

        def send(wave: Mapping[str, tuple[str, dict[str, Any], str]]) -> list[Any]:
            return [
                client.send_task(f"settle.{workflow}", kwargs=kwargs, task_id=job_id)
                for job_id, (workflow, kwargs, _) in wave.items()
            ]

        def over(ids: list[str]) -> bool:
            now = jobs()
            unfinished = {job_id for job_id, state in now.items() if state not in TERMINAL}
            return set(ids) <= set(now) and not unfinished

        def delivered() -> int:
            return int(admin.hget("settle:{to:shop}:state", "delivered") or 0)

        def finished(*ids: str) -> None:
            try:
                until(lambda: over(list(ids)), "all jobs over", 60)
            except AssertionError as error:
                denied = {f"{entry['username']}: {entry['object']}" for entry in map(dict, admin.acl_log())}
                raise AssertionError(f"{error}: {jobs()}; Redis refused {denied or 'nothing'}") from None

        for name, reference, outcome in (
            ("myipr", "Harbour at dusk", "success"), ("myipr", "Mill in winter", "failed"),
            ("myipr", "Lamp at noon", "success"), ("myipr", "Quiet water", "success"),
            ("lettrlabs", "SO-1", "success"), ("lettrlabs", "SO-2", "success"), ("lettrlabs", "SO-4", "success"),
            ("lettrlabs", "SO-5", "failed"), ("lettrlabs", "SO-6", "success"), ("commonsdb", "Open field", "success"),
        ):  # fmt: skip
            sim.plan(name, reference, outcome=outcome, duration=60)  # type: ignore[arg-type]
        for name in ("produced", "lost-tokens", "wrong-digest"):
            wrong = name == "wrong-digest"
            sim.plan("unique_tokens", payment(name)["ident"], outcome="success", duration=60, wrong_digest=wrong)
        # Refused keys, twice each: while nothing was sent yet.
        for name in ("myipr", "lettrlabs", "commonsdb"):
            sim.fault(name, "401", times=2)
        results = send(FIRST)
        admin.lpush("celery", json.dumps({"body": PERSONAL["rubbish"], "headers": {}, "properties": {}}))
        seen.add("client states", *[f"{result.state} {result.info}" for result in results])
        seen.places.setdefault("flower early", []).extend(text for _, text in flower.pages())
        seen.add("inspect early", *[text for _, text in inspected(within)])
        finished(*FIRST)
        sim.fault("lettrlabs", "reset_after", operation="create_conversions", reference="SO-6", times=1)
        sim.fault("myipr", "reset_after", operation="create", reference="Quiet water", times=1)
        sim.fault("unique_tokens", "reset_after", operation="post_tokens", times=1)
        results += send(SECOND)
        finished(*FIRST, *SECOND)

        until(lambda: delivered() >= len(jobs()) - 1, "all but one to be told")
        seen.add("webhooks", *[text for each in shop.got for text in (each.body, *each.headers.values())])
        session = admin.hget("settle:{unique_tokens}:notes", "session") or b""
        for result in results:
            seen.add("client results", repr(result.info), repr(result.result), str(result.traceback))
        for place, page in flower.pages():
            seen.add(place, page)
        for place, text in inspected(within):
            seen.add(place, text)
        for place, text in commands(environment, ["bad-mail", "upload-failed", "produced"]):
            seen.add(place, text)
        for place, raw in processes(pids):
            seen.add(place, raw)
        for place, raw in dump(admin):
            seen.add(f"redis {place}", raw)
        secrets["session key"] = session.decode()
        refused = [dict(entry) for entry in admin.acl_log()]
        run = Run(seen, wire, secrets, admin, jobs(), sim.account(), refused, url, caller_url, environment)
        yield run
