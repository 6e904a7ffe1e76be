"""The simulated CommonsDB API (contract commonsdb)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from simulator.declare import Context, RefusedError, check
from simulator.exchange import Exchange, Names, Reply, Route, Service, json_reply, text_reply
from simulator.identifiers import cid_v1
from simulator.plans import Job, Outcome
from simulator.world import World

_CODE = re.compile(r"[A-Z0-9]{55}")
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(slots=True, kw_only=True)
class Declaration(Job):
    """One accepted declaration."""

    identifier: str
    body: dict[str, Any]
    ray_id: str
    world: World

    @property
    def public(self) -> dict[str, Any]:
        """The declared `publicMetadata`."""
        public: dict[str, Any] = self.body["declarationMetadata"]["publicMetadata"]
        return public

    def state(self, now: float) -> tuple[str, str, float]:
        """Give status word, message and time of the last change (real epoch seconds)."""
        switches, fate, real = self.world.switches.commonsdb, self.fate, self.world.clock.real
        if not fate.over(now):
            stale = switches.stale_after_seconds
            if stale is not None and now >= fate.accepted_at + real(stale):
                return "failed", "timed out while pending", fate.accepted_at + real(stale)
            return switches.foreign_word or "pending", "", fate.accepted_at
        if fate.failed:
            turn = switches.failed_then_success_seconds
            if turn is None or now < fate.ends_at + real(turn):
                return "failed", fate.message or switches.failure_message, fate.ends_at
            return "success", "Declaration processed successfully", fate.ends_at + real(turn)
        return "success", "Declaration processed successfully", fate.ends_at

    def outcome(self, now: float) -> Outcome:
        """Tell how the declaration stands at `now`."""
        word = self.state(now)[0]
        return {"success": "succeeded", "failed": "failed"}.get(word, "running")  # type: ignore[return-value]


class CommonsDB(Service):
    """Declare, status, metadata and search."""

    name = "commonsdb"
    prefix = "/commonsdb"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.clear()

    def clear(self) -> None:
        """Forget all declarations."""
        self._by_id: dict[str, Declaration] = {}
        self._by_iscc: dict[str, list[Declaration]] = {}
        self._successors: dict[str, list[Declaration]] = {}

    def routes(self) -> list[Route]:
        """Give the operations of contract commonsdb, section 1, that the portal documents."""
        return [
            Route("POST", "/v1/declare", "declare", self._declare, names=self._names),
            Route("GET", "/v1/status/{identifier}", "status", self._status, job=self._find, poll=True),
            Route("GET", "/v1/metadata/{identifier}", "metadata", self._metadata, job=self._find),
            Route("GET", "/v1/metadata-pub/{identifier}", "metadata_pub", self._metadata_pub, job=self._find),
            Route("GET", "/v1/search/{code}", "search", self._search),
        ]

    def error(self, status: int, message: str, exchange: Exchange) -> Reply:
        """Answer like the gateway: problem details, or the plain text of the function behind (401)."""
        if status == 401 and self.world.switches.commonsdb.auth_error_shape == "text":
            return text_reply(401, "Unauthorized")
        if status == 429 or status >= 500:
            shape = self.world.switches.commonsdb.outage_shape
            if shape != "problem":
                return text_reply(status, message) if shape == "text" else Reply(status, b"", None)
        return json_reply(status, _problem(status, message, exchange), "application/problem+json")

    def _refused(self, exchange: Exchange) -> Reply | None:
        header = exchange.request.headers.get("Authorization", "")
        if header == f"Bearer {self.world.keys['commonsdb']}":
            return None
        missing = not header.startswith("Bearer ")
        code = 401 if missing else self.world.switches.commonsdb.declarer_missing_code
        return self.error(code, "Unauthorized" if code == 401 else "Forbidden", exchange)

    def _names(self, exchange: Exchange) -> Names:
        try:
            public = exchange.json()["declarationMetadata"]["publicMetadata"]
            names = tuple(value for value in (public.get("iscc"), public.get("name")) if isinstance(value, str))
            return Names((cid_v1(public),), names)
        except (ValueError, TypeError, KeyError, AttributeError):
            return Names()

    def _find(self, exchange: Exchange) -> Job | None:
        return self._by_id.get(exchange.path("identifier"))

    def _declare(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        try:
            body = exchange.json()
        except ValueError:
            return self._text(text_reply(400, "Invalid request body"), exchange)
        switches, now = self.world.switches.commonsdb, exchange.now

        def supersedes_error(old: str, declarer: str, own: str) -> dict[str, Any] | None:
            return self._supersedes_error(old, declarer, own, now)

        context = Context(round(now * 1000), self.world.did, switches, supersedes_error)
        try:
            identifier = check(body, context)
        except RefusedError as refusal:
            return self._text(refusal.reply, exchange)
        exchange.accepted = frozenset({identifier})
        public = body["declarationMetadata"]["publicMetadata"]
        record = self._by_id.get(identifier)
        if record is None or switches.repeat_resets:
            record = self._open(identifier, body, now)
        shown = identifier
        if exchange.published_wrong:
            shown = identifier[:-1] + ("a" if identifier[-1] != "a" else "b")
            self._by_id[shown] = record
        delayed = ", tracking may be delayed" if switches.tracking_delayed else ""
        return self._json(
            switches.declare_code,
            {
                "rayId": record.ray_id,
                "message": f"accepted and pending{delayed}",
                "env": switches.env,
                "iscc": public["iscc"],
                "cidV1": shown,
                "version": switches.version,
            },
        )

    def _open(self, identifier: str, body: dict[str, Any], now: float) -> Declaration:
        public = body["declarationMetadata"]["publicMetadata"]
        plans, aliases = self.world.plans, (public["iscc"], public["name"])
        # The identifier depends on the moment, so the name seeds the generator: else no run could be repeated.
        rng = plans.rng("commonsdb", public["name"])
        fate = plans.draw("commonsdb", (identifier, *aliases), rng, now)
        ray_id = "".join(rng.choices(_BASE36, k=8))
        record = Declaration(
            (identifier,),
            aliases,
            fate,
            rng,
            identifier=identifier,
            body=body,
            ray_id=ray_id,
            world=self.world,
        )
        self._by_id[identifier] = record
        self._by_iscc.setdefault(public["iscc"], []).append(record)
        if public.get("supersedes"):
            self._successors.setdefault(public["supersedes"], []).append(record)
        self.world.books.open("commonsdb", record)
        return record

    def _supersedes_error(self, old: str, declarer: str, own: str, now: float) -> dict[str, Any] | None:
        record = self._by_id.get(old)
        # "Exists" means already processed (contract commonsdb 2.6).
        if record is None or record.outcome(now) != "succeeded":
            return {"message": f"superseded declaration not found: {old}"}
        if record.public["declarerId"] != declarer:
            return {
                "message": "superseded declaration was made by another declarer",
                "originalDeclarerId": record.public["declarerId"],
            }
        for successor in self._successors.get(old, ()):
            if successor.outcome(now) == "succeeded":
                return {"message": "already superseded", "existingSupersededBy": successor.identifier}
        return None

    def _status(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        identifier = exchange.path("identifier")
        record, switches, now = self._by_id.get(identifier), self.world.switches.commonsdb, exchange.now
        hidden = self.world.clock.real(switches.not_found_seconds)
        if record is None or now < record.fate.accepted_at + hidden:
            message = f"No declaration status found for identifier: {identifier}"
            return self._json(404, {"error": "Not found", "message": message})
        word, message, updated = record.state(now)
        answer: dict[str, Any] = {
            "identifier": identifier,
            "status": exchange.word or word,
            "message": message,
            "createdAt": round(record.fate.accepted_at * 1000),
            "updatedAt": round(updated * 1000),
            "version": switches.version,
        }
        if switches.date_times:
            answer["createdAtDateTime"] = _for_people(int(record.fate.accepted_at))
            answer["updatedAtDateTime"] = _for_people(int(updated))
        return self._json(200, answer)

    def _metadata(self, exchange: Exchange) -> Reply:
        return self._refused(exchange) or self._shown(exchange, self.world.switches.commonsdb.metadata_shape)

    def _metadata_pub(self, exchange: Exchange) -> Reply:
        return self._shown(exchange, self.world.switches.commonsdb.metadata_pub_shape)

    def _findable(self, record: Declaration, now: float) -> bool:
        word, _, updated = record.state(now)
        wait = self.world.clock.real(self.world.switches.commonsdb.findable_after_seconds)
        return word == "success" and now >= updated + wait

    def _shown(self, exchange: Exchange, shape: str) -> Reply:
        identifier = exchange.path("identifier")
        record = self._by_id.get(identifier)
        found = record is not None and self._findable(record, exchange.now)
        version = self.world.switches.commonsdb.version
        if shape == "full":
            results = [_full_result(record)] if record is not None and found else []
            frame = {"q": identifier, "invalidCount": 0, "version": version, "results": results}
            return self._json(200, frame)
        if record is None or not found:
            return self._text(text_reply(404, "Not found"), exchange)
        if shape == "public":
            reply = self._json(200, record.public)
            reply.headers["x-cid-header"] = record.identifier
            return reply
        return self._json(200, {**record.body, "metaInternal": _internal(record)})

    def _search(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        code = exchange.path("code")
        if not _CODE.fullmatch(code):
            return self._json(400, {"error": "Invalid code", "message": "code must be 55 characters"})
        iscc = f"ISCC:{code}"
        hits = [item for item in self._by_iscc.get(iscc, []) if self._findable(item, exchange.now)]
        bits = "".join(f"{max(0, _BASE32.find(letter)):05b}" for letter in code)
        results = []
        for record in hits:
            internal = {**_internal(record), "hammingDistance": 0}
            document = {"metaInternal": internal, "declarationMetadata": {"publicMetadata": record.public}}
            results.append({**_place(record), "score": 0, "docBody": document})
        version = self.world.switches.commonsdb.version
        return self._json(200, {"q": iscc, "hashBits": bits, "invalidCount": 0, "version": version, "results": results})

    def _json(self, status: int, value: Any) -> Reply:
        return json_reply(status, value, self.world.switches.commonsdb.content_type)

    def _text(self, reply: Reply, exchange: Exchange) -> Reply:
        if self.world.switches.commonsdb.text_errors_as_json and str(reply.content_type).startswith("text/"):
            return self.error(reply.status, reply.body.decode(), exchange)
        return reply


def _problem(status: int, title: str, exchange: Exchange) -> dict[str, Any]:
    """Make problem details as the gateway product does by default (contract commonsdb 6)."""
    return {
        "type": f"https://httpproblems.com/http-status/{status}",
        "title": title,
        "status": status,
        "instance": exchange.request.path,
        "trace": {
            "timestamp": datetime.fromtimestamp(exchange.now, UTC).isoformat(timespec="milliseconds"),
            "requestId": "simulated",
            "buildId": "simulated",
        },
    }


def _internal(record: Declaration) -> dict[str, Any]:
    return {
        "rayId": record.ray_id,
        "cidV1": record.identifier,
        "isccCode": record.public["iscc"],
        "declarerId": record.public["declarerId"],
    }


def _place(record: Declaration) -> dict[str, str]:
    code = record.public["iscc"].removeprefix("ISCC:")
    return {"s3MapItemId": record.ray_id, "s3Path": f"s3://simulated/{code}/{record.identifier}.json"}


def _full_result(record: Declaration) -> dict[str, Any]:
    metadata = record.body["declarationMetadata"]
    document = {
        "signature": record.body["signature"],
        "tsaSignature": record.body["tsaSignature"],
        "metaInternal": _internal(record),
        **metadata,
    }
    return {**_place(record), "keyId": record.ray_id, "score": 0, "status": "success", "docBody": document}


@lru_cache(maxsize=4096)
def _for_people(second: int) -> str:
    """Write a moment in English, like `January 3, 2026 at 2:25:30 PM UTC` (contract commonsdb 3.2)."""
    moment = datetime.fromtimestamp(second, UTC)
    return f"{moment:%B} {moment.day}, {moment.year} at {moment.hour % 12 or 12}:{moment:%M:%S %p} UTC"
