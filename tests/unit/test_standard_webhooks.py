"""Only what the provider has signed, and just sent, is believed; whatever else comes is refused with a reason."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from providers.notification import NotGenuine, Unreadable
from providers.standard_webhooks import StandardWebhook, WebhookSettings
from tests.notices import OTHER_SECRET, SECRET, signed

NOW = 1_790_000_000.0
HOOK = StandardWebhook(job="data.reference")
BODY = {"type": "job.done", "data": {"reference": "print-1"}}


def _settings(secret: str = SECRET, **changes: Any) -> WebhookSettings:
    return WebhookSettings.model_validate({"webhook_secret": secret, **changes})


def _verified(body: Any = BODY, secret: str = SECRET, hook: StandardWebhook = HOOK, **how: Any) -> tuple[str, ...]:
    content, headers = signed(body, secret, **{"at": NOW, **how})
    return hook.verify(_settings(), headers, content, NOW)


def test_what_the_schemes_own_library_signs() -> None:
    """Made by the library of the scheme's authors (standardwebhooks 1.1.0), with the secret of its documentation."""
    settings = _settings("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,CjT1mfwy/0xJCIQ6S/U2RcJez+lsLCOWoj6JeMKX9Ck=",
    }
    body = b'{"test": 2432232314, "data": {"reference": "print-1"}}'
    assert HOOK.verify(settings, headers, body, 1614265330.0) == ("print-1",)
    with pytest.raises(NotGenuine):
        HOOK.verify(settings, headers, body + b" ", 1614265330.0)


def test_the_names_of_headers_have_any_case() -> None:
    """As HTTP has it."""
    content, headers = signed(BODY, at=NOW)
    shouted = {name.upper(): value for name, value in headers.items()}
    assert HOOK.verify(_settings(), shouted, content, NOW) == ("print-1",)


def test_a_secret_is_changed_without_a_gap() -> None:
    """Two secrets count while it is changed, and of several signatures one is enough."""
    content, headers = signed(BODY, OTHER_SECRET, at=NOW)
    with pytest.raises(NotGenuine):
        HOOK.verify(_settings(), headers, content, NOW)
    assert HOOK.verify(_settings(f"{SECRET} {OTHER_SECRET}"), headers, content, NOW) == ("print-1",)
    _, ours = signed(BODY, at=NOW)
    both = f"v1a,c29tZXRoaW5n {headers['webhook-signature']} {ours['webhook-signature']}"
    assert HOOK.verify(_settings(), {**headers, "webhook-signature": both}, content, NOW) == ("print-1",)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int(NOW) + 1)},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "1" * 5000},
        {"webhook-timestamp": "١٧٩"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,ä"},
        {"webhook-signature": "v1,not base64"},
        {"webhook-signature": "v2,c29tZXRoaW5n"},
        {"webhook-signature": " ".join(["v1,c29tZXRoaW5n"] * 10_000)},
    ],
    ids=range(12),
)
def test_any_other_header_is_refused(change: dict[str, str]) -> None:
    """Each of the three is part of what is signed; rubbish is refused like a forgery, and quickly."""
    content, headers = signed(BODY, at=NOW)
    with pytest.raises(NotGenuine):
        HOOK.verify(_settings(), {**headers, **change}, content, NOW)
    missing = {name: value for name, value in headers.items() if name not in change}
    with pytest.raises(NotGenuine):
        HOOK.verify(_settings(), missing, content, NOW)


def test_a_signature_far_down_the_list_is_not_looked_for() -> None:
    """A header full of signatures costs no more than a few."""
    content, headers = signed(BODY, at=NOW)
    headers["webhook-signature"] = " ".join(["v1,c29tZXRoaW5n"] * 8 + [headers["webhook-signature"]])
    with pytest.raises(NotGenuine):
        HOOK.verify(_settings(), headers, content, NOW)


@pytest.mark.parametrize(("age", "counts"), [(299, True), (-299, True), (301, False), (-301, False)])
def test_an_old_one_is_refused(age: float, counts: bool) -> None:
    """And one from the future; the tolerance is a setting."""
    content, headers = signed(BODY, at=NOW)
    if counts:
        assert HOOK.verify(_settings(), headers, content, NOW + age) == ("print-1",)
    else:
        with pytest.raises(NotGenuine, match="not sent now"):
            HOOK.verify(_settings(), headers, content, NOW + age)
    assert HOOK.verify(_settings(webhook_tolerance=500), headers, content, NOW + age) == ("print-1",)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[" * 30_000,
        [],
        "text",
        {"data": {}},
        {"data": None},
        {"data": {"reference": ""}},
        {"data": {"reference": None}},
        {"data": {"reference": True}},
        {"data": {"reference": ["print-1"]}},
        {"data": {"reference": "x" * 501}},
    ],
    ids=range(13),
)
def test_one_that_names_no_job_is_unreadable(body: Any) -> None:
    """The provider's signature is on it, and yet nothing can be done; the reason quotes nothing of it."""
    with pytest.raises(Unreadable, match=r"data\.reference: names no job"):
        _verified(body)


def test_a_provider_may_name_jobs_by_its_own_names() -> None:
    """Its numbers are texts in a receipt."""
    hook = StandardWebhook(remote="job")
    assert (hook.by_remote_id, HOOK.by_remote_id) == (True, False)
    assert _verified({"job": 17}, hook=hook) == ("17",)


@pytest.mark.parametrize("paths", [{}, {"job": "a", "remote": "b"}], ids=str)
def test_a_declaration_has_one_path(paths: dict[str, str]) -> None:
    """Else the module does not load."""
    with pytest.raises(ValueError, match="either job or remote"):
        StandardWebhook(**paths)


@pytest.mark.parametrize(
    "secret", ["", " ", "whsec_", "whsec_???", "whsec_c2hvcnQ=", "whsec_" + base64.b64encode(bytes(65)).decode()]
)
def test_a_secret_that_is_none_is_refused_at_start(secret: str) -> None:
    """With what to do about it; the secret itself is quoted nowhere."""
    with pytest.raises(ValidationError) as refused:
        _settings(secret)
    (error,) = refused.value.errors(include_input=False)
    assert error["loc"] == ("webhook_secret",)
    assert "c2hvcnQ" not in error["msg"]


def test_without_a_secret_there_is_no_door() -> None:
    """And nothing is believed by whoever asks nevertheless."""
    content, headers = signed(BODY, at=NOW)
    assert not HOOK.ready(WebhookSettings())
    assert HOOK.ready(_settings())
    with pytest.raises(NotGenuine):
        HOOK.verify(WebhookSettings(), headers, content, NOW)
