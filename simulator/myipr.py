"""The simulated myIPR Open API (contract myipr)."""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.clock import iso_milliseconds
from simulator.exchange import Exchange, Names, Reply, Route, Service, json_reply
from simulator.pdf import certificate_pdf
from simulator.plans import Job
from simulator.world import World

CATEGORIES = {1: "Art", 2: "Music", 3: "Photography", 4: "Software", 10: "Legal"}
"""Invented categories; the ids are integers here and strings in create (contract myipr 2.1, 3.2)."""

_PAGE = 30
_HASH = re.compile(r"[0-9a-f]{64}")
_USER = {
    "id": "0b7e5d3a-6f42-4c19-9d80-2e1a7c5b8f63",
    "first_name": "Ada",
    "last_name": "Example",
    "email": "ada@example.test",
}


@dataclass(slots=True, kw_only=True)
class Version(Job):
    """One certified version; its file has only this one."""

    version_id: str
    file_id: str
    number: int
    name: str
    hash: str
    size: str
    category: int
    transaction_id: str


class MyIPR(Service):
    """Create, get-version, certificate, get-file, recent-files, categories."""

    name = "myipr"
    prefix = "/myipr"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.clear()

    def clear(self) -> None:
        """Forget all versions and links."""
        self._versions: dict[str, Version] = {}
        self._files: dict[str, Version] = {}
        self._links: dict[str, tuple[Version, float]] = {}
        self._taken: dict[tuple[str, str], list[Version]] = {}

    def routes(self) -> list[Route]:
        """Give the operations of contract myipr, section 1; reads are POSTs, too."""
        version, certificate = "/get-version/{version}", "/get-version/{version}/certificate"
        return [
            Route("POST", "/create", "create", self._create, names=self._names),
            Route("POST", version, "get_version", self._get_version, job=self._by_version, poll=True),
            Route("POST", certificate, "certificate", self._certificate, job=self._by_version),
            Route("POST", "/get-file/{file}", "get_file", self._get_file, job=self._by_file),
            Route("GET", version, "wrong_method", self._wrong_method),
            Route("GET", certificate, "wrong_method", self._wrong_method),
            Route("GET", "/get-file/{file}", "wrong_method", self._wrong_method),
            Route("GET", "/recent-files", "recent_files", self._recent_files),
            Route("GET", "/categories", "categories", self._categories),
            Route("POST", "/categories", "categories", self._categories),
            Route("GET", "/certificates/{link}", "certificate_pdf", self._pdf, job=self._by_link),
        ]

    def error(self, status: int, message: str, exchange: Exchange) -> Reply:
        """Answer in the envelope without a result, or in the weak-hint shape."""
        return self._error(status, message)

    def _error(self, status: int, message: str, *fields: str, **extra: Any) -> Reply:
        switches = self.world.switches.myipr
        if switches.error_shape == "hint":
            number = -2 if fields else status
            value = {"message": message, "errorField": ",".join(fields), "customErrorNumber": number, **extra}
        else:
            value = {"status": status, "message": message, **extra}
        return json_reply(self._http(status), value, switches.error_content_type)

    def _http(self, status: int) -> int:
        return status if self.world.switches.myipr.http_code == "true" else 200

    def _ok(self, status: int, **parts: Any) -> Reply:
        return json_reply(self._http(status), {"status": status, "message": "success", **parts})

    def _refused(self, exchange: Exchange) -> Reply | None:
        if exchange.request.headers.get("Authorization") == f"SECRET {self.world.keys['myipr']}":
            return None
        return self._error(self.world.switches.myipr.auth_code, "Unauthorized")

    def _names(self, exchange: Exchange) -> Names:
        try:
            name = exchange.json()["name"]
        except (ValueError, TypeError, KeyError):
            return Names()
        return Names((name,)) if isinstance(name, str) else Names()

    def _by_version(self, exchange: Exchange) -> Job | None:
        return self._versions.get(exchange.path("version"))

    def _by_file(self, exchange: Exchange) -> Job | None:
        return self._files.get(exchange.path("file"))

    def _by_link(self, exchange: Exchange) -> Job | None:
        link = self._links.get(exchange.path("link"))
        return link[0] if link else None

    def _wrong_method(self, exchange: Exchange) -> Reply:
        code = self.world.switches.myipr.get_on_posts_code
        return self._error(code, "Cannot GET this address")

    def _create(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        switches = self.world.switches.myipr
        if switches.content_type_required and exchange.request.content_type != "application/json":
            return self._error(400, "Content-Type must be application/json")
        try:
            body = exchange.json()
        except ValueError:
            return self._error(400, "The body is not JSON")
        wrong = self._wrong_fields(body)
        if wrong:
            return self._error(400, f"Invalid value: {', '.join(wrong)}", *wrong)
        for field in ("name", "hash"):
            if body[field] in switches.taken_elsewhere:
                return self._error(switches.duplicate_code, f"{field} is already used", field)
            holder = self._holder(field, body[field], exchange.now)
            if holder is not None:
                ids = {"fileId": holder.file_id, "versionId": holder.version_id}
                shown = {"result": ids} if switches.duplicate_reveals_ids else {}
                return self._error(switches.duplicate_code, f"{field} is already used", field, **shown)
        if switches.credits is not None and len(self._versions) >= switches.credits:
            return self._error(switches.credits_code, "Out of credits")
        version = self._open(body, exchange.now)
        exchange.accepted = frozenset(version.references)
        result = {"message": "File submitted", "fileId": version.file_id, "versionId": version.version_id}
        if switches.extra_create_field:
            result[switches.extra_create_field] = version.name
        return self._ok(switches.success_code, result=result)

    def _wrong_fields(self, body: Any) -> list[str]:
        if not isinstance(body, dict):
            return ["body"]
        names = ("name", "category_id", "file_source", "hash", "size")
        wrong = [name for name in names if not isinstance(body.get(name), str) or not body[name]]
        if self.world.switches.myipr.extra_fields == "refused":
            wrong += [name for name in body if name not in names]
        if wrong:
            return wrong
        longest = self.world.switches.myipr.name_max_length
        if body["name"].startswith(" ") or (longest is not None and len(body["name"]) > longest):
            wrong.append("name")
        if body["category_id"] not in {str(number) for number in CATEGORIES}:
            wrong.append("category_id")
        if body["file_source"] != "client-hash":
            wrong.append("file_source")
        if not _HASH.fullmatch(body["hash"]):
            wrong.append("hash")
        if not re.fullmatch(r"\d+(\.\d+)?", body["size"]):
            wrong.append("size")
        return wrong

    def _holder(self, field: str, value: str, now: float) -> Version | None:
        for version in self._taken.get((field, value), ()):
            if version.outcome(now) == "failed" and self.world.switches.myipr.failed_frees_name:
                continue
            return version
        return None

    def _open(self, body: dict[str, str], now: float) -> Version:
        name = body["name"]
        rng = self.world.plans.rng("myipr", name)
        version = Version(
            (name,),
            (),
            self.world.plans.draw("myipr", (name,), rng, now),
            rng,
            version_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            file_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            number=len(self._versions) + 1,
            name=name,
            hash=body["hash"],
            size=body["size"],
            category=int(body["category_id"]),
            transaction_id=f"{rng.getrandbits(256):064x}",
        )
        self._versions[version.version_id] = version
        self._files[version.file_id] = version
        for field in ("name", "hash"):
            self._taken.setdefault((field, body[field]), []).append(version)
        self.world.books.open("myipr", version)
        return version

    def _get_version(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        version = self._versions.get(exchange.path("version"))
        if version is None:
            return self._error(404, "Version not found")
        result = self._described(version, exchange.now)
        if exchange.word:
            result["status"] = exchange.word
        if exchange.published_wrong:
            result["hash"] = _other_hash(version.hash)
        extra = {"results": [result]} if self.world.switches.myipr.results_beside_result else {}
        return self._ok(self.world.switches.myipr.success_code, result=result, **extra)

    def _described(self, version: Version, now: float) -> dict[str, Any]:
        """Describe a version as get-version does (contract myipr 3.2)."""
        switches, fate = self.world.switches.myipr, version.fate
        over = fate.over(now)
        error: dict[str, Any] = {}
        if over and fate.failed:
            word = switches.failure_word
            error = {**switches.error_object, "message": fate.message or "the transaction was refused"}
        else:
            word = "completed" if over else self._running_word(version, now)
        result: dict[str, Any] = {
            "version_id": version.version_id,
            "fileId": version.file_id,
            "version_name": version.name,
            "fileName": version.name,
            # Stays so even when the certification is finished: the trap of the seed page.
            "fileStatus": "in_progress",
            "is_primary": True,
            "size": version.size,
            "description": None,
            "hash": _other_hash(version.hash) if fate.wrong_digest else version.hash,
            "category": {"id": version.category, "name": CATEGORIES[version.category]},
            "status": word,
            "error": error,
            "user": _USER,
            "created_at": self._time(fate.accepted_at),
            "lastUpdatedAt": self._time(fate.ends_at if over else fate.accepted_at),
        }
        bare = now < fate.ends_at + self.world.clock.real(switches.bare_completed_seconds)
        if over and not fate.failed and not bare:
            result["transaction_id"] = version.transaction_id
        else:
            self._no_transaction(result, version.polls)
        return result

    def _running_word(self, version: Version, now: float) -> str:
        words = self.world.switches.myipr.running_words
        return words[min(len(words) - 1, int(version.fate.fraction(now) * len(words)))]

    def _no_transaction(self, result: dict[str, Any], polls: int) -> None:
        form = self.world.switches.myipr.transaction_id_before
        if form == "rotate":
            form = ("absent", "null", "empty")[polls % 3]
        if form == "null":
            result["transaction_id"] = None
        elif form == "empty":
            result["transaction_id"] = ""

    def _certificate(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        version, switches = self._versions.get(exchange.path("version")), self.world.switches.myipr
        if version is None:
            return self._error(404, "Version not found")
        made = version.fate.ends_at + self.world.clock.real(switches.certificate_delay_seconds)
        if version.outcome(exchange.now) != "succeeded" or exchange.now < made:
            return self._error(switches.certificate_early_code, "The certificate is not available")
        token = f"{version.rng.getrandbits(128):032x}"
        lifetime = switches.certificate_link_seconds
        self._links[token] = (version, exchange.now + self.world.clock.real(lifetime))
        request = exchange.request
        link = f"{request.scheme}://{request.host}{self.prefix}/certificates/{token}?X-Amz-Expires={lifetime:g}"
        result = {"certificateLink": link}
        return self._ok(switches.success_code, result=[result] if switches.certificate_result_array else result)

    def _pdf(self, exchange: Exchange) -> Reply:
        # A pre-signed storage address: it needs no key, and speaks the storage's language when it is dead.
        version, dies_at = self._links.get(exchange.path("link"), (None, 0.0))
        if version is None or exchange.now >= dies_at:
            code = self.world.switches.myipr.certificate_dead_code
            if code == 200:
                return Reply(200, b"<html><p>This link has expired.</p></html>", "text/html")
            text = b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code></Error>"
            return Reply(code, text, "application/xml")
        exchange.served_file = True
        lines = (version.name, version.hash, version.transaction_id, iso_milliseconds(version.fate.ends_at))
        return Reply(200, certificate_pdf(lines), "application/pdf")

    def _get_file(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        version, switches = self._files.get(exchange.path("file")), self.world.switches.myipr
        if version is None:
            return self._error(404, "File not found")
        versions = [self._described(version, exchange.now)]
        return self._ok(switches.success_code, **{switches.file_versions_key: versions})

    def _recent_files(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        page, switches = exchange.request.query.get("page", "1"), self.world.switches.myipr
        if not page.isdecimal() or int(page) < 1:
            return self._error(400, "Invalid value: page", "page")
        versions = list(self._versions.values())
        if switches.recent_order == "newest":
            versions.reverse()
        start = (int(page) - 1) * _PAGE
        if start > 0 and start >= len(versions):
            if switches.recent_end == "error":
                return self._error(404, "No such page")
            if switches.recent_end == "repeat":
                start = max(len(versions) - 1, 0) // _PAGE * _PAGE
        entries = []
        for version in versions[start : start + _PAGE]:
            described = self._described(version, exchange.now)
            entries.append(
                {
                    "id": version.file_id if switches.recent_id_type == "uuid" else version.number,
                    "primary_version_id": version.version_id,
                    "name": version.name,
                    "contributor": f"{_USER['first_name']} {_USER['last_name']}",
                    "status": described["status"],
                    "createdAt": described["created_at"],
                }
            )
        return self._ok(200, result=entries)

    def _categories(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        method, switches = exchange.request.method, self.world.switches.myipr
        if switches.categories_method not in (method, "any"):
            return self._error(switches.get_on_posts_code, f"Cannot {method} this address")
        id_field, name_field = switches.categories_fields
        shown: type[int | str] = int if switches.categories_id_type == "integer" else str
        listed = [{id_field: shown(number), name_field: name} for number, name in CATEGORIES.items()]
        return self._ok(200 if method == "GET" else switches.success_code, **{switches.categories_key: listed})

    def _time(self, moment: float) -> str:
        form = self.world.switches.myipr.time_format
        if form == "epoch_ms":
            return str(round(moment * 1000))
        text = iso_milliseconds(moment)
        if form == "iso_offset":
            return text.replace("Z", "+00:00")
        if form == "sql":
            return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return text


def _other_hash(value: str) -> str:
    return ("0" if value[0] != "0" else "1") + value[1:]
