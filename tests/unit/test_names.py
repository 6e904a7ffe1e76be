"""The grammar of names that become keys: what another application may call its tasks and queues."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.names import MALFORMED, check_queue, check_task, well_formed

#: No name at all, whomever it belongs to.
UNFIT = [
    "", " ", " billing", "billing ", "bill ing", "billing\n", "\nbilling", "a\rb", "a\tb", "a\0b", "a\x1b[31mb",
    "settle:{commonsdb}:due", "{billing}", "billing\x06\x163", "celery\x06\x163", "celery\x06\x169",
    "ѕettle.poll", "settle．poll", "billing\u200b", "\u202ebilling", "\ud800", "ｃelery", "ſettle:owner:x",
    "a*", "a?", "a[b]", "a\\b", "a'b", 'a"b', "~*", "(a)", "a;b", ".billing", "-billing", ":billing", "/billing",
    "a" * 201, "a" * 10_000,
]  # fmt: skip
#: Queues of Settle, of Celery, of the broker.
TAKEN = [
    "celery", "Celery", "CELERY", "settle", "SETTLE", "settle.poll", "settle.files", "Settle.Submit", "settle.anything",
    "settle:owner:j-1", "settle:inbox:celery:leases", "settle:targets", "SETTLE:owner:x", "settle.", "settle:",
    "celery.pidbox", "reply.celery.pidbox", "w@host.celery.pidbox", "0f-1.reply.celery.pidbox", "celery.pidbox.x",
    "celeryev", "celeryev.0f-1", "celery-task-meta-order-1", "Celery-Task-Meta-x", "celery-taskset-meta-x",
    "celery-taskset-meta-x.j", "chord-unlock-x", "_kombu.binding.celery", "_kombu.binding_deadlines", "unacked",
    "unacked_index", "unacked_mutex", "celery_delayed_27", "celery_delayed_delivery", "amq.topic",
    "amq.rabbitmq.reply-to",
]  # fmt: skip
FREE = [
    "billing", "b", "billing.high", "billing:eu", "team/billing", "w@host.dq2", "a" * 200, "7", "_private", "Billing-2",
    "celery2", "celery.emails", "celery-emails", "settlement", "settle-orders", "settle_x", "orders=eu", "a+b#1",
]  # fmt: skip


@pytest.mark.parametrize("name", FREE)
def test_names_of_other_applications(name: str) -> None:
    """They are as they were."""
    assert check_queue(name) == name


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_name(name: str) -> None:
    """Refused for tasks and queues alike, with what to use, and never quoted."""
    assert not well_formed(name)
    for check in (check_queue, check_task):
        with pytest.raises(ValueError, match=r"^use 1 to 200 ASCII letters, digits and _ \. : / @ \+ # = -, with a "):
            check(name)


@pytest.mark.parametrize("name", TAKEN)
def test_queues_that_belong_to_others(name: str) -> None:
    """In any case of letters."""
    with pytest.raises(ValueError, match=r"^name the queue of another application: this one belongs to "):
        check_queue(name)


@pytest.mark.parametrize("name", ["settle", "settle.poll", "Settle.myipr.certify", "settle:x", "celery.map", "celery"])
def test_tasks_that_belong_to_others(name: str) -> None:
    """Those of Settle and of Celery itself, which would run any other."""
    with pytest.raises(ValueError, match=r"^name the task of another application: this one belongs to "):
        check_task(name)


@pytest.mark.parametrize("name", ["billing.paid", "__main__.add", "shop.tasks:send", "settlement.book", "celeryx.y"])
def test_tasks_of_other_applications(name: str) -> None:
    """They are as they were."""
    assert check_task(name) == name


@given(st.text(max_size=220))
def test_no_accepted_queue_is_a_key_of_settle(name: str) -> None:
    """Whatever is accepted is plain ASCII in one line, and lies below no prefix of ours."""
    try:
        accepted = check_queue(name)
    except ValueError:
        return
    assert accepted.isascii()
    assert accepted.isprintable()
    assert not {" ", "{", "}", "*", "?", "["} & set(accepted)
    assert not accepted.lower().startswith(("settle:", "settle.", "celery-task", "_kombu", "unacked"))


def test_other_types_are_no_names() -> None:
    """As JSON brings them."""
    assert not any(map(well_formed, (None, 1, ["a"], {}, MALFORMED)))
