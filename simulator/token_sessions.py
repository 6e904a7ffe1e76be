"""Sessions and alphabets of the simulated Unique Tokens API (contract unique-tokens 3 and 4)."""

import uuid
from typing import Any

from simulator import alphabets
from simulator.alphabets import PRESETS, Alphabet
from simulator.exchange import Exchange, Reply, Route, Service
from simulator.token_lines import Session
from simulator.world import World, dump

MEDIA_TYPE = "application/vnd.api+json"

_CUSTOMER = {
    "price": {"job": 5.0, "digit": 0.0009, "metrics": 1.0, "rebate": 0.0},
    "address": {
        "streetAndNumber": "1 Sample Road",
        "secondaryAddress": "",
        "postalCode": "00000",
        "city": "Exampleton",
        "country": "Nowhere",
    },
    "status": "granted",
    "phone": "+00 000 0000",
    "email": "customer@example.test",
    "agreement": "basic",
    "usage": "permanent",
    "company": "Example Works",
}


class TokensBase(Service):
    """What all Unique Tokens operations need: media types, errors, sessions, alphabets."""

    name = "unique_tokens"
    prefix = ""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.clear()

    def clear(self) -> None:
        """Forget all sessions with their lines and alphabets."""
        self._sessions: dict[str, Session] = {}

    def ok(self, status: int, value: Any) -> Reply:
        """Answer with the media type and headers of JSON calls (contract unique-tokens 1)."""
        headers = {"Accept": MEDIA_TYPE, "Cache-Control": "no-cache"}
        return Reply(status, dump(value), MEDIA_TYPE, headers, chunked=True)

    def refusal(
        self, exchange: Exchange, status: int, title: str, detail: str, parameter: str = "", pointer: str = ""
    ) -> Reply:
        """Answer with an errors body; its HTTP code depends on the switch `error_http`."""
        http = status
        if self.world.switches.unique_tokens.error_http == "as_success":
            http = 201 if exchange.request.method == "POST" else 200
        source = {"parameter": parameter, "pointer": pointer}
        problem = {"status": status, "title": title, "detail": detail, "source": source}
        return self.ok(http, {"errors": [problem], "links": {"self": exchange.request.path_qs}})

    def error(self, status: int, message: str, exchange: Exchange) -> Reply:
        """Answer with an errors body and the true HTTP code."""
        source = {"parameter": "", "pointer": ""}
        problem = {"status": status, "title": message, "detail": message, "source": source}
        return self.ok(status, {"errors": [problem], "links": {"self": exchange.request.path_qs}})

    def _alive(self, session: Session | None, now: float) -> bool:
        if session is None or session.revoked_at is not None:
            return False
        lifetime = self.world.switches.unique_tokens.session_lifetime_seconds
        return lifetime is None or now < session.granted_at + self.world.clock.real(lifetime)

    def session(self, exchange: Exchange) -> Session | Reply:
        """Give the session of the Session-Key header, or the refusal."""
        session = self._sessions.get(exchange.request.headers.get("Session-Key", ""))
        if session is not None and self._alive(session, exchange.now):
            return session
        code = self.world.switches.unique_tokens.session_code
        return self.refusal(exchange, code, "Session not established", "Unknown Session-Key.", "id")

    def _stranger(self, exchange: Exchange) -> Reply | None:
        if exchange.request.headers.get("Api-Key") == self.world.keys["unique_tokens"]:
            return None
        # The code of the error pages, also for a revoked key (contract unique-tokens 8).
        return self.refusal(exchange, 403, "Session not established", "Unknown Api-Key.", "id")

    def bad_value(self, exchange: Exchange, detail: str, parameter: str) -> Reply:
        """Refuse a value that cannot be used."""
        code = self.world.switches.unique_tokens.bad_value_code
        return self.refusal(exchange, code, "Request not understood", detail, parameter)

    def find_alphabet(self, session: Session, name: str) -> Alphabet | None:
        """Give a custom alphabet of the session, or a preset."""
        return session.alphabets.get(name) or PRESETS.get(name)

    def common_routes(self) -> list[Route]:
        """Give the operations on sessions and alphabets."""
        return [
            Route("POST", "/api/sessions", "open_session", self._open_session),
            Route("GET", "/api/sessions/{uuid}", "list_sessions", self._list_sessions),
            Route("DELETE", "/api/sessions/{uuid}", "revoke_session", self._revoke_session),
            Route("GET", "/api/alphabets", "search_alphabets", self._search),
            Route("POST", "/api/alphabets", "add_alphabet", self._add),
            Route("DELETE", "/api/alphabets", "delete_alphabets", self._delete_all),
            Route("GET", "/api/alphabets/{name}", "get_alphabet", self._get),
            Route("DELETE", "/api/alphabets/{name}", "delete_alphabet", self._delete),
            Route("GET", "/api/alphabets/{name}/{digits}", "get_alphabet", self._get),
        ]

    def _open_session(self, exchange: Exchange) -> Reply:
        stranger = self._stranger(exchange)
        if stranger is not None:
            return stranger
        try:
            data = exchange.json()["data"]
            note = data["attributes"].get("note")
            kind = data["type"]
        except (ValueError, TypeError, KeyError, AttributeError):
            return self.bad_value(exchange, "data.type and data.attributes are required.", "data")
        if kind != "session" or not isinstance(note, str | None):
            return self.bad_value(exchange, "data.type must be session, note a string.", "type")
        rng = self.world.plans.rng("unique_tokens", "session")
        session = Session(
            str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            note,
            exchange.request.remote or "",
            exchange.request.headers.get("User-Agent", ""),
            exchange.now,
        )
        self._sessions[session.key] = session
        return self.ok(201, {"links": {"self": "/api/sessions"}, "data": session.resource()})

    def _list_sessions(self, exchange: Exchange) -> Reply:
        stranger = self._stranger(exchange)
        if stranger is not None:
            return stranger
        if self.world.switches.unique_tokens.sessions_uuid == "session_key":
            found = self.session(exchange)
            if isinstance(found, Reply):
                return found
            if found.key != exchange.path("uuid"):
                code = self.world.switches.unique_tokens.unknown_id_code
                return self.refusal(exchange, code, "Sessions not listed", "Unknown identifier.", "id")
        customer = {"data": {"type": "customer", "id": exchange.path("uuid"), "attributes": _CUSTOMER}}
        return self.ok(
            200,
            {
                "links": {"self": exchange.request.path},
                "relationships": {"customer": customer},
                "data": [session.resource() for session in self._sessions.values()],
            },
        )

    def _revoke_session(self, exchange: Exchange) -> Reply:
        stranger = self._stranger(exchange)
        if stranger is not None:
            return stranger
        found = self.session(exchange)
        if isinstance(found, Reply):
            return found
        if found.key != exchange.path("uuid"):
            code = self.world.switches.unique_tokens.session_code
            return self.refusal(exchange, code, "Session not revoked", "Unknown Session-Key.", "id")
        found.revoked_at = exchange.now
        if self.world.switches.unique_tokens.revoked_lines == "deleted":
            for line in found.lines.values():
                line.deleted_at = line.deleted_at or exchange.now
        return self.ok(200, {"links": {"self": exchange.request.path}, "data": [found.resource()]})

    def _get(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        alphabet = self.find_alphabet(session, exchange.path("name"))
        if alphabet is None:
            return self._unknown_alphabet(exchange)
        digits = exchange.request.match_info.get("digits")
        if digits is not None and not (digits.isdecimal() and 1 <= int(digits) <= 100):
            return self.bad_value(exchange, "Out of limit.", "digits")
        links = {"self": exchange.request.path_qs}
        return self.ok(200, {"links": links, "data": alphabet.resource(digits)})

    def _search(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        known = [*PRESETS.values(), *session.alphabets.values()]
        try:
            found = alphabets.search(known, dict(exchange.request.query))
        except ValueError:
            return self.bad_value(exchange, "Not an integer.", "filter[length]")
        links = {"self": exchange.request.path_qs}
        return self.ok(200, {"links": links, "data": [item.resource() for item in found]})

    def _add(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        try:
            data = exchange.json()["data"]
            kind, name, chars = data["type"], data["id"], data["attributes"]["chars"]
        except (ValueError, TypeError, KeyError):
            return self.bad_value(exchange, "data.id, data.type and chars are required.", "data")
        if kind != "alphabet" or not isinstance(name, str) or not name or name in PRESETS:
            return self.bad_value(exchange, "Name not usable.", "id")
        if not isinstance(chars, str) or len(chars) < 2 or len(set(chars)) != len(chars) or "\n" in chars:
            return self.bad_value(exchange, "Characters must be at least two, and different.", "chars")
        if name in session.alphabets and self.world.switches.unique_tokens.same_alphabet == "refused":
            return self.bad_value(exchange, "Name in use.", "id")
        alphabet = session.alphabets[name] = Alphabet(name, chars, custom=True)
        return self.ok(201, {"links": {"self": "/api/alphabets"}, "data": alphabet.resource()})

    def _delete(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        alphabet = session.alphabets.pop(exchange.path("name"), None)
        if alphabet is None:
            return self._unknown_alphabet(exchange)
        return self.ok(200, {"links": {"self": exchange.request.path}, "data": alphabet.resource()})

    def _delete_all(self, exchange: Exchange) -> Reply:
        session = self.session(exchange)
        if isinstance(session, Reply):
            return session
        gone = [alphabet.resource() for alphabet in session.alphabets.values()]
        session.alphabets.clear()
        return self.ok(200, {"links": {"self": "/api/alphabets"}, "data": gone})

    def _unknown_alphabet(self, exchange: Exchange) -> Reply:
        code = self.world.switches.unique_tokens.unknown_id_code
        return self.refusal(exchange, code, "Alphabet not found", "Unknown alphabet.", "id")
