"""Where artifacts are kept: one storage URL through fsspec, a folder on one machine or object storage for many."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import fsspec

from jobs.errors import InvalidJob

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHUNK = 1024 * 1024
#: No file system takes names of more than 255 bytes.
_LONGEST_FOLDER = 200


class Storage:
    """Stores files so that each is there as a whole or not at all.

    Args:
        url: as fsspec takes it, for example `file:///var/lib/settle` or `s3://bucket/folder`.
    """

    def __init__(self, url: str) -> None:
        fs, root = fsspec.core.url_to_fs(url, **({"auto_mkdir": True} if _local(url) else {}))
        self._fs: Any = fs
        self._root = str(root).rstrip("/")
        self._local = _local(url)

    def path(self, provider: str, job_id: str, name: str) -> str:
        """Where a job's file lies. Neither an id nor a name can lead out of the job's own folder.

        Raises:
            InvalidJob: the name is not a plain file name.
        """
        if not _NAME.fullmatch(name):
            raise InvalidJob(f"artifact: {name!r} is not a plain file name")
        folder = quote(job_id, safe="").replace(".", "%2E")
        if len(folder) > _LONGEST_FOLDER:  # the dot keeps it apart from all folders that are not shortened
            folder = f"{folder[:100]}.{hashlib.sha256(job_id.encode()).hexdigest()}"
        return f"{self._root}/{provider}/{folder}/{name}"

    @contextmanager
    def writing(self, path: str, mark: str) -> Iterator[BinaryIO]:
        """Write a file beside its place; it is moved there only if nothing goes wrong.

        Args:
            path: its place.
            mark: tells this writer's temporary file from another's.

        Raises:
            OSError: the storage refuses, for example because it is full.
        """
        part = f"{path}.{mark}.part"
        try:
            with self._fs.open(part, "wb") as out:
                yield cast("BinaryIO", out)
            self._fs.mv(part, path)
        except BaseException:
            with suppress(OSError):
                self._fs.rm_file(part)
            raise

    def sweep(self, path: str) -> None:
        """Remove what killed writers of a file left beside its place. Only for whoever holds the claim of its job."""
        with suppress(OSError):
            for name in self._fs.ls(path.rpartition("/")[0], detail=False):
                if re.fullmatch(re.escape(path) + r"\.[^./]+\.part", str(name)):
                    self._fs.rm_file(name)

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            OSError: it is not there, or may not be removed.
        """
        self._fs.rm_file(path)

    def uri(self, path: str) -> str:
        """The address of a stored file, for callers."""
        return str(self._fs.unstrip_protocol(path))

    def inside(self, file: str) -> str:
        """The address of a file that a caller names: by its address here, or by its path below the storage's root.

        Raises:
            InvalidJob: it may lie outside. The name is not quoted.
            OSError: it is not there, or is no plain file.
        """
        roots = [self.uri(self._root), *([self._root] if self._local else [])]
        path = next((file.removeprefix(f"{root}/") for root in roots if file.startswith(f"{root}/")), file)
        parts = path.split("/")
        if "\\" in path or not path.isprintable() or {"", ".", ".."} & set(parts):
            raise InvalidJob(
                "file: it lies outside of Settle's storage; give the address of an artifact or a path below "
                "SETTLE_STORAGE_URL, or hash a file of another place where it is (`settle certify`)"
            )
        whole = f"{self._root}/{path}"
        if self._local and not Path(whole).resolve().is_relative_to(Path(self._root).resolve()):
            raise InvalidJob("file: a link leads it out of Settle's storage; copy the file there")
        if not self._fs.isfile(whole):
            raise FileNotFoundError("no such file in the storage")
        return self.uri(whole)

    def chunks(self, uri: str) -> Iterator[bytes]:
        """Read a stored file from rest, a piece at a time.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        with self._fs.open(self._fs._strip_protocol(uri), "rb") as stored:
            while chunk := stored.read(_CHUNK):
                yield chunk


def _local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")
