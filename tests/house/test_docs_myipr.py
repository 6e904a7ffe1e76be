"""The page of myIPR says nothing that is not so: examples are valid, settings exist, and none is left out."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from providers.myipr import MyIPRSettings
from providers.myipr.request import CertifyRequest
from providers.settings import ProviderSettings
from tasks.intake import validate
from workflows.command.certify import certify

PAGE = (Path(__file__).parents[2] / "docs" / "providers" / "myipr.md").read_text()
BODIES = re.findall(r"<<'JSON'\n(.*?)\nJSON", PAGE, re.DOTALL)


def test_every_setting_of_the_page_exists_and_every_own_one_is_on_it() -> None:
    """A guess that has no row in the table is found by nobody."""
    named = {name.lower() for name in re.findall(r"SETTLE_MYIPR__([A-Z_]+)", PAGE)}
    assert named <= set(MyIPRSettings.model_fields)
    own = set(MyIPRSettings.model_fields) - set(ProviderSettings.model_fields)
    assert own <= named


def test_the_values_of_the_page_can_be_set() -> None:
    """`NAME=value`, as it stands there."""
    pairs = re.findall(r"SETTLE_MYIPR__([A-Z_]+)=(\w+)", PAGE)
    assert len(pairs) >= 4
    for name, value in pairs:
        field = name.lower()
        settings = MyIPRSettings.model_validate({field: int(value) if value.isdecimal() else value})
        assert getattr(settings, field) != MyIPRSettings.model_fields[field].default


def test_the_defaults_of_the_page_are_the_defaults() -> None:
    """Numbers and words that the page gives."""
    own = MyIPRSettings()
    assert f"`SETTLE_MYIPR__RECENT_PAGES` pages ({own.recent_pages}," in PAGE
    assert f"**The name** that Settle makes up is `{own.name_prefix}`" in PAGE
    assert f"every {own.poll_minimum:g} to {own.poll_maximum:g} s" in PAGE
    assert f"{own.deadline / 60:g} minutes are enough" in PAGE
    assert f"a kilobyte of `size` is {own.kilobyte:,} bytes" in PAGE
    assert f"a host of `{own.download_hosts[0]}`" in PAGE
    for word in (*own.words_succeeded, *own.words_running):
        assert f"`{word}`" in PAGE


@pytest.mark.parametrize("body", BODIES, ids=[str(number) for number in range(len(BODIES))])
def test_each_body_of_the_page_is_accepted(body: str) -> None:
    """Copied and sent."""
    validate(CertifyRequest, (), json.loads(body))


def test_each_argument_is_on_the_page() -> None:
    """In the table of arguments."""
    table = PAGE.split("## `myipr.certify`")[1].split("###")[0]
    for name in CertifyRequest.model_fields:
        assert f"`{name}`" in table


def test_each_command_line_can_be_typed() -> None:
    """With the options that the command has."""
    lines = re.findall(r"^\$ settle certify (.*)$", PAGE, re.MULTILINE)
    assert lines
    for line in lines:
        certify.make_context("certify", shlex.split(line))
    flags = {flag for option in certify.params for flag in option.opts if flag.startswith("--")}
    section = PAGE.split("### A file on this machine")[1].split("###")[0]
    assert {flag for flag in flags if flag in section} == flags
