"""The shapes of the CommonsDB API (contract commonsdb 2 to 6)."""

from typing import Any

from pydantic import Field

from simulator.openapi.shapes import Api, Closed, Open, Shape, absent


class Stamp(Open):
    """An RFC 3161 time stamp, base64."""

    tsr: str
    tsq: str


class PublicMetadata(Open):
    """What is declared."""

    schema_: str = Field(alias="$schema")
    context: str = Field(alias="@context")
    iscc: str
    name: str
    timestamp: int
    declarerId: str  # noqa: N815
    credentials: list[dict[str, Any]] = Field(min_length=1)


class DeclarationMetadata(Open):
    """The public metadata and the optional registry block."""

    publicMetadata: PublicMetadata  # noqa: N815
    commonsDbRegistry: dict[str, Any] = absent()  # noqa: N815


class Declaration(Open):
    """A complete, signed declaration."""

    signature: str
    tsaSignature: Stamp  # noqa: N815
    declarationMetadata: DeclarationMetadata  # noqa: N815
    commonsDbRegistrySignature: str = absent()  # noqa: N815
    commonsDbRegistryTsaSignature: Stamp = absent()  # noqa: N815


class Accepted(Closed):
    """The answer to a declaration."""

    rayId: str  # noqa: N815
    message: str
    env: str
    iscc: str
    cidV1: str = Field(pattern=r"^[a-z2-7]{57}$")  # noqa: N815
    version: str


class Status(Closed):
    """The status record of a declaration."""

    identifier: str
    status: str
    message: str
    createdAt: int  # noqa: N815
    updatedAt: int  # noqa: N815
    version: str
    createdAtDateTime: str = absent()  # noqa: N815
    updatedAtDateTime: str = absent()  # noqa: N815


class Results(Closed):
    """The frame of search, and of metadata in its full shape."""

    q: str
    hashBits: str = absent()  # noqa: N815
    invalidCount: int  # noqa: N815
    version: str
    results: list[dict[str, Any]]


class FunctionRefusal(Open):
    """An error of the functions behind the gateway."""

    error: str
    message: str = absent()


class GatewayProblem(Closed):
    """An error of the gateway: problem details."""

    type: str
    title: str
    status: int
    instance: str
    trace: dict[str, str]


_METADATA = Declaration | PublicMetadata | Results
API = Api(
    title="CommonsDB",
    schemes={"commonsdb": {"type": "http", "scheme": "bearer"}},
    errors={"application/json": FunctionRefusal, "application/problem+json": GatewayProblem, "text/plain": str},
    shapes={
        "declare": Shape("Declare a work", Accepted, Declaration),
        "status": Shape("Status of a declaration", Status),
        "metadata": Shape("Metadata of a declaration", _METADATA),
        "metadata_pub": Shape("Public metadata of a declaration", _METADATA, public=True),
        "search": Shape("Declarations of an ISCC", Results),
    },
)
