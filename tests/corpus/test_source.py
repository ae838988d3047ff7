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

from textgen.corpus.source import (
    STDIN_NAME,
    Source,
    Unread,
    count_endings,
    find_sources,
    open_sources,
    parse_endings,
    text_files,
)
from textgen.errors import ConfigError, EmptyCorpusError, StorageError


def make(folder: Path, *names: str) -> None:
    """Small files, each with its own name as its content."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


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


def test_a_file_is_read_once_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a.txt", "d/b.txt")
    os.link("a.txt", "hard.txt")
    os.symlink("a.txt", "soft.txt")
    found = find_sources(["a.txt", "./a.txt", "d", "hard.txt", tmp_path / "soft.txt", "d/b.txt"])
    assert [source.name for source in found.sources] == ["a.txt", "d/b.txt"]
    assert found.repeated == [
        ("./a.txt", "a.txt"),
        ("hard.txt", "a.txt"),
        (str(tmp_path / "soft.txt"), "a.txt"),
        ("d/b.txt", "d/b.txt"),
    ]
    # In a folder too, and a copy is another file.
    make(tmp_path, "d/c.txt")
    os.link("d/b.txt", "d/z.txt")
    assert [source.name for source in find_sources(["d"]).sources] == ["d/b.txt", "d/c.txt"]


def test_a_pipe_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"through"))
    writer.start()
    found = find_sources([path, path])
    writer.join()
    assert [read(source) for source in found.sources] == [b"through"]


def test_hidden_files_and_what_systems_leave_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "._a.txt", ".hidden.txt", ".git/b.txt", "__MACOSX/a.txt")
    make(tmp_path, ".DS_Store", "Thumbs.db", "desktop.ini", "a.txt~", "sub/.x/c.txt")
    found = find_sources([tmp_path])
    told = (found.bad, found.empty, found.repeated, found.unread, found.linked)
    assert told == ([], [], [], [], [])
    assert [source.name for source in found.sources] == [str(tmp_path / "a.txt")]
    # Named themselves they are read.
    named = find_sources([tmp_path / "._a.txt", tmp_path / ".git"])
    assert [Path(source.name).name for source in named.sources] == ["._a.txt", "b.txt"]


@pytest.mark.parametrize(
    "blank",
    [
        b"",
        b" \n\t\r\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf \n",
        b"\xff\xfe",
        b"\xff\xfe \0\n\0",
        b"\xfe\xff\0 ",
        b"\xff\xfe\0\0\n\0\0\0",
        b" " * 10_000,
    ],
)
def test_what_holds_nothing_is_left_out(tmp_path: Path, blank: bytes) -> None:
    make(tmp_path, "a.txt")
    (tmp_path / "b.txt").write_bytes(blank)
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(blank))
    names = [str(tmp_path / name) for name in ("a.txt", "b.txt", "c.txt.gz")]
    for paths in ([tmp_path], names):
        found = find_sources(paths)
        assert [source.name for source in found.sources] == names[:1]
        assert list(found.empty) == names[1:] and not found.bad
    # The only text is given as it is: whoever reads it says what is wrong.
    assert [source.name for source in find_sources(names[1:2]).sources] == names[1:2]
    (tmp_path / "a.txt").write_bytes(b"")
    with pytest.raises(EmptyCorpusError, match=r"all 3 texts are empty.*a\.txt.*b\.txt.*c\.txt"):
        find_sources([tmp_path])


@pytest.mark.parametrize(
    "content", [b" " * 5000 + b"x", b"\xff\xfe" + "ы".encode("utf-16-le"), b"\0"]
)
def test_what_holds_anything_stays(tmp_path: Path, content: bytes) -> None:
    make(tmp_path, "a.txt")
    (tmp_path / "b.txt").write_bytes(content)
    assert len(find_sources([tmp_path]).sources) == 2


def test_everything_in_a_folder_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "note.md")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "plain.txt.gz").write_bytes(b"plain")
    (tmp_path / "up").symlink_to(tmp_path)
    found = find_sources([tmp_path])  # and does not wait for the pipe
    assert [source.name for source in found.sources] == [str(tmp_path / "a.txt")]
    reasons = {Path(bad.name).name: str(bad.error) for bad in found.bad}
    assert reasons.keys() == {"gone.txt", "loop.txt", "pipe.txt", "plain.txt.gz"}
    assert "link" in reasons["gone.txt"] and "link" in reasons["loop.txt"]
    assert all(message.startswith(str(tmp_path / name)) for name, message in reasons.items())
    assert found.linked == [str(tmp_path / "up")]
    with pytest.raises(StorageError, match="link"):
        open_sources([tmp_path])


def test_a_folder_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.txt", "shut/b.txt")
    real = os.scandir

    # Replaced rather than chmod'ed: tests may run as root, who may enter everything.
    def refuse(path: str) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", refuse)
    found = find_sources([tmp_path])
    assert [bad.name for bad in found.bad] == [str(tmp_path / "shut")]
    assert "permission denied" in str(found.bad[0].error)


def test_files_with_other_endings_are_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.SRT", "sub/c.srt", "d.srt.gz", "README", "e.csv")
    found = find_sources([tmp_path, tmp_path / "e.csv"])
    assert count_endings(found.unread) == ".srt 3, no ending 1"  # e.csv was named, and is read
    many = [Unread(f"a.{i}", f".{i}", 1) for i in range(9)]
    assert count_endings([*many, *many[:1]]) == ".0 2, .1 1, .2 1, .3 1, .4 1, others 4"


def test_other_endings_can_be_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.SRT", "c.srt.gz", "d.srtx", "README")
    (tmp_path / "c.srt.gz").write_bytes(gzip.compress(b"x"))

    def names(ending: str) -> list[str]:
        return [
            Path(source.name).name for source in find_sources([tmp_path], ending=ending).sources
        ]

    for ending in (".srt", "srt", "*.srt", " .SRT ", ".srt,srt"):
        assert names(ending) == ["b.SRT", "c.srt.gz"], ending
    assert names(".txt, .srt") == ["a.txt", "b.SRT", "c.srt.gz"]
    assert names("all") == ["README", "a.txt", "b.SRT", "c.srt.gz", "d.srtx"]
    assert names(".gz") == ["c.srt.gz"]
    for wrong in ("", ".", "a/b", ".txt,", "s*t"):
        with pytest.raises(ConfigError, match="give the ending"):
            parse_endings(wrong)


def test_text_files_are_told_from_others(tmp_path: Path) -> None:
    contents = {
        "a.srt": "субтитр".encode("cp1251"),
        "b.csv": b"1,2",
        "c.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1",
        "d.pdf": b"%PDF-1.4",
        "e.zip": b"PK\3\4",
        "f.md": b"\xff\xfea\0",
        "g.log": b"",
        "h.gz": gzip.compress(b"\0\1"),
        "x.txt": b"x",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    texts = text_files(find_sources([tmp_path]).unread)
    assert {Path(file.name).name for file in texts} == {"a.srt", "b.csv", "f.md"}


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
    with pytest.raises(EmptyCorpusError, match=r"holds no text.*\.md 1.*ending='\.md'$"):
        open_sources([tmp_path])
    make(tmp_path, "a.srt", "b.srt", ".hidden.txt")
    with pytest.raises(EmptyCorpusError, match=r"\.srt 2, \.md 1.*ending='\.srt'$"):
        open_sources([tmp_path])
    with pytest.raises(EmptyCorpusError, match=r"no file that ends in \.x or \.y was found"):
        find_sources([tmp_path], ending=".x,.y")
    for path in tmp_path.iterdir():
        path.write_bytes(b"\0")
    with pytest.raises(EmptyCorpusError, match="do not look like texts"):
        open_sources([tmp_path])
    make(tmp_path, "bare/README")
    with pytest.raises(EmptyCorpusError, match=r"ending='all'$"):
        open_sources([tmp_path / "bare"])
    (tmp_path / "void").mkdir()
    with pytest.raises(EmptyCorpusError, match="name a folder of texts"):
        open_sources([tmp_path / "void"])


def test_a_broken_link_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(StorageError, match="link"):
        open_sources([tmp_path])


@pytest.mark.parametrize("content", [b"", b"plain text"])
def test_a_gz_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="not a gzip file"):
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
    with pytest.raises(StorageError, match="damaged or cut short"):
        read(*open_sources([path]))


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
    class Full(io.BytesIO):
        def writelines(self, lines: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(descriptor: int, mode: str) -> io.BytesIO:
        os.close(descriptor)
        return Full()

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.fdopen", opened)
    with pytest.raises(StorageError, match="No space left"):
        open_sources(["-"], stdin=io.BytesIO(b"x"))
    assert not list(tmp_path.iterdir())
