"""Whether the public record shows a declaration: metadata and search (contract commonsdb 4, 5).

`success` is not yet "findable" (3.3). Which of its shapes metadata answers in is not documented, so each is understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from providers.answer import Answer
from providers.commonsdb.identifier import cid_v1
from providers.commonsdb.requests import plain_json
from providers.errors import BadAnswer, NotFound
from providers.http import ProviderClient, segment


async def in_metadata(http: ProviderClient, identifier: str, computed: str | None = None) -> bool:
    """Whether `GET /v1/metadata/{identifier}` shows a declaration.

    Args:
        http: of the provider.
        identifier: as the service gave it.
        computed: as we computed it, should that differ.

    Raises:
        ProviderError: it could not be asked.
    """
    answer = await http.call("GET", f"/v1/metadata/{segment(identifier)}")
    try:
        body = answer.check("error", "message").object()
    except NotFound:
        return False
    names = {*_names(body), answer.headers.get("x-cid-header")}
    return identifier in names or (computed is not None and computed in names)


async def in_search(http: ProviderClient, iscc: str, identifier: str, computed: str | None = None) -> bool:
    """Whether `GET /v1/search/{code}` lists a declaration of this ISCC; further arguments as above.

    Raises:
        ProviderError: it could not be asked.
    """
    answer: Answer = await http.call("GET", f"/v1/search/{segment(iscc.removeprefix('ISCC:'))}")
    body = answer.check("error", "message").object()
    if not isinstance(body.get("results"), list):
        raise BadAnswer("the search has no list of results")
    names = set(_names(body))
    return identifier in names or (computed is not None and computed in names)


def _names(body: Mapping[str, Any]) -> Iterator[str]:
    """The identifiers in an answer: of a declaration, a bare `publicMetadata`, or each of a list of results."""
    results = body.get("results")
    documents = (
        [_part(each, "docBody") for each in results if isinstance(each, dict)] if isinstance(results, list) else [body]
    )
    for document in documents:
        named = _part(document, "metaInternal").get("cidV1")
        if isinstance(named, str):
            yield named
            continue
        held = _part(document, "declarationMetadata") or document
        public = _part(held, "publicMetadata") or held
        with suppress(ValueError):  # a stranger's object may be none that has an identifier
            yield cid_v1(plain_json(public))


def _part(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}
