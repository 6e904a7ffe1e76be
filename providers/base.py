"""What a provider is to the rest of Settle.

A provider is one module in this package: the models of its requests, its calls, and its words for a status. The module
names its class as `PROVIDER`; nothing else has to change.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from jobs.artifacts import Artifact
from jobs.ledger import Ledger
from jobs.record import Job
from providers.answer import Answer
from providers.errors import scrub
from providers.http import ProviderClient
from providers.notification import Notification
from providers.pace import Pace
from providers.settings import ProviderSettings

_ID = re.compile(r"(?=.*[A-Za-z0-9])[\w.:~+=-]{1,500}", re.ASCII)


def id_text(value: object) -> str | None:
    """A provider's name for something, if it is one: a text that can be stored, shown and put into a path."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


class Verdict(StrEnum):
    """What a provider's word means. A word we do not know means running."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Observation:
    """What one poll learned."""

    verdict: Verdict
    word: str | None = None  #: the provider's own status word
    known: bool = True  #: whether the word is in the provider's table
    progress: int | None = None  #: percent
    message: str | None = None  #: scrubbed
    eta: float | None = None  #: seconds until the provider expects to be ready
    result: Mapping[str, Any] = field(default_factory=dict)  #: what came of it when it ended, without personal data
    artifacts: tuple[Artifact, ...] = ()  #: the files that are ready to be fetched

    def __post_init__(self) -> None:
        """Whatever a provider puts where its status word should be is stored, logged and shown."""
        if self.word is not None:
            object.__setattr__(self, "word", scrub(self.word, limit=60))
        if type(self.progress) is not int:  # countdowns are reckoned with it, for a whole bundle at a time
            object.__setattr__(self, "progress", None)


@dataclass(frozen=True, slots=True)
class Located:
    """The answer to "did you get it?" after a lost submission.

    Args:
        receipt: the receipt, if the provider has the job.
        absent: whether it certainly has not, so that it may be sent.
        gone: why it certainly has not and never will, so that the job has failed.
    """

    receipt: Mapping[str, Any] | None = None
    absent: bool = False
    gone: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """What one harmless call found out about the real API.

    Args:
        what: was asked, and what was learnt; scrubbed.
        remedy: what to change, empty if all is as assumed.
    """

    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A job that another one consists of.

    Args:
        id: always the same for the same part, so that it can be started again.
        workflow: its name.
        kwargs: its keyword arguments, options among them.
    """

    id: str
    workflow: str
    kwargs: Mapping[str, Any]


class Words:
    """A provider's table of status words.

    Args:
        succeeded: words of success.
        failed: words of failure.
        running: words of work in progress.
        fold: whether letter case is ignored.
    """

    def __init__(
        self, *, succeeded: tuple[str, ...], failed: tuple[str, ...], running: tuple[str, ...], fold: bool = False
    ) -> None:
        self._fold = fold
        self._table: dict[str, Verdict] = {}
        for words, verdict in ((running, Verdict.RUNNING), (succeeded, Verdict.SUCCEEDED), (failed, Verdict.FAILED)):
            self._table.update({self._key(word): verdict for word in words})

    def _key(self, word: str) -> str:
        return word.casefold().strip() if self._fold else word

    def verdict(self, word: object) -> tuple[Verdict, bool]:
        """What a word means, and whether it is known. Anything unknown means running."""
        if isinstance(word, str) and (found := self._table.get(self._key(word))) is not None:
            return found, True
        return Verdict.RUNNING, False


#: Reads a stored file from rest, given its address; raises `OSError`.
Files = Callable[[str], Iterator[bytes]]


def _no_files(uri: str) -> Iterator[bytes]:
    raise FileNotFoundError(2, "no storage here")


RequestT = TypeVar("RequestT", bound=BaseModel)


class Request(BaseModel):
    """The keyword arguments of an entry task: strict about names, plain JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    rows: ClassVar[str | None] = None  #: the list of models that each line of a bulk input is one of, if there is one


class Operation(ABC, Generic[RequestT]):
    """One thing a provider can be asked to do, from submission to its files.

    Args:
        provider: makes the calls.
    """

    name: ClassVar[str]  #: the last part of the workflow's name
    request: type[RequestT]
    source: ClassVar[str | None] = None  #: the keyword argument that names a stored file to be hashed first, if any

    #: Whether `locate`, with an intent made anew, finds what was sent, or else does not say that it is absent. So it is
    #: for requests whose intent follows from the request and the job's id alone; see `settle restored`.
    asks_without_ledger: ClassVar[bool] = False

    def __init__(self, provider: Any) -> None:
        self.provider = provider

    @classmethod
    def measured(cls, body: Mapping[str, Any], sha256: str, size: int) -> dict[str, Any]:
        """The keyword arguments once the stored file in `source` is hashed.

        Args:
            body: as triggered.
            sha256: of the file, lower-case hex.
            size: of the file, bytes.
        """
        raise NotImplementedError(f"{cls.__name__} takes no file")

    @abstractmethod
    def intent(self, request: RequestT, job_id: str) -> dict[str, Any]:
        """What is written to the ledger before the POST: enough to find the job again, nothing personal.

        Raises:
            InvalidJob: the request can never work, as the ledger shows.
        """

    def again(self, request: RequestT, job: Job) -> dict[str, Any]:
        """The intent of a further attempt; `job.intent` is that of the one before, `in_doubt` if that one was sent."""
        return self.intent(request, job.id)

    def parts(self, request: RequestT, job_id: str) -> Sequence[Part]:
        """The jobs it consists of; they are recorded right before `submit`, at least once."""
        return ()

    @abstractmethod
    async def submit(self, request: RequestT, intent: Mapping[str, Any]) -> dict[str, Any]:
        """Send the request, once. Returns the receipt; its `remote_id` is the provider's name for the job.

        Raises:
            ProviderError: `may_have_arrived` tells a doubtful submission from one that may be repeated.
        """

    @abstractmethod
    async def locate(self, request: RequestT, intent: Mapping[str, Any]) -> Located:
        """Ask the provider whether it got a submission whose answer was lost."""

    @abstractmethod
    async def observe(self, job: Job) -> Observation:
        """Ask for the status of a submitted job."""

    async def cancel(self, job: Job) -> bool:
        """Take a submitted job back, where the provider has a way; false if it has none.

        Raises:
            ProviderError: it could not be told, or would not.
        """
        return False

    async def tidy(self, job: Job) -> dict[str, Any]:
        """Clean up at the provider: every file is stored and verified, the outcome is not told yet. May come again.

        Returns:
            What is to stand in the result beside what the provider said.

        Raises:
            ProviderError: not now; a job never fails for it.
        """
        return {}

    def download(self, job: Job, artifact: Artifact) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream one of the job's files."""
        raise NotImplementedError(f"{type(self).__name__} has no files")


class Provider(ABC):
    """One remote API.

    Args:
        settings: as configured; `base_url` and `api_key` are set.
        notes: what its workers share.

    Raises:
        ConfigurationError: the file of authorities cannot be read.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[ProviderSettings]] = ProviderSettings
    operations: ClassVar[tuple[type[Operation[Any]], ...]]
    notification: ClassVar[Notification | None] = None  #: what it tells us by itself, if it does

    def __init__(self, settings: Any, notes: Ledger) -> None:
        self.settings = settings
        self.notes = notes
        self.files: Files = _no_files  #: reads what former jobs stored; the runtime gives it
        self.key = settings.api_key.get_secret_value().strip()  # a key read from a file ends in a newline
        self.http = ProviderClient(
            str(settings.base_url),
            self.headers(),
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            connections=settings.connections,
            ca_file=settings.ca_file,
            download_hosts=settings.download_hosts,
            pace=Pace(self.name, settings.rate, notes) if settings.rate else None,
            own_error=self.own_error,
            repeatable=settings.repeatable_statuses,
        )

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """What every call carries; the key is in it."""

    def own_error(self, answer: Answer) -> bool:
        """Whether an error answer has a form that the provider documents: a JSON object, unless it says otherwise.

        Anything else may be a proxy's page: an outage, and no word about the request.
        """
        return bool(answer.error_body())

    async def close(self) -> None:
        """Close every connection."""
        await self.http.close()

    async def probe(self) -> list[Probe]:
        """Make the calls that change nothing, and tell which assumption holds; for `settle doctor --provider`.

        Raises:
            ProviderError: the provider does not answer, or refuses the key.
        """
        return []

    def operation(self, name: str) -> Operation[Any]:
        """The operation of this name."""
        for operation in self.operations:
            if operation.name == name:
                return operation(self)
        raise LookupError(f"{self.name} has no operation {name!r}")
