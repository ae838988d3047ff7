"""Where texts come from: files, folders, gzip, pipes, and each way that fails."""

from __future__ import annotations

import errno
import gc
import gzip
import io
import os
import threading
from pathlib import Path

import pytest

from textgen.corpus.source import STDIN_NAME, Source, open_sources
from textgen.errors import ConfigError, EmptyCorpusError, StorageError


def read(source: Source) -> bytes:
    with source.open() as file:
        return file.read()


def test_a_file_opens_as_often_as_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    (source,) = open_sources([path])
    assert (source.name, source.path, source.size) == (str(path), path, 3)
    assert read(source) == read(source) == b"abc"


def test_a_relative_path_is_shown_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    monkeypatch.chdir(tmp_path)
    (source,) = open_sources(["a.txt"])
    assert source.name == "a.txt"
    assert source.path == tmp_path / "a.txt"


def test_a_folder_gives_its_texts_sorted_by_their_parts(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/sub/c.TXT", "a-b/d.txt", "note.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "e.txt.gz").write_bytes(gzip.compress(b"packed"))
    sources = open_sources([tmp_path])
    names = [os.path.relpath(source.name, tmp_path) for source in sources]
    assert names == ["a/sub/c.TXT", "a/z.txt", "a-b/d.txt", "b.txt", "e.txt.gz"]
    assert read(sources[-1]) == b"packed"


def test_the_same_file_may_come_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    assert [read(source) for source in open_sources([path, str(path)])] == [b"abc", b"abc"]


def test_gzip_is_decompressed_and_its_size_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    (source,) = open_sources([path])
    assert source.size is None
    assert read(source) == b"onetwo"


def test_standard_input_is_spooled_and_the_copy_goes_with_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (source,) = open_sources(["-"], stdin=io.BytesIO(b"typed"))
    assert (source.name, source.path, source.size) == (STDIN_NAME, None, 5)
    assert read(source) == read(source) == b"typed"
    assert len(list(tmp_path.iterdir())) == 1
    del source
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_named_pipe_is_spooled(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"through"))
    writer.start()
    (source,) = open_sources([path])
    writer.join()
    assert source.name == str(path)
    assert read(source) == read(source) == b"through"


def test_no_path_and_two_standard_inputs_are_refused() -> None:
    with pytest.raises(ConfigError, match="no text was named"):
        open_sources([])
    with pytest.raises(ConfigError, match="named twice"):
        open_sources(["-", "-"], stdin=io.BytesIO(b""))


@pytest.mark.parametrize("name", ["gone.txt", "bad\0name", "x" * 5000])
def test_what_does_not_exist_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match=r"does not exist|cannot be read"):
        open_sources([str(tmp_path / name)])


def test_a_device_is_no_text() -> None:
    with pytest.raises(StorageError, match="neither a file nor a folder"):
        open_sources(["/dev/null"])


def test_a_folder_without_texts(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_bytes(b"x")
    with pytest.raises(EmptyCorpusError, match="holds no text"):
        open_sources([tmp_path])


def test_a_broken_link_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(StorageError, match="link"):
        open_sources([tmp_path])


@pytest.mark.parametrize("content", [b"", b"plain text"])
def test_a_gz_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="no gzip file"):
        open_sources([path])


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip_shows_when_it_is_read(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(os.urandom(100_000)))
    if damage == "cut":
        packed = packed[:-1000]
    else:
        packed[50_000] ^= 0xFF
    path = tmp_path / "a.txt.gz"
    path.write_bytes(packed)
    (source,) = open_sources([path])
    with pytest.raises(StorageError, match="damaged or cut short"):
        read(source)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")

    # Replaced rather than chmod'ed: tests may run as root, who may read everything.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(StorageError, match="permission denied"):
        open_sources([path])


def test_a_file_that_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    (source,) = open_sources([path])
    path.unlink()
    with pytest.raises(StorageError, match="does not exist"):
        source.open()


def test_a_full_disk_under_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("shutil.copyfileobj", fail)
    with pytest.raises(StorageError, match="No space left"):
        open_sources(["-"], stdin=io.BytesIO(b"x"))
    assert not list(tmp_path.iterdir())
