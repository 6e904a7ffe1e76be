"""The shapes of the Unique Tokens API (contract unique-tokens 3 to 8)."""

from typing import Any, Literal

from pydantic import Field

from simulator.openapi.shapes import Api, Closed, File, Open, Shape, absent

_MEDIA = "application/vnd.api+json"
_DIGITS = r"^\d+$"


class SessionAttributes(Closed):
    """What is known of a session."""

    note: str = absent()
    client: str
    agent: str
    timestamps: dict[str, str]
    limits: dict[str, int]


class Session(Closed):
    """A session."""

    type: Literal["session"]
    id: str
    attributes: SessionAttributes


class SessionDocument(Closed):
    """A session as an answer."""

    links: dict[str, str]
    data: Session


class SessionsDocument(Closed):
    """Sessions as an answer."""

    links: dict[str, str]
    data: list[Session]
    relationships: dict[str, Any] = absent()


class NewSessionAttributes(Open):
    """What is asked of a session."""

    note: str | None = None


class NewSession(Open):
    """A session to be opened."""

    type: Literal["session"]
    attributes: NewSessionAttributes


class OpenSession(Open):
    """The request for a session."""

    data: NewSession


class AlphabetAttributes(Closed):
    """What is known of an alphabet; its capacity when digits were given."""

    chars: str
    length: int
    bytes: int
    ascii: bool
    parity: Any
    digits: str = absent(pattern=r"^\d*$")
    available: str = absent(pattern=r"^\d*$")
    reachable: str = absent(pattern=r"^\d*$")


class Alphabet(Closed):
    """An alphabet."""

    type: Literal["alphabet"]
    id: str
    attributes: AlphabetAttributes


class AlphabetDocument(Closed):
    """An alphabet as an answer."""

    links: dict[str, str]
    data: Alphabet


class AlphabetsDocument(Closed):
    """Alphabets as an answer."""

    links: dict[str, str]
    data: list[Alphabet]


class AddAlphabet(Open):
    """The request for an alphabet of one's own."""

    data: dict[str, Any]


class LineAttributes(Closed):
    """What is known of a production line. Large numbers are strings."""

    status: str
    analysis: str
    alphabet: str
    digits: str = Field(pattern=_DIGITS)
    size: str = Field(pattern=_DIGITS)
    available: str = Field(pattern=_DIGITS)
    reachable: str = Field(pattern=_DIGITS)
    progress: int = absent(ge=0, le=100)
    rate: int = absent()
    partial: bool = absent()
    checksum: str = absent()
    filesizes: dict[str, int] = absent()
    filehashes: dict[str, str] = absent()
    timestamps: dict[str, str]


class Payment(Closed):
    """A confirmed payment."""

    type: Literal["transaction"]
    id: str
    ident: str


class PaymentData(Closed):
    """A payment in its relationship."""

    data: Payment


class Relationships(Closed):
    """What a line is bound to."""

    payment: PaymentData


class Line(Closed):
    """A production line."""

    type: Literal["tokens"]
    id: str
    attributes: LineAttributes
    relationships: Relationships
    meta: dict[str, str] = absent()
    links: dict[str, str] = absent()


class LineDocument(Closed):
    """A line as an answer."""

    meta: dict[str, str] = absent()
    links: dict[str, str]
    data: Line


class LinesDocument(Closed):
    """Lines as an answer."""

    links: dict[str, str]
    data: list[Line]


class OrderAttributes(Open):
    """What is ordered; numbers may be strings."""

    alphabet: str
    digits: int | str
    size: int | str


class OrderData(Open):
    """An order."""

    type: Literal["tokens"]
    attributes: OrderAttributes
    relationships: Relationships


class Order(Open):
    """The request for tokens."""

    meta: dict[str, str] = absent()
    data: OrderData


class Part(Open):
    """The request for the next part: the order, and the snapshot of the part before."""

    info: str = Field(description="an order as JSON, as the file info.json")
    snapshot: str = Field(description="the snapshot, as the file snapshot.blob")


class Source(Closed):
    """Where an error lies."""

    parameter: str
    pointer: str


class OneError(Closed):
    """One error; its status is an integer."""

    status: int
    title: str
    detail: str
    source: Source


class Errors(Closed):
    """An error document."""

    errors: list[OneError] = Field(min_length=1)
    links: dict[str, str]


_FILE = "application/json; charset=utf-8"
_GZ = {"format": "gz for the compressed file"}
_NAMES = {
    "filter[name]": "part of a name", "filter[length]": "number of characters", "filter[chars]": "characters it has",
}  # fmt: skip
_FILES = {
    f"{name}{suffix}": Shape(f"{text}{' (only its length)' if suffix else ''}", answer, query=_GZ, media=_FILE)
    for name, text in {
        "data": "The tokens, one a line",
        "snapshot": "The state from which a next part can go on",
        "score": "The score of each token",
        "delta": "The steps between scores",
        "analysis": "The analysis",
    }.items()
    for suffix, answer in (("", File), ("_head", None))
}
API = Api(
    title="Unique Tokens",
    schemes={
        "api_key": {"type": "apiKey", "in": "header", "name": "Api-Key"},
        "session_key": {"type": "apiKey", "in": "header", "name": "Session-Key"},
    },
    errors={_MEDIA: Errors},
    errors_as_success=True,
    shapes={
        "open_session": Shape("Open a session", SessionDocument, OpenSession, {}, _MEDIA, _MEDIA, keys=("api_key",)),
        "list_sessions": Shape("The customer's sessions", SessionsDocument, media=_MEDIA, keys=("api_key",)),
        "revoke_session": Shape("Revoke a session", SessionsDocument, media=_MEDIA, keys=("api_key", "session_key")),
        "search_alphabets": Shape("Search alphabets", AlphabetsDocument, query=_NAMES, media=_MEDIA),
        "add_alphabet": Shape("Add an alphabet to the session", AlphabetDocument, AddAlphabet, {}, _MEDIA, _MEDIA),
        "delete_alphabets": Shape("Delete the session's alphabets", AlphabetsDocument, media=_MEDIA),
        "get_alphabet": Shape("An alphabet, with its capacity if digits are given", AlphabetDocument, media=_MEDIA),
        "delete_alphabet": Shape("Delete an alphabet", AlphabetDocument, media=_MEDIA),
        "post_tokens": Shape(
            "Start a production line", LineDocument, Order, {"analysis": "metrics for an analysis"}, _MEDIA, _MEDIA
        ),
        "post_next_part": Shape(
            "Go on with a line", LineDocument, Part, media=_MEDIA, body_media="multipart/form-data"
        ),
        "get_tokens": Shape("A line as it is", LineDocument, media=_MEDIA),
        "get_milestone": Shape("A line as it was at a milestone", LineDocument, media=_MEDIA),
        "list_tokens": Shape("The lines of the session", LinesDocument, media=_MEDIA),
        "delete_tokens": Shape("Dismantle a line", LineDocument, media=_MEDIA),
        "delete_all_tokens": Shape("Dismantle all lines of the session", LinesDocument, media=_MEDIA),
        **_FILES,
    },
)
