"""The page of Unique Tokens says nothing that is not so: its examples are valid, its settings and answers exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs import errors
from providers.unique_tokens import UniqueTokens, UniqueTokensSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "providers" / "unique_tokens.md").read_text()
EXAMPLES = re.findall(r"<<'JSON'\n(.*?)\nJSON\n\$ settle submit unique_tokens\.(\w+) ", PAGE, re.DOTALL)


def test_the_examples_are_valid_and_cover_every_workflow() -> None:
    """They can be typed as they stand; and every argument is explained."""
    known = {operation.name: operation.request for operation in UniqueTokens.operations}
    assert {name for _, name in EXAMPLES} == set(known)
    for body, name in EXAMPLES:
        request = known[name].model_validate(json.loads(body))
        with pytest.raises(ValidationError):
            known[name].model_validate({**request.model_dump(), "no_such": 1})
    for request_type in known.values():
        for field in request_type.model_fields:
            assert re.search(rf"[`\"]{field}[`\"]", PAGE), field


def test_the_settings_exist_and_all_own_ones_are_named() -> None:
    """With a value that they take, where one is given."""
    own = set(UniqueTokensSettings.model_fields)
    named = re.findall(r"SETTLE_UNIQUE_TOKENS__([A-Z_]+)(?:=(\w+))?", PAGE)
    for name, value in named:
        assert name.lower() in own
        if value:
            UniqueTokensSettings.model_validate({name.lower(): value})
    special = set(UniqueTokensSettings.__annotations__) - {"poll_maximum"}
    assert special <= {name.lower() for name, _ in named}


def test_the_kinds_of_failure_exist() -> None:
    """As they stand in the error of a job."""
    kinds = {re.sub(r"(?<=.)([A-Z])", r"_\1", name).lower() for name in vars(errors)}
    for kind in re.findall(r"`(\w+_mismatch|duplicate_line)`", PAGE):
        assert kind in kinds
