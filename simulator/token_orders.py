"""Orders of token production as they arrive: JSON or multipart bodies, read and checked (contract 6.1, 6.2)."""

import json
import re
from dataclasses import dataclass
from typing import Any

from simulator.alphabets import Alphabet
from simulator.exchange import Exchange
from simulator.token_lines import LIMITS


@dataclass(frozen=True, slots=True)
class Order:
    """A production request; `size` and `digits` were strings of digits or integers."""

    alphabet: str
    digits: int
    size: int
    seed: str | None
    payment: dict[str, str]


class OrderError(ValueError):
    """An order cannot be understood; `parameter` names the part."""

    def __init__(self, detail: str, parameter: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.parameter = parameter


class UnpaidError(ValueError):
    """An order carries no complete payment confirmation."""


def multipart(exchange: Exchange) -> dict[str, bytes]:
    """Split a multipart body into its parts by file name or field name."""
    match = re.search(r'boundary="?([^";]+)"?', exchange.request.headers.get("Content-Type", ""))
    if match is None:
        return {}
    parts = {}
    for piece in (b"\r\n" + exchange.body).split(b"\r\n--" + match[1].encode())[1:]:
        head, _, content = piece.partition(b"\r\n\r\n")
        for name in re.findall(rb'name="([^"]*)"', head):
            parts[name.decode("utf-8", "replace")] = content
    return parts


def body_of(exchange: Exchange) -> bytes:
    """Give the JSON text of an order, from the body or from the part `info.json`."""
    if exchange.request.content_type.startswith("multipart/"):
        return multipart(exchange).get("info.json", b"")
    return exchange.body


def payment_ident(exchange: Exchange) -> str | None:
    """Give the payment intent of an order, when there is one to be read."""
    try:
        ident = json.loads(body_of(exchange))["data"]["relationships"]["payment"]["data"]["ident"]
    except (ValueError, TypeError, KeyError):
        return None
    return ident if isinstance(ident, str) else None


def read(text: bytes) -> Order:
    """Read an order; raises `OrderError` or `UnpaidError`."""
    try:
        body = json.loads(text)
        data = body["data"]
        attributes = data["attributes"]
        kind = data["type"]
    except (ValueError, TypeError, KeyError) as error:
        raise OrderError("data.type and data.attributes are required.", "data") from error
    if kind != "tokens":
        raise OrderError("data.type must be tokens.", "type")
    name = attributes.get("alphabet") if isinstance(attributes, dict) else None
    if not isinstance(name, str):
        raise OrderError("Unknown alphabet.", "alphabet")
    digits, size = _integer(attributes, "digits"), _integer(attributes, "size")
    seed = body["meta"].get("seed") if isinstance(body.get("meta"), dict) else None
    if not isinstance(seed, str | None):
        raise OrderError("seed must be a string.", "seed")
    return Order(name, digits, size, seed, _payment(data))


def _integer(attributes: dict[str, Any], name: str) -> int:
    value = attributes.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isdecimal() and len(value) < 4000:
        return int(value)
    raise OrderError("Not an integer.", name)


def _payment(data: dict[str, Any]) -> dict[str, str]:
    try:
        payment = data["relationships"]["payment"]["data"]
        found = {"id": payment["id"], "ident": payment["ident"]}
        kind = payment["type"]
    except (TypeError, KeyError) as error:
        raise UnpaidError from error
    if kind != "transaction" or not all(isinstance(value, str) and value for value in found.values()):
        raise UnpaidError
    return found


def limits(alphabet: Alphabet, order: Order, left: int) -> tuple[int, int, str]:
    """Give the largest size that can be produced, and code and detail of the refusal of a larger one.

    402 above what a part or the agreement allows, 406 above all that the alphabet has left (contract 8).
    """
    largest = min(LIMITS["maxTokens"], alphabet.reachable(order.digits, left))
    return (largest, 406, "Out of range.") if order.size > left else (largest, 402, "Out of limit.")
