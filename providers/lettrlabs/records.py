"""The records of a LettrLabs upload: checked before they are sent (contract lettrlabs 4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import AwareDatetime, BeforeValidator, Field, field_serializer, model_validator

from providers.base import Request

Text = str | None

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]", re.ASCII)


class Address(Request):
    """A postal address; address1, city, state and zipCode together identify a customer (contract 4)."""

    fullAddress: Text = None  # noqa: N815 (the contract's names)
    address1: Text = None
    address2: Text = None
    city: Text = None
    state: Text = None
    zipCode: Text = None  # noqa: N815
    country: Text = None

    def identifies(self) -> bool:
        """Whether it is complete enough to count as an identifier."""
        return all((self.address1, self.city, self.state, self.zipCode))


def _text(limit: int) -> Any:
    return Field(None, max_length=limit)


def _date(value: Any) -> Any:
    """A bare number would be taken for seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
        return value
    raise ValueError("give an ISO date-time with a time zone, as in 2026-03-04T16:20:00Z")


class Conversion(Request):
    """One record (contract 4). At least one identifier, and always a revenue."""

    firstName: Text = _text(255)  # noqa: N815
    lastName: Text = _text(255)  # noqa: N815
    fullName: Text = _text(255)  # noqa: N815
    businessName: Text = _text(255)  # noqa: N815
    primaryAddress: Address | None = None  # noqa: N815
    secondaryAddress: Address | None = None  # noqa: N815
    couponCode: Text = _text(255)  # noqa: N815
    primaryPhoneNumber: Text = _text(20)  # noqa: N815
    secondaryPhoneNumber: Text = _text(20)  # noqa: N815
    primaryEmail: Text = Field(None, max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")  # noqa: N815
    secondaryEmail: Text = Field(None, max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")  # noqa: N815
    revenue: float = Field(ge=0, le=7.922816251426434e28, allow_inf_nan=False)
    type: Text = None
    orderId: Text = _text(255)  # noqa: N815
    storeId: Text = _text(255)  # noqa: N815
    uniqueId: Text = _text(255)  # noqa: N815
    crmId: Text = None  # noqa: N815
    customerId: Text = None  # noqa: N815
    eventDate: Annotated[AwareDatetime, BeforeValidator(_date)] | None = None  # noqa: N815

    @field_serializer("eventDate")
    def _utc(self, value: datetime | None) -> str | None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None

    @model_validator(mode="after")
    def _identified(self) -> Self:
        contacts = (
            self.primaryEmail,
            self.secondaryEmail,
            self.primaryPhoneNumber,
            self.secondaryPhoneNumber,
            self.couponCode,
        )
        addresses = (self.primaryAddress, self.secondaryAddress)
        if not any(contacts) and not any(address and address.identifies() for address in addresses):
            raise ValueError(
                "give at least one identifier: an email, a phone number, a coupon code, or an address with address1, "
                "city, state and zipCode"
            )
        return self


class ConvertRequest(Request):
    """The keyword arguments of `settle.lettrlabs.convert`."""

    rows: ClassVar[str | None] = "conversions"

    conversions: list[Conversion] = Field(min_length=1)


class DeleteRequest(Request):
    """The keyword arguments of `settle.lettrlabs.delete`."""

    id: int = Field(ge=0, strict=True, description="the conversion's id, an integer")


def plain(revenue: float) -> str:
    """Revenue as a text, with every digit that was given and without an exponent."""
    return format(Decimal(repr(revenue)), "f")


def order_hash(order: str | None) -> str | None:
    """How a record is named in results: an `orderId` may be personal, the first 16 digits of its SHA-256 are not."""
    return hashlib.sha256(order.encode("utf-8", "surrogatepass")).hexdigest()[:16] if order else None


def rejected(sent: list[dict[str, Any]], echoed: list[Any]) -> list[int] | None:
    """The positions of the records that an answer leaves out; none if that cannot be told.

    An answer repeats what it took, in order (contract 4), perhaps cut or written in another way: the caller's own
    names for a record are compared, and without one its contacts.

    Args:
        sent: the records as they were sent.
        echoed: those of the answer.
    """
    missing: list[int] = []
    waiting = [entry for entry in echoed if isinstance(entry, dict)]
    for position, record in enumerate(sent):
        if waiting and _alike(record, waiting[0]):
            waiting.pop(0)
        else:
            missing.append(position)
    return None if waiting else missing


def _alike(record: Mapping[str, Any], echo: Mapping[str, Any]) -> bool:
    names = [name for name in ("uniqueId", "orderId", "crmId") if record.get(name)]
    names = names or ["primaryEmail", "primaryPhoneNumber", "couponCode", "secondaryEmail", "secondaryPhoneNumber"]
    return all(record.get(name) == echo.get(name) for name in names)
