"""What callers may send: every field that is wrong is named by its path, and its value is never quoted."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.errors import InvalidJob
from providers.commonsdb import DeclareRequest
from providers.lettrlabs.records import ConvertRequest, DeleteRequest
from providers.myipr import CertifyRequest
from providers.settings import ProviderSettings
from providers.unique_tokens import ContinueRequest, ProduceRequest
from simulator import samples
from tasks.intake import problems, validate

SECRET = "Geheimnis-4711"

DECLARATION = {"declaration": samples.declaration(name="Harbour", registry=True)}
PLAIN = {"metadata": samples.plain_metadata("Harbour"), "registry": samples.plain_registry()}
PUBLIC = ("declaration", "declarationMetadata", "publicMetadata")
CERTIFY = {"name": "Harbour", "category_id": "10", "hash": "ab" * 32, "size": "1079"}
STORED = {"category": "Legal", "file": "unique_tokens/order-1/tokens.txt"}
PRODUCE = {
    "alphabet": "UPPER_HEX",
    "digits": 12,
    "size": 2000,
    "payment": {"id": "27d98afb", "ident": "pi_1"},
    "seed": None,
    "snapshot": False,
}
OWN = {**PRODUCE, "alphabet": "mine", "chars": "ABC", "digits": 7}
NEXT = {"former": "order-1", "size": 2000, "payment": PRODUCE["payment"]}
CONVERT = {"conversions": [samples.conversion("SO-1"), samples.conversion("SO-2")]}
DELETE = {"id": 7}


def changed(body: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The body with another value at this place; an ellipsis takes it away."""
    made: Any = copy.deepcopy(body)
    place = made
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made  # type: ignore[no-any-return]


def nested(levels: int) -> Any:
    """An object in an object in an object."""
    value: Any = SECRET
    for _ in range(levels):
        value = {"a": value}
    return value


def kind(value: Any) -> str:
    """What a value is, for the name of a test."""
    return "missing" if value is ... else type(value).__name__


CASES: list[tuple[type[Any], dict[str, Any], tuple[Any, ...], Any, str]] = [
    (DeclareRequest, DECLARATION, ("declaration",), ..., "request"),
    (DeclareRequest, DECLARATION, ("declaration",), None, "request"),
    (DeclareRequest, DECLARATION, ("metadata",), {"iscc": samples.iscc("x"), "name": SECRET}, "request"),
    (DeclareRequest, DECLARATION, ("registry",), samples.plain_registry(), "request"),
    (DeclareRequest, PLAIN, ("metadata",), ..., "request"),
    (DeclareRequest, PLAIN, ("metadata",), SECRET, "metadata"),
    (DeclareRequest, PLAIN, ("metadata", "iscc"), ..., "metadata.iscc"),
    (DeclareRequest, PLAIN, ("metadata", "iscc"), SECRET, "metadata.iscc"),
    (DeclareRequest, PLAIN, ("metadata", "name"), "", "metadata.name"),
    (DeclareRequest, PLAIN, ("metadata", "timestamp"), 1_790_000_000_000, "metadata.timestamp"),
    (DeclareRequest, PLAIN, ("metadata", "version"), 0, "metadata.version"),
    (DeclareRequest, PLAIN, ("metadata", "version"), True, "metadata.version"),
    (DeclareRequest, PLAIN, ("metadata", "sourceUrl"), SECRET, "metadata.sourceUrl"),
    (DeclareRequest, PLAIN, ("metadata", "supersedes"), f"../{SECRET}", "metadata.supersedes"),
    (DeclareRequest, PLAIN, ("metadata", "supersedes"), "", "metadata.supersedes"),
    (DeclareRequest, PLAIN, ("metadata", "declarerId"), SECRET, "metadata.declarerId"),
    (DeclareRequest, PLAIN, ("metadata", "$schema"), SECRET, "metadata.$schema"),
    (DeclareRequest, PLAIN, ("metadata", "credentials"), [], "metadata.credentials"),
    (DeclareRequest, PLAIN, ("metadata", "credentials"), [{"id": SECRET}], "metadata.credentials.0.proof"),
    (DeclareRequest, PLAIN, ("metadata", "extra"), float("nan"), "metadata"),
    (DeclareRequest, PLAIN, ("registry", "location"), ..., "registry.location"),
    (DeclareRequest, PLAIN, ("registry", "timestamp"), 1, "registry.timestamp"),
    (DeclareRequest, PLAIN, ("registry", "licence"), SECRET, "registry.licence"),
    (DeclareRequest, PLAIN, ("registry", "credentials"), [{"proof": SECRET}], "registry.credentials.0.proof"),
    (DeclareRequest, PLAIN, ("registry", "rightsStatement"), SECRET, "registry.rightsStatement"),
    (
        DeclareRequest,
        PLAIN,
        ("registry", "rightsStatement"),
        "http://creativecommons.org/licenses/by/4.0/",
        "registry.rightsStatement",
    ),
    (
        DeclareRequest,
        PLAIN,
        ("registry", "rightsStatement"),
        "https://creativecommons.org/licenses/by/4.0",
        "registry.rightsStatement",
    ),
    (DeclareRequest, DECLARATION, ("declaration",), SECRET, "declaration"),
    (DeclareRequest, DECLARATION, ("declaration",), [SECRET], "declaration"),
    (DeclareRequest, DECLARATION, ("declaration", "signature"), SECRET, "declaration.signature"),
    (DeclareRequest, DECLARATION, ("declaration", "signature"), ..., "declaration.signature"),
    (DeclareRequest, DECLARATION, ("declaration", "tsaSignature"), SECRET, "declaration.tsaSignature"),
    (DeclareRequest, DECLARATION, ("declaration", "tsaSignature", "tsr"), "", "declaration.tsaSignature.tsr"),
    (DeclareRequest, DECLARATION, ("declaration", "tsaSignature", "tsq"), ..., "declaration.tsaSignature.tsq"),
    (DeclareRequest, DECLARATION, ("declaration", "declarationMetadata"), ..., "declaration.declarationMetadata"),
    (DeclareRequest, DECLARATION, (*PUBLIC, "iscc"), SECRET, ".".join((*PUBLIC, "iscc"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "iscc"), ..., ".".join((*PUBLIC, "iscc"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "name"), "", ".".join((*PUBLIC, "name"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "timestamp"), "1790000000000", ".".join((*PUBLIC, "timestamp"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "timestamp"), 1.5, ".".join((*PUBLIC, "timestamp"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "timestamp"), True, ".".join((*PUBLIC, "timestamp"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "declarerId"), SECRET, ".".join((*PUBLIC, "declarerId"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "credentials"), [], ".".join((*PUBLIC, "credentials"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "credentials", 0), SECRET, ".".join((*PUBLIC, "credentials", "0"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "$schema"), SECRET, ".".join((*PUBLIC, "$schema"))),
    (DeclareRequest, DECLARATION, (*PUBLIC, "@context"), ..., ".".join((*PUBLIC, "@context"))),
    (DeclareRequest, DECLARATION, ("declaration", "commonsDbRegistrySignature"), ..., "declaration"),
    (DeclareRequest, DECLARATION, ("declaration", "commonsDbRegistryTsaSignature"), None, "declaration"),
    (DeclareRequest, DECLARATION, (*PUBLIC, "extra"), float("nan"), "declaration"),
    (DeclareRequest, DECLARATION, (*PUBLIC, "extra"), float("-inf"), "declaration"),
    (DeclareRequest, DECLARATION, (*PUBLIC, "extra"), 10**400, "declaration"),
    (DeclareRequest, DECLARATION, (*PUBLIC, "extra"), f"{SECRET}\ud800", "declaration"),
    (DeclareRequest, DECLARATION, (*PUBLIC, f"{SECRET}\udfff"), 1, "declaration"),
    (DeclareRequest, DECLARATION, (*PUBLIC, "extra"), nested(70), "declaration"),
    (DeclareRequest, DECLARATION, (*PUBLIC, "extra"), nested(5000), "declaration"),
    (DeclareRequest, DECLARATION, (*PUBLIC, "extra"), {SECRET}, "declaration"),
    (CertifyRequest, CERTIFY, ("name",), "", "name"),
    (CertifyRequest, CERTIFY, ("name",), f" {SECRET}", "name"),
    (CertifyRequest, CERTIFY, ("name",), SECRET * 20, "name"),
    (CertifyRequest, CERTIFY, ("name",), f"{SECRET} ", "name"),
    (CertifyRequest, CERTIFY, ("name",), f"{SECRET}\n{SECRET}", "name"),
    (CertifyRequest, CERTIFY, ("name",), 4711, "name"),
    (CertifyRequest, CERTIFY, ("name",), f"{SECRET}\ud800", "name"),
    (CertifyRequest, CERTIFY, ("category_id",), "", "category_id"),
    (CertifyRequest, CERTIFY, ("category_id",), ..., "category_id"),
    (CertifyRequest, CERTIFY, ("category",), SECRET, "category_id"),
    (CertifyRequest, CERTIFY, ("category",), "", "category"),
    (CertifyRequest, CERTIFY, ("file",), SECRET, "hash"),
    (CertifyRequest, CERTIFY, ("file",), "", "file"),
    (CertifyRequest, CERTIFY, ("file",), SECRET * 200, "file"),
    (CertifyRequest, CERTIFY, ("hash",), ..., "hash"),
    (CertifyRequest, CERTIFY, ("hash",), SECRET, "hash"),
    (CertifyRequest, CERTIFY, ("hash",), "ab" * 32 + "\n", "hash"),
    (CertifyRequest, CERTIFY, ("size",), f"{SECRET} kB", "size"),
    (CertifyRequest, CERTIFY, ("size",), "-1", "size"),
    (CertifyRequest, CERTIFY, ("size",), ..., "size_bytes"),
    (CertifyRequest, CERTIFY, ("size_bytes",), 7, "size_bytes"),
    (CertifyRequest, CERTIFY, ("size_bytes",), 0, "size_bytes"),
    (CertifyRequest, CERTIFY, ("size_bytes",), "7", "size_bytes"),
    (CertifyRequest, CERTIFY, ("size_bytes",), True, "size_bytes"),
    (CertifyRequest, STORED, ("size",), "12", "size_bytes"),
    (CertifyRequest, STORED, ("size_bytes",), 12, "size_bytes"),
    (CertifyRequest, STORED, ("hash",), "ab" * 32, "hash"),
    (CertifyRequest, STORED, ("file",), ..., "hash"),
    (CertifyRequest, STORED, ("category",), ..., "category_id"),
    (ProduceRequest, PRODUCE, ("alphabet",), "", "alphabet"),
    (ProduceRequest, PRODUCE, ("alphabet",), SECRET * 20, "alphabet"),
    (ProduceRequest, PRODUCE, ("digits",), 2, "digits"),
    (ProduceRequest, PRODUCE, ("digits",), 101, "digits"),
    (ProduceRequest, PRODUCE, ("digits",), SECRET, "digits"),
    (ProduceRequest, PRODUCE, ("size",), 999, "size"),
    (ProduceRequest, PRODUCE, ("size",), 100_001, "size"),
    (ProduceRequest, PRODUCE, ("size",), 2000.5, "size"),
    (ProduceRequest, PRODUCE, ("payment",), SECRET, "payment"),
    (ProduceRequest, PRODUCE, ("payment", "id"), "", "payment.id"),
    (ProduceRequest, PRODUCE, ("payment", "ident"), ..., "payment.ident"),
    (ProduceRequest, PRODUCE, ("payment", "type"), SECRET, "payment.type"),
    (ProduceRequest, PRODUCE, ("seed",), "", "seed"),
    (ProduceRequest, PRODUCE, ("snapshot",), SECRET, "snapshot"),
    (ProduceRequest, PRODUCE, ("format",), SECRET, "format"),
    (ProduceRequest, PRODUCE, ("analysis",), SECRET, "analysis"),
    (ProduceRequest, {**PRODUCE, "alphabet": "DICE", "digits": 4}, ("size",), 1297, "size"),
    (ProduceRequest, OWN, ("size",), 2188, "size"),
    (ProduceRequest, OWN, ("alphabet",), "BASE62", "alphabet"),
    (ProduceRequest, OWN, ("alphabet",), f"{SECRET}!", "alphabet"),
    (ProduceRequest, OWN, ("alphabet",), "x" * 91, "alphabet"),
    (ProduceRequest, OWN, ("alphabet",), "mine\n", "alphabet"),
    (ProduceRequest, OWN, ("chars",), "A", "chars"),
    (ProduceRequest, OWN, ("chars",), "ABCA", "chars"),
    (ProduceRequest, OWN, ("chars",), f"{SECRET}\n", "chars"),
    (ProduceRequest, OWN, ("chars",), "AB\u2028", "chars"),
    (ProduceRequest, OWN, ("chars",), "AB\x7f", "chars"),
    (ProduceRequest, OWN, ("chars",), "AB\ud800", "chars"),
    (ProduceRequest, OWN, ("chars",), ["A", "B"], "chars"),
    (ContinueRequest, NEXT, ("former",), ..., "former"),
    (ContinueRequest, NEXT, ("former",), "", "former"),
    (ContinueRequest, NEXT, ("former",), 7, "former"),
    (ContinueRequest, NEXT, ("size",), 999, "size"),
    (ContinueRequest, NEXT, ("size",), 100_001, "size"),
    (ContinueRequest, NEXT, ("payment", "ident"), "", "payment.ident"),
    (ContinueRequest, NEXT, ("alphabet",), SECRET, "alphabet"),
    (ContinueRequest, NEXT, ("again",), SECRET, "again"),
    (ConvertRequest, CONVERT, ("conversions",), [], "conversions"),
    (ConvertRequest, CONVERT, ("conversions",), samples.conversion("SO-1"), "conversions"),
    (ConvertRequest, CONVERT, ("conversions", 1), SECRET, "conversions.1"),
    (ConvertRequest, CONVERT, ("conversions", 1), {"revenue": 1, "orderId": SECRET}, "conversions.1"),
    (
        ConvertRequest,
        CONVERT,
        ("conversions", 1),
        {"revenue": 1, "primaryAddress": {"address1": SECRET, "city": SECRET, "state": "IL"}},
        "conversions.1",
    ),
    (ConvertRequest, CONVERT, ("conversions", 0, "revenue"), ..., "conversions.0.revenue"),
    (ConvertRequest, CONVERT, ("conversions", 0, "revenue"), -0.01, "conversions.0.revenue"),
    (ConvertRequest, CONVERT, ("conversions", 0, "revenue"), 8e28, "conversions.0.revenue"),
    (ConvertRequest, CONVERT, ("conversions", 0, "revenue"), float("nan"), "conversions.0.revenue"),
    (ConvertRequest, CONVERT, ("conversions", 0, "revenue"), SECRET, "conversions.0.revenue"),
    (ConvertRequest, CONVERT, ("conversions", 1, "primaryEmail"), SECRET, "conversions.1.primaryEmail"),
    (ConvertRequest, CONVERT, ("conversions", 1, "primaryEmail"), f"{SECRET}@a b", "conversions.1.primaryEmail"),
    (ConvertRequest, CONVERT, ("conversions", 1, "primaryPhoneNumber"), "5" * 21, "conversions.1.primaryPhoneNumber"),
    (ConvertRequest, CONVERT, ("conversions", 1, "firstName"), SECRET * 30, "conversions.1.firstName"),
    (ConvertRequest, CONVERT, ("conversions", 1, "orderId"), 4711, "conversions.1.orderId"),
    (ConvertRequest, CONVERT, ("conversions", 1, "orderId"), SECRET * 30, "conversions.1.orderId"),
    (ConvertRequest, CONVERT, ("conversions", 1, "eventDate"), "2026-03-04T16:20:00", "conversions.1.eventDate"),
    (ConvertRequest, CONVERT, ("conversions", 1, "eventDate"), SECRET, "conversions.1.eventDate"),
    (
        ConvertRequest,
        CONVERT,
        ("conversions", 1, "primaryAddress", "zipCode"),
        62701,
        "conversions.1.primaryAddress.zipCode",
    ),
    (
        ConvertRequest,
        CONVERT,
        ("conversions", 1, "primaryAddress", "street"),
        SECRET,
        "conversions.1.primaryAddress.street",
    ),
    (ConvertRequest, CONVERT, ("conversions", 1, "email"), SECRET, "conversions.1.email"),
    (DeleteRequest, DELETE, ("id",), ..., "id"),
    (DeleteRequest, DELETE, ("id",), "7", "id"),
    (DeleteRequest, DELETE, ("id",), -1, "id"),
    (DeleteRequest, DELETE, ("id",), 7.0, "id"),
    (DeleteRequest, DELETE, ("id",), True, "id"),
]


@pytest.mark.parametrize(
    ("model", "body", "path", "value", "field"),
    CASES,
    ids=[f"{n}-{case[0].__name__}-{'.'.join(map(ascii, case[2]))}-{kind(case[3])}" for n, case in enumerate(CASES)],
)
def test_a_bad_field_is_named_and_not_quoted(
    model: type[Any], body: dict[str, Any], path: tuple[Any, ...], value: Any, field: str
) -> None:
    """The line that callers and logs see begins with the path of the field."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(changed(body, path, value))
    lines = problems(caught.value)
    assert lines.startswith(f"{field}: ")
    assert len(lines) > len(field) + 5
    for text in (lines, str(caught.value)):
        assert SECRET not in text


def test_the_path_of_a_nested_field_is_really_there() -> None:
    """An ISCC deep inside a declaration, through everything that stands between it and a trigger."""
    body = changed(DECLARATION, (*PUBLIC, "iscc"), SECRET)
    with pytest.raises(InvalidJob, match=r"^declaration\.declarationMetadata\.publicMetadata\.iscc: "):
        validate(DeclareRequest, (), body)


def test_several_bad_fields_are_all_named() -> None:
    """One trigger tells everything that is wrong."""
    with pytest.raises(InvalidJob) as caught:
        validate(ProduceRequest, (), {**PRODUCE, "digits": 1, "size": 1, "payment": {}})
    for field in ("digits: ", "size: ", "payment.id: ", "payment.ident: "):
        assert field in str(caught.value)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (DeclareRequest, DECLARATION),
        (CertifyRequest, CERTIFY),
        (CertifyRequest, STORED),
        (CertifyRequest, {"category": "Legal", "hash": "ab" * 32, "size_bytes": 1079}),
        (ProduceRequest, PRODUCE),
        (ProduceRequest, OWN),
        (ContinueRequest, NEXT),
        (ConvertRequest, CONVERT),
        (DeleteRequest, DELETE),
    ],
    ids=lambda value: getattr(value, "__name__", "-".join(value) if isinstance(value, dict) else ""),
)
def test_unknown_keywords_are_refused(model: type[Any], body: dict[str, Any]) -> None:
    """A misspelt one would be forgotten in silence; positional ones are not taken; a valid body passes."""
    with pytest.raises(InvalidJob, match=r"^priority: "):
        validate(model, (), {**body, "priority": SECRET})
    with pytest.raises(InvalidJob, match=r"^arguments: "):
        validate(model, (SECRET,), body)
    options, own = validate(model, (), {**body, "tags": {"a": "b"}, "deadline": 60})
    assert (options.tags, options.deadline, own) == ({"a": "b"}, 60, body)


def test_our_own_names_of_fields_are_not_the_contracts() -> None:
    """`schema_` and `context` would pass our check and be sent under names that nobody knows."""
    public = copy.deepcopy(DECLARATION["declaration"]["declarationMetadata"]["publicMetadata"])
    public["schema_"] = public.pop("$schema")
    public["context"] = public.pop("@context")
    body = changed(DECLARATION, PUBLIC, public)
    with pytest.raises(InvalidJob) as caught:
        validate(DeclareRequest, (), body)
    assert r"publicMetadata.$schema: " in str(caught.value)
    assert r"publicMetadata.@context: " in str(caught.value)


def test_numbers_may_come_as_numbers_where_the_contract_wants_strings() -> None:
    """A category and a size, for callers that read them from elsewhere."""
    request = CertifyRequest.model_validate({**CERTIFY, "category_id": 10, "size": 1079.5})
    assert (request.category_id, request.size) == ("10", "1079.5")


@pytest.mark.parametrize("record", [{"couponCode": "SPRING-9"}, {"secondaryPhoneNumber": "555"}], ids=str)
def test_one_identifier_is_enough(record: dict[str, str]) -> None:
    """Any of them counts, and the largest revenue is allowed."""
    request = ConvertRequest.model_validate({"conversions": [{**record, "revenue": 7.9e28}]})
    assert request.conversions[0].orderId is None


@pytest.mark.parametrize("levels", [1, 20, 50])
def test_a_declaration_may_be_nested(levels: int) -> None:
    """Far deeper than its shape, and unknown keys pass unchanged."""
    body = changed(DECLARATION, (*PUBLIC, "extra"), nested(levels))
    assert DeclareRequest.model_validate(body).body == body["declaration"]


def test_settings_that_contradict_themselves_are_refused() -> None:
    """The rule is said in a sentence; a key is never shown."""
    for values in (
        {"poll_minimum": 5, "poll_maximum": 2},
        {"poll_first": 100, "deadline": 50},
        {"base_url": "nonsense"},
        {"read_timeout": 0},
        {"no_such": 1},
    ):
        with pytest.raises(ValidationError):
            ProviderSettings.model_validate({"base_url": "https://api.example", "api_key": SECRET, **values})
    shown = repr(ProviderSettings.model_validate({"base_url": "https://api.example", "api_key": SECRET}))
    assert SECRET not in shown
