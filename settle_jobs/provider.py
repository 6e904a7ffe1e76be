"""Everything that the module of a provider needs. These names are an interface: they follow the version of Settle."""

from jobs.artifacts import Artifact
from jobs.errors import InvalidJob
from jobs.record import Job
from providers.answer import Answer
from providers.base import (
    Located,
    Observation,
    Operation,
    Part,
    Probe,
    Provider,
    Request,
    Verdict,
    Words,
    id_text,
)
from providers.errors import (
    BadAnswer,
    Busy,
    Deferred,
    LostAnswer,
    NotFound,
    NotSent,
    ProviderError,
    Refused,
    Unauthorized,
    Unavailable,
    scrub,
)
from providers.http import segment
from providers.notification import NotGenuine, Notification, Unreadable
from providers.settings import ProviderSettings
from providers.standard_webhooks import StandardWebhook, WebhookSettings

__all__ = [
    "Answer",
    "Artifact",
    "BadAnswer",
    "Busy",
    "Deferred",
    "InvalidJob",
    "Job",
    "Located",
    "LostAnswer",
    "NotFound",
    "NotGenuine",
    "NotSent",
    "Notification",
    "Observation",
    "Operation",
    "Part",
    "Probe",
    "Provider",
    "ProviderError",
    "ProviderSettings",
    "Refused",
    "Request",
    "StandardWebhook",
    "Unauthorized",
    "Unavailable",
    "Unreadable",
    "Verdict",
    "WebhookSettings",
    "Words",
    "id_text",
    "scrub",
    "segment",
]
