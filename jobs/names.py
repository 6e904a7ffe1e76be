"""Names of tasks and queues of other applications: what they consist of, and which belong to Settle or to Celery.

A queue is a key in Redis, so a name that anybody may choose could be that of any key. Every door asks here.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_WELL_FORMED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+#=-]{0,199}")
_GRAMMAR = "use 1 to 200 ASCII letters, digits and _ . : / @ + # = -, with a letter, a digit or _ first"

#: What is shown in the place of a malformed name.
MALFORMED = "(malformed name)"

#: The keys and queues of Settle; what Celery and kombu keep beside queues: control, events, results, chords, books,
#: countdowns; and what RabbitMQ keeps for itself. In lower case: some brokers and people do not tell cases apart.
_TAKEN_QUEUES = re.compile(
    r"celery|settle([.:].*)?"
    r"|(.*\.)?celery\.pidbox.*|celeryev.*|celery-task(set)?-meta-.*|chord-unlock-.*"
    r"|_kombu.*|unacked.*|celery_delayed.*|amq\..*"
)
_TAKEN_TASKS = re.compile(r"(settle|celery)([.:].*)?")


def well_formed(name: object) -> bool:
    """Whether it could be the name of a task or a queue, whomever it belongs to."""
    return isinstance(name, str) and _WELL_FORMED.fullmatch(name) is not None


def check_queue(name: str) -> str:
    """Accept the name of a queue of another application.

    Raises:
        ValueError: it is malformed, or belongs to Settle, to Celery or to the broker; the name is not quoted.
    """
    if not well_formed(name):
        raise ValueError(_GRAMMAR)
    if _TAKEN_QUEUES.fullmatch(name.lower()):
        raise ValueError(
            "name the queue of another application: this one belongs to Settle, to Celery itself or to the broker"
        )
    return name


def check_task(name: str) -> str:
    """Accept the name of a task of another application.

    Raises:
        ValueError: it is malformed, or belongs to Settle or to Celery; the name is not quoted.
    """
    if not well_formed(name):
        raise ValueError(_GRAMMAR)
    if _TAKEN_TASKS.fullmatch(name.lower()):
        raise ValueError(
            "name the task of another application: this one belongs to Settle or to Celery itself; "
            "as a link, name it as workflow, without settle. in front"
        )
    return name


QueueName = Annotated[str, AfterValidator(check_queue)]
TaskName = Annotated[str, AfterValidator(check_task)]
