"""The simulated Unique Tokens API: production lines (contract unique-tokens 6)."""

import asyncio
import uuid
from collections.abc import Awaitable
from typing import Any

from simulator import token_files, token_orders
from simulator.alphabets import Alphabet
from simulator.exchange import Exchange, Names, Reply, Route
from simulator.plans import Job
from simulator.token_lines import LIMITS, MILESTONES, Line, Session
from simulator.token_orders import Order, OrderError, UnpaidError
from simulator.token_sessions import MEDIA_TYPE, TokensBase

FILE_TYPE = "application/json; charset=utf-8"
"""The content type of files, although they are text or binary (contract unique-tokens 1)."""

_TITLE = "Tokens not requested"


class UniqueTokens(TokensBase):
    """Sessions, alphabets and tokens."""

    def clear(self) -> None:
        """Forget all sessions, lines and payments."""
        super().clear()
        self._lines: dict[str, Line] = {}
        self._payments: set[str] = set()

    def routes(self) -> list[Route]:
        """Give the operations of contract unique-tokens, section 2."""
        line = "/api/tokens/{id}"
        milestones = "|".join(MILESTONES)
        found, names = self._find, self._names
        routes = [
            Route("POST", "/api/tokens", "post_tokens", self._post, names=names),
            Route("POST", line, "post_next_part", self._post_part, names=names),
            Route("GET", line, "get_tokens", self._get_line, job=found, poll=True),
            Route(
                "GET",
                f"{line}/{{milestone:{milestones}}}",
                "get_milestone",
                self._get_milestone,
                job=found,
                poll=True,
            ),
            Route("GET", "/api/tokens", "list_tokens", self._list),
            Route("DELETE", line, "delete_tokens", self._delete_line, job=found),
            Route("DELETE", "/api/tokens", "delete_all_tokens", self._delete_lines),
        ]
        files = [
            Route(method, f"{line}/{{file:{file}}}", f"{file}{suffix}", self._file, job=found)
            for method, suffix in (("GET", ""), ("HEAD", "_head"))
            for file in ("data", "snapshot", "score", "delta", "analysis")
        ]
        return [*self.common_routes(), *routes, *files]

    def _names(self, exchange: Exchange) -> Names:
        ident = token_orders.payment_ident(exchange)
        return Names((ident,)) if ident else Names()

    def _find(self, exchange: Exchange) -> Job | None:
        return self._lines.get(exchange.path("id"))

    def _line(self, exchange: Exchange) -> Line | Reply:
        """Give the line that the path names, when it belongs to the session; deleted ones too."""
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        line = self._lines.get(exchange.path("id"))
        served = self.world.switches.unique_tokens.foreign_session == "served"
        if line is None or (line.session is not session and not served):
            return self._unknown(exchange)
        line.expire(exchange.now)
        return line

    def _unknown(self, exchange: Exchange) -> Reply:
        code = self.world.switches.unique_tokens.unknown_id_code
        return self.refusal(exchange, code, "Tokens not found", "Unknown identifier.", "id")

    def _post(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        if self.world.switches.unique_tokens.check_media_type and exchange.request.content_type != MEDIA_TYPE:
            return self.refusal(exchange, 415, _TITLE, f"Content-Type must be {MEDIA_TYPE}.")
        order = self._order(exchange)
        if isinstance(order, Reply):
            return order
        alphabet = self.find_alphabet(session, order.alphabet)
        if alphabet is None:
            return self.bad_value(exchange, "Unknown alphabet.", "alphabet")
        return self._produce(exchange, session, order, alphabet, {})

    def _order(self, exchange: Exchange) -> Order | Reply:
        try:
            return token_orders.read(token_orders.body_of(exchange))
        except OrderError as error:
            return self.bad_value(exchange, error.detail, error.parameter)
        except UnpaidError:
            return self._unpaid(exchange, "Payment not confirmed.")

    def _post_part(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        order = self._order(exchange)
        if isinstance(order, Reply):
            return order
        try:
            state = token_files.read_snapshot(token_orders.multipart(exchange).get("snapshot.blob", b""))
        except ValueError:
            return self.bad_value(exchange, "Snapshot not readable.", "snapshot.blob")
        if state["id"] != exchange.path("id"):
            return self._unknown(exchange)
        if (order.alphabet, order.digits) != (state["alphabet"], state["digits"]):
            return self.bad_value(exchange, "Not the alphabet and digits of the snapshot.", "alphabet")
        alphabet = Alphabet(state["alphabet"], state["chars"], state["custom"])
        if alphabet.custom:
            session.alphabets[alphabet.name] = alphabet  # overwrites without warning, contract 4
        return self._produce(exchange, session, order, alphabet, state)

    def _produce(
        self, exchange: Exchange, session: Session, order: Order, alphabet: Alphabet, state: dict[str, Any]
    ) -> Reply:
        """Check limits and payment, and open the line; `state` is that of a snapshot, empty for a new line."""
        switches = self.world.switches.unique_tokens
        if order.digits > LIMITS["maxDigits"]:
            return self._out(exchange, 402, "Out of limit.", "digits")
        if order.digits < LIMITS["minDigits"]:
            return self._out(exchange, switches.undersize_code, "Out of limit.", "digits")
        if order.size < LIMITS["minTokens"]:
            return self._out(exchange, switches.undersize_code, "Out of limit.", "size")
        offset = state.get("produced", 0)
        left = alphabet.available(order.digits) - offset
        largest, code, detail = token_orders.limits(alphabet, order, left)
        if order.size > largest and (switches.oversize == "refused" or largest == 0):
            return self._out(exchange, code, detail, "size")
        if switches.reused_payment == "refused" and order.payment["ident"] in self._payments:
            return self._unpaid(exchange, "Payment already used.")
        if order.payment["ident"] in switches.unpaid:
            return self._unpaid(exchange, "Payment not confirmed.")
        running = sum(line.outcome(exchange.now) == "running" for line in session.lines.values())
        if switches.max_lines is not None and running >= switches.max_lines:
            return self.refusal(exchange, 402, _TITLE, "Too many lines.", "size")
        line = self._open(exchange, session, order, alphabet, min(order.size, largest), offset, state)
        exchange.accepted = frozenset(line.references)
        return self.ok(201, line.document(switches.answered_status, exchange.now))

    def _unpaid(self, exchange: Exchange, detail: str) -> Reply:
        code = self.world.switches.unique_tokens.payment_code
        return self.refusal(exchange, code, _TITLE, detail, "payment")

    def _out(self, exchange: Exchange, code: int, detail: str, parameter: str) -> Reply:
        return self.refusal(exchange, code, _TITLE, detail, parameter, f"/data/attributes/{parameter}")

    def _open(
        self,
        exchange: Exchange,
        session: Session,
        order: Order,
        alphabet: Alphabet,
        size: int,
        offset: int,
        state: dict[str, Any],
    ) -> Line:
        ident = order.payment["ident"]
        rng = self.world.plans.rng("unique_tokens", ident)
        line_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        if state and not self.world.switches.unique_tokens.second_part_new_id:
            line_id = state["id"]
        line = Line(
            (ident,),
            (),
            self.world.plans.draw("unique_tokens", (ident,), rng, exchange.now),
            rng,
            line_id=line_id,
            session=session,
            alphabet=alphabet,
            digits=order.digits,
            size=size,
            offset=offset,
            file_seed=state.get("file_seed", f"{self.world.seed}:{line_id}"),
            seed=order.seed,
            payment=order.payment,
            analysis="metrics" if exchange.request.query.get("analysis") == "metrics" else "none",
            world=self.world,
            before=self._lines.get(line_id),
        )
        self._payments.add(ident)
        self._lines[line_id] = session.lines[line_id] = line
        self.world.books.open("unique_tokens", line)
        return line

    def _get_line(self, exchange: Exchange) -> Reply | Awaitable[Reply]:
        line = self._line(exchange)
        if isinstance(line, Reply):
            return line
        if line.deleted_at is not None and self.world.switches.unique_tokens.deleted_line == "gone":
            return self._unknown(exchange)
        return self._current(exchange, line)

    def _current(self, exchange: Exchange, line: Line) -> Reply | Awaitable[Reply]:
        switches, now = self.world.switches.unique_tokens, exchange.now
        if line.fate.failed and line.fate.over(now) and switches.failure_form == "errors":
            detail = line.fate.message or "Production was aborted."
            return self.refusal(exchange, 500, "Tokens not produced", detail, "id")
        progress = None
        if switches.progress_visible:
            done = (now - line.reached_at("started")) / ((line.reached_at("ended") - line.reached_at("started")) or 1)
            step = switches.progress_step
            progress = max(0, min(99, int(done * 100) // step * step))
        return self._document(exchange, line, line.status(now), progress)

    def _document(
        self, exchange: Exchange, line: Line, status: str, progress: int | None = None
    ) -> Reply | Awaitable[Reply]:
        wrong = exchange.published_wrong

        def make() -> Reply:
            document = line.document(status, exchange.now, progress=progress, wrong_hash=wrong)
            if exchange.word:
                document["data"]["attributes"]["status"] = exchange.word
            return self.ok(200, document)

        # Making a large file for the first time takes up to 0.2 s, for which other requests must not wait.
        large = line.size * line.digits > 100_000
        if large and line.has_files(status) and not line.is_prepared(status):
            return asyncio.to_thread(make)
        return make()

    async def _get_milestone(self, exchange: Exchange) -> Reply:
        line = self._line(exchange)
        if isinstance(line, Reply):
            return line
        if line.deleted_at is not None and self.world.switches.unique_tokens.deleted_line == "gone":
            return self._unknown(exchange)
        milestone, early = exchange.path("milestone"), self.world.switches.unique_tokens.early_milestone
        if milestone == "analyzed" and not self.world.switches.unique_tokens.analyzed_path:
            return self._unknown(exchange)
        while early == "held" and not line.reached(milestone, exchange.now) and not line.fate.failed:
            if (milestone == "analyzed" and line.analysis == "none") or line.deleted_at is not None:
                break
            await asyncio.sleep(0.01)
            exchange.now = self.world.clock.now()
        if line.reached(milestone, exchange.now):
            made = self._document(exchange, line, milestone)
        elif self.world.switches.unique_tokens.frozen_parts and line.before and line.before.has_files(milestone):
            made = self._document(exchange, line.before, milestone)
        elif early == "errors":
            code = self.world.switches.unique_tokens.early_download_code
            return self.refusal(exchange, code, "Milestone not reached", f"Not yet {milestone}.", "id")
        else:
            made = self._current(exchange, line)
        return made if isinstance(made, Reply) else await made

    async def _list(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        for line in session.lines.values():
            line.expire(exchange.now)
        lines = [line for line in session.lines.values() if line.deleted_at is None]
        now, whole = exchange.now, self.world.switches.unique_tokens.list_carries_links

        def make() -> list[dict[str, Any]]:
            found = []
            for line in lines:
                document = line.document(line.status(now), now)
                found.append({**document.pop("data"), **document} if whole else document["data"])
            return found

        data = await asyncio.to_thread(make) if lines else []
        return self.ok(200, {"links": {"self": "/api/tokens"}, "data": data})

    async def _file(self, exchange: Exchange) -> Reply:
        line = self._line(exchange)
        if isinstance(line, Reply):
            return line
        name, switches = exchange.path("file"), self.world.switches.unique_tokens
        needed = {"data": "ended", "snapshot": "finished"}.get(name, "analyzed")
        if line.deleted_at is not None:
            return self._unknown(exchange)
        if not line.reached(needed, exchange.now) or (name == "snapshot" and line.left_after <= 0):
            code = switches.early_download_code
            return self.refusal(exchange, code, "File not found", f"{name} is not available.", "id")
        if name == "analysis":
            content = await asyncio.to_thread(line.analysis_document)
        else:
            content = (await asyncio.to_thread(line.files, needed))[name]
        if exchange.request.query.get("format") == "gz":
            content = await asyncio.to_thread(token_files.compressed, content)
        if exchange.request.method == "HEAD":
            return Reply(200, b"", FILE_TYPE, length=len(content))
        exchange.served_file = name != "analysis"
        return Reply(200, content, FILE_TYPE, chunked=not switches.data_content_length)

    async def _delete_line(self, exchange: Exchange) -> Reply:
        line = self._line(exchange)
        if isinstance(line, Reply):
            return line
        if line.deleted_at is not None:
            return self._unknown(exchange)
        line.deleted_at = exchange.now
        return self.ok(200, await asyncio.to_thread(line.document, "deleted", exchange.now))

    async def _delete_lines(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        lines = [line for line in session.lines.values() if line.deleted_at is None]
        for line in lines:
            line.deleted_at = exchange.now
        now = exchange.now
        data = await asyncio.to_thread(lambda: [line.resource("deleted", now) for line in lines])
        return self.ok(200, {"links": {"self": "/api/tokens"}, "data": data})
