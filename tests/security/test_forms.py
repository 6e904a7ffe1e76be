"""The search itself: a value is found in every form, and nowhere else."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from .forms import Search


@pytest.mark.parametrize("form", ["plain", "upper", "quoted", "json", "hex", "base64 0", "base64 1", "base64 2"])
def test_the_search_finds_a_value_in_each_form(form: str) -> None:
    """Within other text, and not where it is not."""
    value = "Zoë Quarterwhistle"
    raw = value.encode()
    text = {
        "plain": raw,
        "upper": b"ZO\xc3\xab QUARTERWHISTLE",
        "quoted": quote(value).encode(),
        "json": json.dumps(value).encode(),
        "hex": raw.hex().encode(),
        **{f"base64 {i}": base64.b64encode(b"." * i + raw + b" and more") for i in range(3)},
    }[form]
    search = Search({"name": value})
    assert search.found(b"before " + text + b" after") == {"name"}
    assert search.found(b"before Quarter whistle after") == set()
