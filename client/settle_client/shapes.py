"""What triggers are made of. Settle checks all values; these types only help to write them.

A test compares them with Settle's own models, so that they cannot differ.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from settle_client.errors import InvalidJob


def ref(path: str, of: int | str | None = None) -> Any:
    """A reference for `kwargs` of a link: the value that the outcome of an earlier job has there.

    Args:
        path: as in `artifacts[tokens.txt].sha256`.
        of: the place of that job in the chain (0 is the first), or the name of a link; the job before if not given.
    """
    return {"$from": path} | ({} if of is None else {"$of": of})


def key_of(*parts: object, prefix: str = "") -> str:
    """An id that is always the same for the same parts, so that doing something again triggers no second job.

    Ids are shown in Flower and in logs. The parts are not: only their SHA-256 is in the id. It tells nobody what
    cannot be guessed.

    Args:
        parts: whatever makes the job what it is, as JSON has it: `key_of("invoice", 4711, {"part": 2})`.
        prefix: what the id begins with, in clear text.

    Raises:
        InvalidJob: nothing is given, or something that JSON does not know.
    """
    if not parts:
        raise InvalidJob("key_of: give at least one part, such as the number of an order")
    try:
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidJob(f"key_of: give texts, numbers, lists and dictionaries ({error})") from None
    return prefix + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class WorkflowLink(TypedDict):
    """What follows a job: another workflow of Settle."""

    workflow: str
    kwargs: NotRequired[Mapping[str, Any]]
    id: NotRequired[str]
    name: NotRequired[str]
    tags: NotRequired[Mapping[str, str]]
    deadline: NotRequired[float]


class TaskLink(TypedDict):
    """What follows a job: a Celery task of another application on the same broker."""

    task: str
    queue: str
    kwargs: NotRequired[Mapping[str, Any]]
    id: NotRequired[str]
    name: NotRequired[str]


Link = WorkflowLink | TaskLink


class Member(TypedDict):
    """One job of a group."""

    workflow: str
    kwargs: NotRequired[Mapping[str, Any]]
    id: NotRequired[str]
    tags: NotRequired[Mapping[str, str]]
    deadline: NotRequired[float]
    then: NotRequired[Sequence[Link]]


class Options(TypedDict, total=False):
    """What every trigger takes beside the workflow's own arguments."""

    job_id: str
    """The id of the job; made if not given. Its idempotency key: the same id and arguments again are the same job."""

    tags: Mapping[str, str]
    """Labels of your own, searchable."""

    deadline: float
    """Seconds from the trigger until the job is expired."""

    then: Sequence[Link]
    """What follows when the job has succeeded."""


class Payment(TypedDict):
    """A confirmed payment of Unique Tokens."""

    id: str
    ident: str


class RegistryCredential(TypedDict):
    """A credential of the registry block: its JWT."""

    proof: str


class Registry(TypedDict):
    """The registry block of a declaration."""

    location: str
    rightsStatement: str
    iscc: NotRequired[str]
    credentials: NotRequired[Sequence[RegistryCredential]]
    declarationId: NotRequired[str]


class Address(TypedDict, total=False):
    """A postal address; address1, city, state and zipCode together identify a customer."""

    fullAddress: str
    address1: str
    address2: str
    city: str
    state: str
    zipCode: str
    country: str


class Conversion(TypedDict):
    """One record of an upload to LettrLabs: a revenue, and at least one identifier."""

    revenue: float
    firstName: NotRequired[str]
    lastName: NotRequired[str]
    fullName: NotRequired[str]
    businessName: NotRequired[str]
    primaryAddress: NotRequired[Address]
    secondaryAddress: NotRequired[Address]
    couponCode: NotRequired[str]
    primaryPhoneNumber: NotRequired[str]
    secondaryPhoneNumber: NotRequired[str]
    primaryEmail: NotRequired[str]
    secondaryEmail: NotRequired[str]
    type: NotRequired[str]
    orderId: NotRequired[str]
    storeId: NotRequired[str]
    uniqueId: NotRequired[str]
    crmId: NotRequired[str]
    customerId: NotRequired[str]
    eventDate: NotRequired[str]
    """ISO 8601 with a time zone, as in `2026-03-04T16:20:00Z`."""


Packing = Literal["plain", "gz"]
Analysis = Literal["none", "metrics"]
