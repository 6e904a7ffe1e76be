"""What a whole run is made of: secrets of its own, people, and jobs of all four providers that end in every way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

import simulator
from config.settings import Settings
from simulator import samples

#: What callers and providers say of people, and what they pay with. Each stands in one field of a request or an answer.
PERSONAL = {
    "first name": "Zenobiana",
    "last name": "Quarterwhistle",
    "e-mail": "zenobiana.q@private.example",
    "phone": "5557391846",
    "street": "77 Hollyhock Crescent",
    "city": "Upper Thistleby",
    "second phone": "5558264971",
    "bad e-mail": "no-address-of-wilhelmina",
    "refused name": "Bartholomewson",
    "chained name": "Featherstonehaugh",
    "member's name": "Cholmondeley",
    "rubbish": "Ravenscroft-Smythe",
}
#: People whom the simulated APIs name in their answers.
ANSWERED = {
    "myIPR user": "ada@example.test",
    "LettrLabs profile": "ops@example.test",
    "customer": "customer@example.test",
}
#: In the address of a file that myIPR signs.
SIGNED_LINK = "X-Amz-Expires"

KEYS: dict[simulator.Provider, str] = {
    "commonsdb": "key-of-commonsdb-5e1d09ab77",
    "myipr": "key-of-myipr-c04fe81d22",
    "unique_tokens": "key-of-tokens-9b7730aa41",
    "lettrlabs": "LL-API-key-of-lettrlabs-80fd",
}
GROUP_KEY = "key-of-no-api-3fa1b5c8"  #: every provider's settings have one, though a group calls nobody
REDIS_PASSWORD = "redis-password-41d8cd98"
CALLER_PASSWORD = "caller-password-b20498ec"
FLOWER_PASSWORD = "flower-password-7e3c5a90"
SENTINEL_PASSWORD = "sentinel-password-4d91b7e2"
#: The base64 of 32 bytes, without the whsec_ in front.
WEBHOOK_SECRET = "d2ViaG9vay1zZWNyZXQtMDNkMWE3YzkxZTViNDQ4Mg=="


def secret_settings() -> set[str]:
    """The variable of each setting that is a secret, read from the model itself."""

    def within(model: type[BaseModel], prefix: str) -> Iterator[str]:
        for name, info in model.model_fields.items():
            kinds = [info.annotation, *get_args(info.annotation)]
            if SecretStr in kinds:
                yield prefix + name.upper()
            for kind in kinds:
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    yield from within(kind, f"{prefix}{name.upper()}__")

    return set(within(Settings, "SETTLE_"))


def _record(order_id: str, **changes: Any) -> dict[str, Any]:
    address = {"address1": PERSONAL["street"], "city": PERSONAL["city"], "state": "IL", "zipCode": "62701"}
    people = {"firstName": PERSONAL["first name"], "lastName": PERSONAL["last name"], "primaryAddress": address}
    reached = {"primaryEmail": PERSONAL["e-mail"], "primaryPhoneNumber": PERSONAL["phone"]}
    return samples.conversion(order_id, **{**people, **reached, **changes})


def payment(name: str) -> dict[str, str]:
    """A payment of its own for each job."""
    paid = samples.payment(name)
    return {"id": paid["id"], "ident": paid["ident"]}


def _tokens(name: str, **more: Any) -> dict[str, Any]:
    return {"alphabet": "UPPER_HEX", "digits": 12, "size": 2000, "payment": payment(name), **more}


def _certificate(name: str, **changes: Any) -> dict[str, Any]:
    body = samples.certificate_request(name)
    return {**{key: body[key] for key in ("name", "category_id", "hash", "size")}, **changes}


SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"

#: What is triggered, and how it must end. In the second wave providers lose answers and refuse keys.
FIRST: dict[str, tuple[str, dict[str, Any], str]] = {
    "certified": ("myipr.certify", _certificate("Harbour at dusk"), "succeeded"),
    "mint-failed": ("myipr.certify", _certificate("Mill in winter"), "failed"),
    "bad-hash": ("myipr.certify", _certificate("Old bridge", hash=PERSONAL["rubbish"]), "failed"),
    "declared": ("commonsdb.declare", {"metadata": samples.plain_metadata("Open field")}, "succeeded"),
    "produced": (
        "unique_tokens.produce",
        {
            **_tokens("produced", seed=SEED),
            "then": [{"workflow": "lettrlabs.convert", "kwargs": {
                "conversions": [_record("SO-2", lastName=PERSONAL["chained name"])]}}],
        },
        "succeeded",
    ),
    "converted": ("lettrlabs.convert", {"conversions": [_record("SO-1")]}, "succeeded"),
    "bad-mail": (
        "lettrlabs.convert", {"conversions": [_record("SO-3", primaryEmail=PERSONAL["bad e-mail"])]}, "failed"
    ),
    "several": (
        "group",
        {
            "jobs": [
                {"workflow": "lettrlabs.convert", "kwargs": {
                    "conversions": [_record("SO-4", lastName=PERSONAL["member's name"])]}},
                {"workflow": "myipr.certify", "kwargs": _certificate("Lamp at noon")},
            ]
        },
        "succeeded",
    ),
}  # fmt: skip
SECOND: dict[str, tuple[str, dict[str, Any], str]] = {
    "upload-failed": (
        "lettrlabs.convert",
        {"conversions": [_record("SO-5", primaryPhoneNumber=PERSONAL["second phone"])]},
        "failed",
    ),
    "lost-upload": (
        "lettrlabs.convert", {"conversions": [_record("SO-6", lastName=PERSONAL["refused name"])]}, "succeeded"
    ),
    "lost-certificate": ("myipr.certify", _certificate("Quiet water"), "succeeded"),
    "lost-tokens": ("unique_tokens.produce", _tokens("lost-tokens"), "succeeded"),
    "wrong-digest": ("unique_tokens.produce", _tokens("wrong-digest", seed=SEED), "failed"),
}  # fmt: skip
