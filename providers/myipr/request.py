"""What a caller gives for a certificate, and what is made of it: a name, a hash, a size in kilobytes."""

from __future__ import annotations

import hashlib

from pydantic import Field, ValidationInfo, field_validator

from providers.base import Request


class CertifyRequest(Request):
    """The keyword arguments of `settle.myipr.certify` (contract 2.1).

    One of `category` and `category_id`; either `file`, or `hash` with one of `size` and `size_bytes`.
    """

    name: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=r"^[^\s\p{Cc}](?:[^\p{Cc}]*[^\s\p{Cc}])?$",
        description="unique; one line that neither begins nor ends with a space; made up if not given",
    )
    category: str | None = Field(
        None, min_length=1, max_length=200, description="the name of one of the provider's categories"
    )
    category_id: str | None = Field(
        None, min_length=1, description="an id from /categories", coerce_numbers_to_str=True, validate_default=True
    )
    file: str | None = Field(
        None, min_length=1, max_length=2000, description="a file in Settle's storage: its address, or its path there"
    )
    hash: str | None = Field(
        None,
        pattern=r"^[0-9a-fA-F]{64}$",
        description="the SHA-256 of the file, as 64 hexadecimal digits",
        validate_default=True,
    )
    size: str | None = Field(
        None, pattern=r"^\d+(\.\d+)?$", description="in kilobytes, sent as it is", coerce_numbers_to_str=True
    )
    size_bytes: int | None = Field(
        None, gt=0, strict=True, description="in bytes; the kilobytes are computed", validate_default=True
    )

    @field_validator("category_id")
    @classmethod
    def _one_category(cls, value: str | None, info: ValidationInfo) -> str | None:
        # A field that was refused is not in `info.data`: it was given, and is complained of already.
        if "category" in info.data and (value is None) == (info.data["category"] is None):
            raise ValueError("give either category (a name) or category_id")
        return value

    @field_validator("hash")
    @classmethod
    def _one_source(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "file" in info.data and (value is None) == (info.data["file"] is None):
            raise ValueError("give either hash, with size or size_bytes, or file")
        return value

    @field_validator("size_bytes")
    @classmethod
    def _one_size(cls, value: int | None, info: ValidationInfo) -> int | None:
        if not {"file", "hash", "size"} <= info.data.keys():
            return value
        given = (info.data["size"] is not None) + (value is not None)
        if info.data["file"] is not None and given:
            raise ValueError("leave size and size_bytes out: the file is measured")
        if info.data["file"] is None and given != 1:
            raise ValueError("give either size (kilobytes) or size_bytes beside the hash")
        return value


def derived_name(prefix: str, digest: str, job_id: str) -> str:
    """A name for a certificate whose caller gave none: the same for the same job, and no other job's.

    Letters, digits and hyphens, 33 characters behind the prefix: within the 50 that a sibling interface of the
    product takes (contract 7). The job's id enters as a digest, because a name is published.
    """
    return f"{prefix}{digest[:16]}-{hashlib.sha256(job_id.encode()).hexdigest()[:16]}"


def kilobytes(size: int, kilobyte: int) -> str:
    """A length in bytes as the provider takes it: whole kilobytes, rounded up (contract 2.1: a string, unit only)."""
    return str(-(-size // kilobyte))
