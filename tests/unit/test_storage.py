"""Files are stored as a whole or not at all, each in its job's own folder."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import InvalidJob
from jobs.record import check_job_id
from jobs.storage import Storage

BOUNDED = settings(deadline=None, database=None, max_examples=200)
#: Every id that a job may have.
job_ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)

ODD_IDS = [
    "../../etc/x",
    "a/b",
    "..",
    ".",
    "...",
    "/etc/passwd",
    "~",
    "~root",
    "a\\b",
    "%2e%2e%2f",
    "file://x",
    "a::b",
    "*?[a]",
    "order:4711",
    "a%2Fb",
    "C:",
    "/" * 200,
    "." * 200,
    "x" * 200,
    "/" * 199 + "x",
]


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A place on this machine, and one as object storage would be."""
    if request.param == "local":
        return Storage((tmp_path / "artifacts").as_uri())
    fsspec.filesystem("memory").store.clear()
    return Storage("memory://artifacts")


def _files(storage: Storage) -> list[str]:
    return sorted(storage._fs.find(storage._root)) if storage._fs.exists(storage._root) else []


def _write(storage: Storage, path: str, *chunks: bytes, mark: str = "1") -> None:
    with storage.writing(path, mark) as out:
        for chunk in chunks:
            out.write(chunk)


def test_a_file_is_stored_and_read_again(storage: Storage) -> None:
    """What was written is found at its address, and nothing else lies beside it."""
    path = storage.path("alpha", "job-1", "tokens.csv")
    _write(storage, path, b"one\n", b"", b"two")
    assert b"".join(storage.chunks(storage.uri(path))) == b"one\ntwo"
    assert _files(storage) == [path]
    assert storage.uri(path).endswith("/artifacts/alpha/job-1/tokens.csv")
    assert "://" in storage.uri(path)


def test_a_large_file_comes_in_pieces(storage: Storage) -> None:
    """No file must fit into memory."""
    path = storage.path("alpha", "job-1", "tokens.csv")
    content = bytes(range(256)) * 4096 * 3
    _write(storage, path, content)
    chunks = list(storage.chunks(storage.uri(path)))
    assert len(chunks) > 1
    assert b"".join(chunks) == content


def test_an_empty_file_is_a_file(storage: Storage) -> None:
    """Nothing can be stored as well."""
    path = storage.path("alpha", "job-1", "empty")
    _write(storage, path)
    assert list(storage.chunks(storage.uri(path))) == []
    assert _files(storage) == [path]


def test_a_file_is_not_there_before_it_is_whole(storage: Storage) -> None:
    """A reader sees the old file or the new one, never a part."""
    path = storage.path("alpha", "job-1", "tokens.csv")
    with storage.writing(path, "1") as out:
        out.write(b"part of it")
        out.flush()
        assert not storage._fs.exists(path)
    assert storage._fs.exists(path)
    with storage.writing(path, "2") as out:
        out.write(b"new")
        assert b"".join(storage.chunks(storage.uri(path))) == b"part of it"
    assert b"".join(storage.chunks(storage.uri(path))) == b"new"
    assert _files(storage) == [path]


def _write_and_fail(storage: Storage, path: str, error: BaseException) -> None:
    with storage.writing(path, "2") as out:
        out.write(b"part of it")
        raise error


@pytest.mark.parametrize("error", [ValueError("bad digest"), KeyboardInterrupt(), OSError("disk full")], ids=repr)
def test_a_writer_that_fails_leaves_nothing(storage: Storage, error: BaseException) -> None:
    """Whatever stopped the writer comes through, and no file stays behind."""
    path = storage.path("alpha", "job-1", "tokens.csv")
    with pytest.raises(type(error)) as caught:
        _write_and_fail(storage, path, error)
    assert caught.value is error
    assert _files(storage) == []


def test_a_writer_that_fails_leaves_the_former_file(storage: Storage) -> None:
    """A file that was good stays as it was."""
    path = storage.path("alpha", "job-1", "tokens.csv")
    _write(storage, path, b"good")
    with pytest.raises(ValueError):
        _write_and_fail(storage, path, ValueError())
    assert b"".join(storage.chunks(storage.uri(path))) == b"good"
    assert _files(storage) == [path]


def test_a_file_that_cannot_take_its_place_leaves_nothing(tmp_path: Path) -> None:
    """When the last step is refused the temporary file goes as well."""
    storage = Storage(tmp_path.as_uri())
    path = Path(storage.path("alpha", "job-1", "tokens.csv"))
    (path / path.name).with_name(f"{path.name}.1.part").mkdir(parents=True)  # a folder in the way, and not an empty one
    with pytest.raises(OSError):
        _write(storage, str(path), b"content")
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_two_writers_do_not_mix(storage: Storage) -> None:
    """A holder that lost its job may still be writing; the last one to finish wins as a whole."""
    path = storage.path("alpha", "job-1", "tokens.csv")
    with storage.writing(path, "1") as old:
        old.write(b"old, ")
        with storage.writing(path, "2") as new:
            new.write(b"new")
        old.write(b"slow")
    assert b"".join(storage.chunks(storage.uri(path))) == b"old, slow"
    assert _files(storage) == [path]


def test_what_is_not_there_cannot_be_read(storage: Storage) -> None:
    """A lost file is an error of the storage."""
    with pytest.raises(OSError):
        list(storage.chunks(storage.uri(storage.path("alpha", "job-1", "lost"))))


@pytest.mark.parametrize("job_id", ODD_IDS)
def test_no_id_leads_out_of_its_folder(storage: Storage, job_id: str) -> None:
    """Whatever an id holds, its files lie in one folder of its own, can be written there, and read back."""
    assert check_job_id(job_id) == job_id
    path = storage.path("alpha", job_id, "a.txt")
    folder, name = os.path.split(path)
    above, own = os.path.split(folder)
    assert (above, name) == (f"{storage._root}/alpha", "a.txt")
    assert own.strip(".")
    assert os.path.normpath(path) == path
    _write(storage, path, job_id.encode())
    assert b"".join(storage.chunks(storage.uri(path))) == job_id.encode()
    assert _files(storage) == [path]


def test_no_two_ids_share_a_folder() -> None:
    """Not even ids that look like another one's folder."""
    storage = Storage("memory://artifacts")
    ids = [*ODD_IDS, *(storage.path("alpha", job_id, "a").split("/")[-2] for job_id in ODD_IDS)]
    different = set(ids)
    assert len({storage.path("alpha", job_id, "a") for job_id in different}) == len(different)


@given(first=job_ids, second=job_ids, name=names)
@BOUNDED
def test_any_id_has_a_folder_of_its_own(first: str, second: str, name: str) -> None:
    """Every allowed id gives one plain folder name that any file system takes, and different ids different ones."""
    storage = Storage("memory://artifacts")
    path = storage.path("alpha", first, name)
    above, own, last = path.rsplit("/", 2)
    assert (above, last) == (f"{storage._root}/alpha", name)
    assert own not in {"", ".", ".."}
    assert len(own) <= 255
    assert set(own) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-~%.")
    assert (storage.path("alpha", second, name) == path) == (first == second)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "../x",
        "a/b",
        "a\\b",
        "/etc/passwd",
        "a\nb",
        "a\n",
        "a b",
        "ä",
        "a\0",
        "x" * 101,
        "~",
        "-",
    ],
)
def test_a_bad_name_is_refused(storage: Storage, name: str) -> None:
    """A provider cannot choose where its file goes."""
    with pytest.raises(InvalidJob, match="not a plain file name"):
        storage.path("alpha", "job-1", name)


def test_a_plain_folder_is_a_storage_too(tmp_path: Path) -> None:
    """A path without a scheme means this machine, and the folders are made when they are needed."""
    storage = Storage(str(tmp_path / "deep" / "down"))
    path = storage.path("alpha", "job-1", "a.txt")
    assert not (tmp_path / "deep").exists()
    _write(storage, path, b"x")
    assert (tmp_path / "deep" / "down" / "alpha" / "job-1" / "a.txt").read_bytes() == b"x"
    assert storage.uri(path) == (tmp_path / "deep" / "down" / "alpha" / "job-1" / "a.txt").as_uri()


def test_a_stored_file_is_named_by_address_or_by_path(storage: Storage) -> None:
    """The address of an artifact, or its path below the root; what comes back can be read."""
    path = storage.path("alpha", "job/1", "tokens.csv")
    _write(storage, path, b"content")
    below = path.removeprefix(f"{storage._root}/")
    for named in (storage.uri(path), below):
        assert storage.inside(named) == storage.uri(path)
        assert b"".join(storage.chunks(storage.inside(named))) == b"content"


OUTSIDE = [
    "/etc/passwd",
    "file:///etc/passwd",
    "../secret",
    "alpha/../../secret",
    "alpha/./x",
    "alpha//x",
    "..",
    ".",
    "/",
    "",
    "alpha/",
    "alpha\\..\\x",
    "http://elsewhere.example/x",
    "https://elsewhere.example/artifacts/x",
    "s3://elsewhere/x",
    "memory://elsewhere/x",
    "simplecache::file:///etc/passwd",
    "zip://x::file:///etc/passwd",
    "alpha/x\n",
    "alpha/\x00x",
]


@pytest.mark.parametrize("named", OUTSIDE, ids=ascii)
def test_a_file_outside_is_refused_whether_it_is_there_or_not(storage: Storage, named: str) -> None:
    """No other folder, no other storage, no other host; the name is not quoted."""
    with pytest.raises(InvalidJob, match=r"^file: it lies outside") as refused:
        storage.inside(named)
    assert len(named) < 3 or named not in str(refused.value)


def test_an_address_cannot_climb_out(storage: Storage, tmp_path: Path) -> None:
    """Behind the right beginning, too; nor does a folder whose name begins like ours count as ours."""
    (tmp_path / "artifacts-of-others").mkdir()
    (tmp_path / "artifacts-of-others" / "x").write_bytes(b"x")
    root = storage.uri(storage._root)
    for named in (f"{root}/../artifacts-of-others/x", f"{root}-of-others/x", f"{storage._root}-of-others/x"):
        with pytest.raises(InvalidJob, match=r"^file: it lies outside"):
            storage.inside(named)


PARTS = st.sampled_from(["..", ".", "", "secret", "inside", "~", "%2e%2e", "\\", "file:", "memory:", "a::b", "..\\.."])


@given(named=st.builds("/".join, st.lists(PARTS, min_size=1, max_size=6)) | st.text(max_size=40), whole=st.booleans())
@BOUNDED
def test_no_name_leads_to_a_file_outside(named: str, whole: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever it is: refused, not there, or inside. There are files to be found both inside and outside."""
    base = tmp_path_factory.getbasetemp() / "with-a-secret"
    for folder in (base, base / "artifacts", base / "artifacts" / "secret"):
        folder.mkdir(exist_ok=True)
        (folder / "inside").write_bytes(b"x")
    (base / "secret").write_bytes(b"x")
    storage = Storage((base / "artifacts").as_uri())
    try:
        found = storage.inside(f"{storage.uri(storage._root)}/{named}" if whole else named)
    except (InvalidJob, OSError):
        return
    path = Path(found.removeprefix("file://"))
    assert path.resolve().is_relative_to(base / "artifacts")
    assert path.is_file()


def test_links_lead_nowhere_outside(tmp_path: Path) -> None:
    """A link out of the storage is refused, one within it is followed."""
    storage = Storage((tmp_path / "artifacts").as_uri())
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "artifacts" / "file").write_bytes(b"content")
    (tmp_path / "artifacts" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "artifacts" / "up").symlink_to(tmp_path)
    (tmp_path / "artifacts" / "in").symlink_to(tmp_path / "artifacts" / "file")
    for named in ("out", "up/secret"):
        with pytest.raises(InvalidJob, match="a link leads it out"):
            storage.inside(named)
    assert b"".join(storage.chunks(storage.inside("in"))) == b"content"
    assert storage.inside(str(tmp_path / "artifacts" / "file")).endswith("/artifacts/file")


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_only_files_are_read(tmp_path: Path, kind: str) -> None:
    """A pipe would hold a worker for ever."""
    storage = Storage(tmp_path.as_uri())
    if kind == "folder":
        (tmp_path / "x").mkdir()
    elif kind == "pipe":
        os.mkfifo(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        storage.inside("x")
