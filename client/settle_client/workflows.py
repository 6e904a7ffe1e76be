"""The workflows that come with Settle, one class per provider, one method each.

What is left out, or `None`, is not sent: Settle's own default holds. A test compares the arguments with the models of
the registered workflows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Unpack

from settle_client.handle import Handle
from settle_client.shapes import Analysis, Conversion, Options, Packing, Payment, Registry


class Trigger(Protocol):
    """Sends one trigger."""

    def __call__(self, workflow: str, arguments: Mapping[str, Any], options: Options, /) -> Handle:
        """Send it.

        Raises:
            InvalidJob: it can never work.
            NotSent: the broker did not take it in time.
        """


class Provider:
    """The workflows of one provider.

    Args:
        trigger: sends one of them.
    """

    def __init__(self, trigger: Trigger) -> None:
        self._trigger = trigger


class CommonsDB(Provider):
    """CommonsDB: declarations of works."""

    def declare(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        registry: Registry | None = None,
        declaration: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Handle:
        """Declare a work.

        Args:
            metadata: of the work, with `iscc` and `name`; Settle signs it.
            registry: beside metadata, the registry block.
            declaration: instead of both, a complete signed body.
            options: see `Options`.
        """
        own = {"metadata": metadata, "registry": registry, "declaration": declaration}
        return self._trigger("commonsdb.declare", own, options)


class MyIPR(Provider):
    """myIPR: certificates minted on a blockchain."""

    def certify(
        self,
        *,
        name: str | None = None,
        category: str | None = None,
        category_id: str | None = None,
        file: str | None = None,
        hash: str | None = None,  # noqa: A002 (Settle's name)
        size: str | None = None,
        size_bytes: int | None = None,
        **options: Unpack[Options],
    ) -> Handle:
        """Certify a file's hash, and keep the certificate.

        Args:
            name: unique; made up if not given.
            category: the name of a category; or
            category_id: its id.
            file: a file in Settle's storage, by its address or its path there; or
            hash: the file's SHA-256, 64 hexadecimal digits, with one of
            size: in kilobytes, as text, and
            size_bytes: in bytes.
            options: see `Options`.
        """
        own = {
            "name": name, "category": category, "category_id": category_id,
            "file": file, "hash": hash, "size": size, "size_bytes": size_bytes,
        }  # fmt: skip
        return self._trigger("myipr.certify", own, options)


class UniqueTokens(Provider):
    """Unique Tokens: production of tokens, part by part."""

    def produce(
        self,
        *,
        alphabet: str,
        digits: int,
        size: int,
        payment: Payment,
        chars: str | None = None,
        seed: str | None = None,
        snapshot: bool | None = None,
        format: Packing | None = None,  # noqa: A002 (Settle's name)
        analysis: Analysis | None = None,
        **options: Unpack[Options],
    ) -> Handle:
        """Produce tokens, and keep their files.

        Args:
            alphabet: the name of a preset one, or of your own.
            digits: characters of each token, 3 to 100.
            size: number of tokens, 1,000 to 100,000.
            payment: confirmed already.
            chars: the characters of your own alphabet, each once.
            seed: enters the hashes of the files; recommended.
            snapshot: whether to keep the snapshot from which a next part can be produced.
            format: `gz` for packed files.
            analysis: `metrics` for an analysis and its files.
            options: see `Options`.
        """
        own = {
            "alphabet": alphabet, "digits": digits, "size": size, "payment": payment, "chars": chars,
            "seed": seed, "snapshot": snapshot, "format": format, "analysis": analysis,
        }  # fmt: skip
        return self._trigger("unique_tokens.produce", own, options)

    def continue_(
        self,
        *,
        former: str,
        size: int,
        payment: Payment,
        seed: str | None = None,
        snapshot: bool | None = None,
        format: Packing | None = None,  # noqa: A002 (Settle's name)
        analysis: Analysis | None = None,
        again: bool | None = None,
        **options: Unpack[Options],
    ) -> Handle:
        """Produce the next part of a line.

        Args:
            former: the id of the job that produced the part before, with its snapshot.
            size: number of tokens, 1,000 to 100,000.
            payment: confirmed already, another than that of the part before.
            seed: as for the first part.
            snapshot: likewise.
            format: likewise.
            analysis: likewise.
            again: although another job continues it, or may.
            options: see `Options`.
        """
        own = {
            "former": former, "size": size, "payment": payment, "seed": seed,
            "snapshot": snapshot, "format": format, "analysis": analysis, "again": again,
        }  # fmt: skip
        return self._trigger("unique_tokens.continue", own, options)


class LettrLabs(Provider):
    """LettrLabs: uploads of conversions."""

    def convert(self, *, conversions: Sequence[Conversion], **options: Unpack[Options]) -> Handle:
        """Upload conversions.

        Args:
            conversions: the records.
            options: see `Options`.
        """
        return self._trigger("lettrlabs.convert", {"conversions": conversions}, options)

    def delete(self, *, id: int, **options: Unpack[Options]) -> Handle:  # noqa: A002 (Settle's name)
        """Delete an upload.

        Args:
            id: of the upload at LettrLabs; the job's own is `job_id`.
            options: see `Options`.
        """
        return self._trigger("lettrlabs.delete", {"id": id}, options)
