"""The simulated LettrLabs API, conversions group (contract lettrlabs)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator import conversion_records as records
from simulator.exchange import Exchange, Names, Reply, Route, Service, json_reply, text_reply
from simulator.plans import Job, Outcome
from simulator.world import World

_PROFILE = {
    "id": 4107,
    "aadId": "40f98c9b-3298-49e5-96e4-1e1fbe046e5a",
    "email": "ops@example.test",
    "firstName": "Ana",
    "lastName": "Ops",
    "company": "Example Co",
    "created": "2025-01-15T10:00:00Z",
    "shouldProcessQrCodes": True,
}

_FIRST_ID = 58_213


@dataclass(slots=True, kw_only=True)
class Upload(Job):
    """One upload: what status calls are about. Usually all valid records of one POST."""

    upload_id: int
    world: World
    deletion_at: float | None = None

    def deleted(self, now: float) -> bool:
        """Tell whether deletion is done."""
        if self.deletion_at is None:
            return False
        return now >= self.deletion_at + self.world.clock.real(self.world.switches.lettrlabs.deletion_seconds)

    def outcome(self, now: float) -> Outcome:
        """Tell how the upload stands at `now`."""
        return "deleted" if self.deleted(now) else Job.outcome(self, now)


class LettrLabs(Service):
    """Key check and conversions."""

    name = "lettrlabs"
    prefix = "/lettrlabs/api"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.clear()

    def clear(self) -> None:
        """Forget all uploads."""
        self._uploads: dict[int, Upload] = {}
        self._orders: set[str] = set()

    def routes(self) -> list[Route]:
        """Give the operations of contract lettrlabs, section 2, and the key check."""
        find = self._find
        return [
            Route("GET", "/v1/me", "me", self._me),
            Route("POST", "/v1/conversions", "create_conversions", self._create, names=self._names),
            Route("GET", "/v1/conversions", "list_conversions", self._list),
            Route("GET", "/v1/conversions/{id}/status", "conversion_status", self._status, job=find, poll=True),
            Route("DELETE", "/v1/conversions/{id}", "delete_conversion", self._delete, job=find),
        ]

    def error(self, status: int, message: str, exchange: Exchange) -> Reply:
        """Answer in the envelope, or for 401 as the switch says."""
        if status in (401, 403):
            return self._unauthorized(status)
        if self.world.switches.lettrlabs.outage_shape == "html":
            page = f"<html><body><h1>{status} {message}</h1></body></html>"
            return Reply(status, page.encode(), "text/html; charset=utf-8")
        return self._answer(status, None, errors=[message])

    def _answer(
        self,
        status: int,
        payload: Any,
        errors: list[str] | None = None,
        warnings: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Reply:
        """Answer in the envelope of contract lettrlabs 3."""
        switches = self.world.switches.lettrlabs
        frame: dict[str, Any] = {"payload": payload, "hasErrors": bool(errors), "hasWarnings": bool(warnings)}
        loose: dict[str, Any] = {"errors": errors or [], "warnings": warnings or []}
        if switches.frame == "orders":
            loose["errorDetails"] = []
        else:
            frame = {"profile": _PROFILE, **frame}
            loose["metadata"] = metadata or {}
        if payload is None and switches.no_payload == "absent":
            del frame["payload"]
        for name, value in loose.items():
            if value or switches.empty_as == "empty":
                frame[name] = value
            elif switches.empty_as == "null":
                frame[name] = None
        return json_reply(status, frame)

    def _unauthorized(self, code: int) -> Reply:
        shape = self.world.switches.lettrlabs.auth_error_shape
        if shape == "envelope":
            return self._answer(code, None, errors=["Invalid API key"])
        if shape == "text":
            return text_reply(code, "Invalid API key")
        if shape == "empty":
            return Reply(code, b"", None)
        return json_reply(code, "Invalid API key")

    def _refused(self, exchange: Exchange) -> Reply | None:
        if exchange.request.headers.get("X-API-KEY") == self.world.keys["lettrlabs"]:
            return None
        return self._unauthorized(self.world.switches.lettrlabs.auth_code)

    def _names(self, exchange: Exchange) -> Names:
        try:
            body = exchange.json()
        except ValueError:
            return Names()
        found = [records.order_id(record) for record in body] if isinstance(body, list) else []
        return Names(tuple(dict.fromkeys(order for order in found if order)))

    def _find(self, exchange: Exchange) -> Job | None:
        return self._upload(exchange)

    def _upload(self, exchange: Exchange) -> Upload | None:
        number = exchange.path("id")
        return self._uploads.get(int(number)) if number.isdecimal() and len(number) < 19 else None

    def _me(self, exchange: Exchange) -> Reply:
        return self._refused(exchange) or self._answer(200, _PROFILE)

    def _create(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        switches = self.world.switches.lettrlabs
        try:
            body = exchange.json()
        except ValueError:
            return self._answer(400, None, errors=["The body is not valid JSON"])
        if not isinstance(body, list):
            return self._answer(400, None, errors=["The body must be an array of conversions"])
        if not body and switches.empty_array == "refused":
            return self._answer(400, None, errors=["At least one conversion is required"])
        kept, errors, warnings = self._sort(body, exchange.now)
        taken = [position for position, keep in enumerate(kept) if keep]
        uploads = self._open(body, taken, exchange.now)
        status: int = switches.post_code if taken or not errors else switches.all_invalid_code
        exchange.accepted = frozenset(name for upload in uploads.values() for name in upload.references)
        payload = []
        for position, record in enumerate(body):
            if kept[position] or (switches.rejected_records == "echoed" and isinstance(record, dict)):
                shown = records.echo(record, switches)
                if position in uploads and switches.id_placement == "payload":
                    shown["id"] = uploads[position].upload_id
                payload.append(shown)
        numbers = list(dict.fromkeys(upload.upload_id for upload in uploads.values()))
        metadata: dict[str, Any] = {}
        if numbers and switches.id_placement == "metadata":
            metadata[switches.metadata_key] = numbers[0] if switches.one_upload_per == "post" else numbers
        return self._answer(status, payload, errors, warnings, metadata)

    def _sort(self, body: list[Any], now: float) -> tuple[list[bool], list[str], list[str]]:
        """Decide for each record whether it is processed; give that with errors and warnings."""
        switches = self.world.switches.lettrlabs
        kept, errors, warnings, seen = [], [], [], set(self._orders)
        for position, record in enumerate(body):
            wrong = records.problems(record, switches, now)
            order = records.order_id(record)
            repeated = order is not None and order in seen and switches.repeated_order_id != "accepted"
            if not wrong and repeated:
                if switches.repeated_order_id == "rejected":
                    wrong = ["orderId is already used"]
                elif switches.repeated_order_id == "warned":
                    warnings.append(f"[{position}] orderId is already used; the record was skipped")
            errors += records.texts(wrong, position, record, switches)
            kept.append(not wrong and not repeated)
            if kept[-1] and order is not None:
                seen.add(order)
        return kept, errors, warnings

    def _open(self, body: list[Any], taken: list[int], now: float) -> dict[int, Upload]:
        """Make the uploads of the kept records; give them by position of the record."""
        switches, uploads = self.world.switches.lettrlabs, {}
        groups = [taken] if taken and switches.one_upload_per == "post" else [[one] for one in taken]
        for group in groups:
            orders = tuple(dict.fromkeys(order for position in group if (order := records.order_id(body[position]))))
            number = _FIRST_ID + len(self._uploads)
            references = orders or (f"upload-{number}",)
            rng = self.world.plans.rng("lettrlabs", references[0])
            fate = self.world.plans.draw("lettrlabs", references, rng, now)
            upload = Upload(references, (), fate, rng, upload_id=number, world=self.world)
            self._uploads[number] = upload
            self._orders.update(orders)
            self.world.books.open("lettrlabs", upload)
            uploads.update(dict.fromkeys(group, upload))
        return uploads

    def _word(self, upload: Upload, now: float) -> str:
        switches, fate = self.world.switches.lettrlabs, upload.fate
        if upload.deletion_at is not None:
            return switches.deleted_word if upload.deleted(now) else switches.deleting_word
        if not fate.over(now):
            words = switches.running_words
            return words[min(len(words) - 1, int(fate.fraction(now) * len(words)))]
        return switches.failure_word if fate.failed else switches.success_word

    def _described(self, upload: Upload, now: float) -> dict[str, Any]:
        switches = self.world.switches.lettrlabs
        described: dict[str, Any] = {"id": upload.upload_id}
        if switches.file_name != "absent":
            name = f"api-upload-{upload.upload_id}.json"
            described["fileName"] = name if switches.file_name == "present" else None
        described["dataSourceType"] = "Api"
        described["status"] = self._word(upload, now)
        text = datetime.fromtimestamp(upload.fate.accepted_at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        described["uploadDate"] = text + {"z": "Z", "offset": "+00:00", "naive": ""}[switches.upload_date_form]
        return described

    def _listed(self, upload: Upload, now: float) -> dict[str, Any]:
        described = self._described(upload, now)
        if self.world.switches.lettrlabs.list_element == "short":
            del described["status"], described["dataSourceType"]
        return described

    def _not_found(self) -> Reply:
        payload = None
        if self.world.switches.lettrlabs.unknown_id_payload == "defaults":
            zero = "0001-01-01T00:00:00"
            payload = {"id": 0, "fileName": None, "dataSourceType": None, "status": None, "uploadDate": zero}
        return self._answer(self.world.switches.lettrlabs.unknown_id_code, payload, errors=["Conversion not found"])

    def _gone(self, upload: Upload, now: float) -> bool:
        return upload.deleted(now) and self.world.switches.lettrlabs.deletion_end == "not_found"

    def _status(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        if not exchange.path("id").isdecimal():
            return self._answer(400, None, errors=["The value of id is not valid"])
        upload, now = self._upload(exchange), exchange.now
        if upload is None or self._gone(upload, now):
            return self._not_found()
        described, switches = self._described(upload, now), self.world.switches.lettrlabs
        if exchange.word:
            described["status"] = exchange.word
        failed = upload.fate.failed and upload.fate.over(now) and upload.deletion_at is None
        if not failed:
            return self._answer(200, described)
        message = upload.fate.message or "The upload could not be processed"
        if switches.failure_form == "word":
            # The documented place for an explanation is free text in errors; the word alone decides here.
            return self._answer(200, described, warnings=[message])
        described["status"] = switches.running_words[-1]
        return self._answer(
            200 if switches.failure_form == "has_errors" else switches.failure_code, described, errors=[message]
        )

    def _list(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        query, switches, now = exchange.request.query, self.world.switches.lettrlabs, exchange.now
        number, size = query.get("pageNumber", "0"), query.get("pageSize", "100")
        if not (number.isdecimal() and size.isdecimal() and int(size) > 0):
            return self._answer(400, None, errors=["pageNumber and pageSize must be integers"])
        length = min(int(size), switches.page_cap)
        shown = now - self.world.clock.real(switches.list_lag)
        uploads = [
            upload
            for upload in self._uploads.values()
            if upload.fate.accepted_at <= shown and not self._gone(upload, now)
        ]
        if switches.list_order == "newest":
            uploads.reverse()
        page = uploads[int(number) * length :][:length]
        metadata = {"totalCount": len(uploads)} if switches.list_total else None
        return self._answer(200, [self._listed(upload, now) for upload in page], metadata=metadata)

    def _delete(self, exchange: Exchange) -> Reply:
        refused = self._refused(exchange)
        if refused is not None:
            return refused
        upload, switches, now = self._upload(exchange), self.world.switches.lettrlabs, exchange.now
        if upload is None:
            return self._not_found()
        if upload.deletion_at is not None:
            code = switches.repeated_delete_code
            if code == 200:
                return self._answer(200, self._described(upload, now))
            return self._answer(code, None, errors=["Conversion is already marked for deletion"])
        if switches.deletion_allowed == "finished" and not upload.fate.over(now):
            return self._answer(400, None, errors=["Conversion cannot be deleted in its present status"])
        upload.deletion_at = now
        if switches.deletion_answer == "empty":
            return Reply(200, b"", None)
        return self._answer(200, self._described(upload, now) if switches.deletion_answer == "record" else None)
