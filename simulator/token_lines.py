"""Sessions and production lines of the Unique Tokens service, and how a line is described (contract 6.3, 6.4)."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from simulator import token_analysis, token_files
from simulator.alphabets import Alphabet
from simulator.clock import Clock, iso_milliseconds
from simulator.plans import Job, Outcome
from simulator.switches import UniqueTokensSwitches
from simulator.world import World, dump

LIMITS = {"minTokens": 1000, "maxTokens": 100_000, "minDigits": 3, "maxDigits": 100}
"""The limits of the agreement; integers (contract unique-tokens 3)."""

MILESTONES = ("requested", "started", "ended", "finished", "analyzed")

# The longest wait before production that was observed, in seconds (contract unique-tokens 9).
_LONGEST_QUEUE = 6.6


@dataclass(slots=True)
class Session:
    """An open or revoked session; lines and custom alphabets belong to it."""

    key: str
    note: str | None
    client: str
    agent: str
    granted_at: float
    revoked_at: float | None = None
    alphabets: dict[str, Alphabet] = field(default_factory=dict)
    lines: dict[str, "Line"] = field(default_factory=dict)

    def resource(self) -> dict[str, Any]:
        """Describe the session as a JSON:API resource."""
        stamps = {"granted": iso_milliseconds(self.granted_at)}
        if self.revoked_at is not None:
            stamps["revoked"] = iso_milliseconds(self.revoked_at)
        note = {} if self.note is None else {"note": self.note}
        attributes = {**note, "client": self.client, "agent": self.agent, "timestamps": stamps, "limits": LIMITS}
        return {"type": "session", "id": self.key, "attributes": attributes}


@dataclass(kw_only=True)
class Line(Job):
    """One part of a production line. `offset` tokens of the line were produced by earlier parts."""

    line_id: str
    session: Session
    alphabet: Alphabet
    digits: int
    size: int
    offset: int
    file_seed: str
    seed: str | None
    payment: dict[str, str]
    analysis: str
    world: World
    deleted_at: float | None = None
    before: "Line | None" = None  # the part that had the same id

    @property
    def _switches(self) -> UniqueTokensSwitches:
        return self.world.switches.unique_tokens

    @property
    def _clock(self) -> Clock:
        return self.world.clock

    @property
    def left_before(self) -> int:
        """How many tokens the set held before this part."""
        return self.alphabet.available(self.digits) - self.offset

    @property
    def left_after(self) -> int:
        """How many tokens remain for further parts."""
        return self.left_before - self.size

    def reached_at(self, milestone: str) -> float:
        """Tell when a milestone is reached, in real epoch seconds."""
        fate = self.fate
        if milestone == "requested":
            return fate.accepted_at
        if milestone == "started":
            return fate.accepted_at + self._clock.real(min(_LONGEST_QUEUE, fate.duration / 10))
        if milestone == "ended":
            return fate.ends_at
        # Without a snapshot to write, ended and finished were milliseconds apart (contract unique-tokens 7).
        gap = self._switches.finish_seconds if self.left_after > 0 else 0.03
        return fate.ends_at + self._clock.real(gap)

    def expire(self, now: float) -> None:
        """Dismantle the line when the service keeps no files for so long."""
        kept = self._switches.files_kept_seconds
        if kept is not None and self.deleted_at is None and self.reached("finished", now):
            end = self.reached_at("finished") + self._clock.real(kept)
            self.deleted_at = end if now >= end else None

    def reached(self, milestone: str, now: float) -> bool:
        """Tell whether a milestone is reached; neither a failed nor a dismantled line goes on."""
        if milestone in ("ended", "finished", "analyzed") and self.fate.failed:
            return False
        if milestone == "analyzed" and self.analysis == "none":
            return False
        at = self.reached_at(milestone)
        return now >= at and (self.deleted_at is None or at <= self.deleted_at)

    def status(self, now: float) -> str:
        """Give the current status word."""
        if self.deleted_at is not None:
            return "deleted"
        if self.fate.failed and self.fate.over(now) and self._switches.failure_form == "word":
            return self._switches.failure_word
        instead = self._switches.analyzed == "instead"
        for milestone in reversed(MILESTONES):
            if self.reached(milestone, now) and not (milestone == "finished" and instead and self.analysis != "none"):
                return milestone
        return "requested"

    def outcome(self, now: float) -> Outcome:
        """Tell how the line stands; it has succeeded from `ended` on."""
        if self.deleted_at is not None:
            return "deleted"
        if not self.fate.over(now):
            return "running"
        return "failed" if self.fate.failed else "succeeded"

    def data(self) -> bytes:
        """Give the data file."""
        data = token_files.part_text(self.file_seed, self.alphabet.chars, self.digits, self.offset, self.size)
        if self._switches.repeat_token:
            return data[: data.rindex(b"\n") + 1] + data[: data.index(b"\n")]
        return data

    @cached_property
    def snapshot(self) -> bytes:
        """The snapshot: what is needed to go on after this part."""
        return token_files.make_snapshot(
            {
                "id": self.line_id,
                "alphabet": self.alphabet.name,
                "chars": self.alphabet.chars,
                "custom": self.alphabet.custom,
                "digits": self.digits,
                "produced": self.offset + self.size,
                "file_seed": self.file_seed,
            }
        )

    @cached_property
    def checksum(self) -> str:
        """The checksum of the tokens that are not yet produced."""
        if self.offset == 0:
            produced = self.data()
        else:
            whole = self.offset + self.size
            produced = token_files.part_text(self.file_seed, self.alphabet.chars, self.digits, 0, whole)
        return token_files.checksum(self.alphabet.chars, self.digits, produced)

    @cached_property
    def analysis_files(self) -> dict[str, bytes]:
        """The files of the analysis by name: score, delta, analysis."""
        return token_analysis.files(self.line_id, self.alphabet.chars, self.data())

    def files(self, status: str) -> dict[str, bytes]:
        """Give the files that are published at `status`, uncompressed."""
        files = {"data": self.data()}
        if status in ("finished", "analyzed") and self.left_after > 0:
            files["snapshot"] = self.snapshot
        if status == "analyzed":
            files.update(self.analysis_files)
        return files

    @cached_property
    def _published(self) -> dict[tuple[str, str], tuple[dict[str, int], dict[str, str]]]:
        return {}

    def published(self, status: str) -> tuple[dict[str, int], dict[str, str]]:
        """Give sizes and hashes of the files at `status`, computed once per status and digest rule."""
        switches, rule = self._switches, self._rule
        found = self._published.get((status, rule))
        if found is None:
            files = self.files(status)
            sizes = {name: len(content) for name, content in files.items()}
            if switches.hash_gzip:
                files["data"] = token_files.compressed(files["data"])
            hashes = {
                name: token_files.file_hash(switches.digest_rule, self.seed, content) for name, content in files.items()
            }
            found = self._published[status, rule] = (sizes, hashes)
        return found

    @property
    def _rule(self) -> str:
        return f"{self._switches.digest_rule}{self._switches.hash_gzip}{self._switches.repeat_token}"

    def is_prepared(self, status: str) -> bool:
        """Tell whether a description at `status` needs no file to be made or hashed any more."""
        return (status, self._rule) in self._published and "checksum" in self.__dict__

    def has_files(self, status: str) -> bool:
        """Tell whether files are published at `status`."""
        return status in ("ended", "finished", "analyzed") or (
            self.deleted_at is not None and self.reached("ended", self.deleted_at)
        )

    def resource(self, status: str, now: float, *, wrong_hash: bool = False) -> dict[str, Any]:
        """Describe the line as it is, or was, at `status`: the JSON:API resource."""
        moment = self.deleted_at if status == "deleted" and self.deleted_at is not None else now
        attributes: dict[str, Any] = {
            "status": status,
            "analysis": self.analysis,
            "alphabet": self.alphabet.name,
            "digits": str(self.digits),
            "size": str(self.size),
        }
        if self.has_files(status):
            self._describe_files(attributes, status, wrong_hash=wrong_hash)
        else:
            attributes["available"] = str(self.left_before)
            attributes["reachable"] = str(self.alphabet.reachable(self.digits, self.left_before))
            if status == "started":
                attributes["progress"] = 0
        last = MILESTONES.index(status) if status in MILESTONES else len(MILESTONES)
        attributes["timestamps"] = {
            name: iso_milliseconds(self.reached_at(name))
            for name in MILESTONES[:4]
            if MILESTONES.index(name) <= last and self.reached(name, moment)
        }
        if self.deleted_at is not None and status == "deleted":
            attributes["timestamps"]["deleted"] = iso_milliseconds(self.deleted_at)
        payment = {"data": {"type": "transaction", **self.payment}}
        return {
            "type": "tokens",
            "id": self.line_id,
            "attributes": attributes,
            "relationships": {"payment": payment},
        }

    def _describe_files(self, attributes: dict[str, Any], status: str, *, wrong_hash: bool) -> None:
        at = status if status != "deleted" else "finished"
        sizes, hashes = self.published(at)
        seconds = max(0.001, self.reached_at("ended") - self.reached_at("started"))
        attributes["available"] = str(self.left_after)
        attributes["reachable"] = str(self.alphabet.reachable(self.digits, self.left_after))
        if status == "ended":
            attributes["progress"] = 100
        attributes["rate"] = round(self.size * self.digits / seconds)
        attributes["partial"] = self.left_after > 0
        attributes["checksum"] = self.checksum
        attributes["filesizes"] = sizes
        if self.seed is not None or self._switches.filehashes_without_seed:
            if wrong_hash or self.fate.wrong_digest:
                hashes = {name: ("0" if value[0] != "0" else "1") + value[1:] for name, value in hashes.items()}
            missing = self._switches.filehashes_missing
            attributes["filehashes"] = {name: value for name, value in hashes.items() if name not in missing}

    def document(
        self, status: str, now: float, *, progress: int | None = None, wrong_hash: bool = False
    ) -> dict[str, Any]:
        """Describe the line as a whole answer; `progress` replaces that of a `started` record."""
        resource = self.resource(status, now, wrong_hash=wrong_hash)
        if progress is not None and status == "started":
            resource["attributes"]["progress"] = progress
        base = f"/api/tokens/{self.line_id}"
        links = {"self": base} if status == "deleted" else {"self": "/api/tokens", "info": base}
        if status != "deleted" and self.has_files(status):
            links["data"] = f"{base}/data"
            if status in ("finished", "analyzed") and self.left_after > 0:
                links["snapshot"] = f"{base}/snapshot"
            if status == "analyzed":
                links["analysis"], links["score"] = f"{base}/analysis", f"{base}/score"
        meta = {} if self.seed is None else {"meta": {"seed": self.seed}}
        return {**meta, "links": links, "data": resource}

    def analysis_document(self) -> bytes:
        """Give the answer of /analysis (contract unique-tokens 6.8)."""
        document = token_analysis.document(self.line_id, self.analysis_files)
        sizes, hashes = self.published("analyzed")
        document["data"]["attributes"]["filesizes"] = sizes
        if self.seed is not None:
            document["data"]["attributes"]["filehashes"] = hashes
        return dump(document)
