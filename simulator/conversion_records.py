"""The records of a LettrLabs conversion upload: checks and echoes (contract lettrlabs 4)."""

import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from simulator.switches import LettrLabsSwitches

_LENGTHS = {
    **dict.fromkeys(("firstName", "lastName", "fullName", "businessName", "couponCode"), 255),
    **dict.fromkeys(("primaryPhoneNumber", "secondaryPhoneNumber"), 20),
    **dict.fromkeys(("primaryEmail", "secondaryEmail", "orderId", "storeId", "uniqueId"), 255),
}
_STRINGS = (*_LENGTHS, "type", "crmId", "customerId", "eventDate")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_ADDRESS = ("address1", "city", "state", "zipCode")
_LARGEST_REVENUE = 7.922816251426434e28


def problems(record: Any, switches: LettrLabsSwitches, now: float) -> list[str]:
    """List what is wrong with one record of the posted array; an empty list when it is valid.

    `now` is in real epoch seconds.
    """
    if not isinstance(record, dict):
        return ["record must be an object"]
    found = [
        f"{name} must be a string"
        for name in _STRINGS
        if record.get(name) is not None and not isinstance(record[name], str)
    ]
    found += [
        f"{name} must be an object"
        for name in ("primaryAddress", "secondaryAddress")
        if record.get(name) is not None and not isinstance(record[name], dict)
    ]
    if found:
        return found
    if switches.overlong == "reject":
        found += [
            f"{name} is longer than {longest}"
            for name, longest in _LENGTHS.items()
            if len(record.get(name) or "") > longest
        ]
    for name in ("primaryEmail", "secondaryEmail"):
        if record.get(name) and not _EMAIL.fullmatch(record[name]):
            found.append(f"{name} is not an email address")
    if not _identified(record):
        found.append("at least one identifier is required")
    found += _revenue_problems(record.get("revenue"), switches)
    if record.get("eventDate") and switches.event_date != "anything":
        found += _date_problems(record["eventDate"], switches, now)
    if switches.types is not None and record.get("type") is not None and record["type"] not in switches.types:
        found.append("type is unknown")
    return found


def _date_problems(text: str, switches: LettrLabsSwitches, now: float) -> list[str]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return ["eventDate is not a date-time"]
    if switches.event_date == "with_offset" and moment.tzinfo is None:
        return ["eventDate has no offset"]
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if switches.event_date == "past" and aware.timestamp() > now:
        return ["eventDate is in the future"]
    return []


def texts(wrong: list[str], position: int, record: Any, switches: LettrLabsSwitches) -> list[str]:
    """Write the problems of the record at `position` as the answer shows them."""
    which = {"position": f"[{position}] ", "order_id": f"{order_id(record) or '?'}: ", "plain": ""}
    return [which[switches.error_texts] + problem for problem in wrong]


def _identified(record: dict[str, Any]) -> bool:
    """Tell whether there is an email, a phone number, a coupon code or a whole address."""
    names = ("primaryEmail", "secondaryEmail", "primaryPhoneNumber", "secondaryPhoneNumber", "couponCode")
    if any(record.get(name) for name in names):
        return True
    addresses = [record.get("primaryAddress") or {}, record.get("secondaryAddress") or {}]
    return any(all(address.get(part) for part in _ADDRESS) for address in addresses)


def _revenue_problems(revenue: Any, switches: LettrLabsSwitches) -> list[str]:
    if revenue is None:
        return ["revenue is required"]
    is_number = isinstance(revenue, int | float) and not isinstance(revenue, bool)
    if not is_number and not isinstance(revenue, str):
        return ["revenue must be a number or a string"]
    wanted = switches.revenue_request
    if wanted != "any" and is_number != (wanted == "number"):
        return [f"revenue must be a {wanted}"]
    try:
        value = float(revenue)
    except (ValueError, OverflowError):
        return ["revenue is not a number"]
    if not math.isfinite(value) or not 0 <= value <= _LARGEST_REVENUE:
        return ["revenue is out of range"]
    return ["revenue must not be 0"] if value == 0 and switches.zero_revenue == "refused" else []


def echo(record: dict[str, Any], switches: LettrLabsSwitches) -> dict[str, Any]:
    """Repeat a record as the answer shows it: revenue in the type of the switch, long fields cut."""
    shown = dict(record)
    if shown.get("revenue") is not None:
        text = _rounded(str(shown["revenue"]), switches.revenue_decimals)
        shown["revenue"] = text if switches.revenue_echo == "string" else _number(text)
    for name, longest in _LENGTHS.items():
        if isinstance(shown.get(name), str):
            shown[name] = shown[name][:longest]
    return shown


def _rounded(text: str, decimals: int | None) -> str:
    if decimals is None:
        return text
    try:
        return f"{Decimal(text):.{decimals}f}"
    except ArithmeticError:
        return text


def _number(text: str) -> float | int | str:
    try:
        value = Decimal(text)
    except ArithmeticError:
        return text
    if not value.is_finite():
        return text
    return int(value) if value == value.to_integral_value() else float(value)


def order_id(record: Any) -> str | None:
    """Give the `orderId` of a record, when it has a usable one."""
    value = record.get("orderId") if isinstance(record, dict) else None
    return value if isinstance(value, str) and value else None
