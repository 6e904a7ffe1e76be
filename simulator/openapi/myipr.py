"""The shapes of the myIPR Open API (contract myipr 2 to 7)."""

from typing import Any

from simulator.openapi.shapes import Api, Closed, File, Open, Shape, absent


class Envelope(Closed):
    """What all answers share: an integer status, and a message."""

    status: int
    message: str


class Certificate(Open):
    """A hash to be certified."""

    name: str
    category_id: str
    file_source: str
    hash: str
    size: str


class Made(Open):
    """The ids of a new file and its version; a further field is not known."""

    message: str
    fileId: str  # noqa: N815
    versionId: str  # noqa: N815


class Category(Closed):
    """A category."""

    id: int
    name: str


class Version(Closed):
    """A certified version. `status` is about the certification, `fileStatus` is not."""

    version_id: str
    fileId: str  # noqa: N815
    version_name: str
    fileName: str  # noqa: N815
    fileStatus: str  # noqa: N815
    is_primary: bool
    size: str
    description: str | None
    hash: str
    category: Category
    status: str
    error: dict[str, Any]
    user: dict[str, str]
    created_at: str
    lastUpdatedAt: str  # noqa: N815
    transaction_id: str | None = None


class Link(Closed):
    """The pre-signed address of a certificate."""

    certificateLink: str  # noqa: N815


class Entry(Closed):
    """A file in the list."""

    id: str | int
    primary_version_id: str
    name: str
    contributor: str
    status: str
    createdAt: str  # noqa: N815


class CreateAnswer(Envelope):
    """Of create."""

    result: Made


class VersionAnswer(Envelope):
    """Of get-version."""

    result: Version
    results: list[Version] = absent()


class LinkAnswer(Envelope):
    """Of certificate."""

    result: Link | list[Link]


class VersionsAnswer(Envelope):
    """Of get-file: the array under either name."""

    result: list[Version] = absent()
    results: list[Version] = absent()


class EntriesAnswer(Envelope):
    """Of recent-files."""

    result: list[Entry]


class CategoriesAnswer(Envelope):
    """Of categories: the array under either name."""

    result: list[dict[str, int | str]] = absent()
    results: list[dict[str, int | str]] = absent()


class EnvelopeRefusal(Envelope):
    """An error in the envelope; that of a duplicate may name the existing ids."""

    result: dict[str, str] = absent()


class Hint(Closed):
    """An error in the other shape."""

    message: str
    errorField: str  # noqa: N815
    customErrorNumber: int  # noqa: N815
    result: dict[str, str] = absent()


API = Api(
    title="myIPR Open API",
    schemes={
        "myipr": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "the key after the word SECRET",
        }
    },
    errors={"application/json": EnvelopeRefusal | Hint, "application/xml": File, "text/html": File},
    errors_as_success=True,
    shapes={
        "create": Shape("Certify a hash", CreateAnswer, Certificate),
        "get_version": Shape("A version, to be polled; reads although it is a POST", VersionAnswer),
        "certificate": Shape("Address of a version's certificate", LinkAnswer),
        "get_file": Shape("The versions of a file; reads although it is a POST", VersionsAnswer),
        "wrong_method": Shape("Refused: this address is asked by POST", EnvelopeRefusal | Hint),
        "recent_files": Shape("The files of the account", EntriesAnswer, query={"page": "from 1"}),
        "categories": Shape("The categories; one of the two methods is refused", CategoriesAnswer),
        "certificate_pdf": Shape(
            "A certificate, for as long as its address lives", File, media="application/pdf", public=True
        ),
    },
)
