"""The shapes of the LettrLabs API, conversions group (contract lettrlabs 3 to 7)."""

from typing import Any

from simulator.openapi.shapes import Api, Closed, File, Open, Shape, absent


class Profile(Closed):
    """The account behind the key: personal data."""

    id: int
    aadId: str  # noqa: N815
    email: str
    firstName: str  # noqa: N815
    lastName: str  # noqa: N815
    company: str
    created: str
    shouldProcessQrCodes: bool  # noqa: N815


class Conversion(Open):
    """One record."""

    orderId: str | None = None  # noqa: N815
    revenue: float | str | None = None
    eventDate: str | None = None  # noqa: N815


class Upload(Closed):
    """An upload; all but its id may be missing."""

    id: int
    fileName: str | None = None  # noqa: N815
    dataSourceType: str | None = None  # noqa: N815
    status: str | None = None
    uploadDate: str = absent()  # noqa: N815


class Envelope(Closed):
    """The frame of every answer, in either of its two forms."""

    hasErrors: bool  # noqa: N815
    hasWarnings: bool  # noqa: N815
    profile: Profile | None = None
    errors: list[str] | None = None
    warnings: list[str] | None = None
    errorDetails: list[Any] | None = None  # noqa: N815
    metadata: dict[str, Any] | None = None


class MeAnswer(Envelope):
    """Of the key check."""

    payload: Profile


class PostAnswer(Envelope):
    """Of POST: the records that were taken."""

    payload: list[Conversion]


class ListAnswer(Envelope):
    """Of the list."""

    payload: list[Upload]


class StatusAnswer(Envelope):
    """Of status and DELETE."""

    payload: Upload | None = None


_EITHER: Any = StatusAnswer | str
API = Api(
    title="LettrLabs, conversions",
    schemes={"lettrlabs": {"type": "apiKey", "in": "header", "name": "X-API-KEY"}},
    errors={"application/json": _EITHER | PostAnswer, "text/plain": str, "text/html": File},
    shapes={
        "me": Shape("The account of the key", MeAnswer),
        "create_conversions": Shape("Upload conversions", PostAnswer, list[Conversion]),
        "list_conversions": Shape(
            "The uploads of the account", ListAnswer, query={"pageNumber": "from 0", "pageSize": "at most 500"}
        ),
        "conversion_status": Shape("Status of an upload, to be polled", StatusAnswer),
        "delete_conversion": Shape("Mark an upload for deletion", StatusAnswer),
    },
)
