"""Tokens of a large file: an array like any other, until somebody cuts the file short."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textgen.corpus import mapped
from textgen.corpus.mapped import MappedTokens
from textgen.corpus.windows import Windows, count_tokens
from textgen.errors import StorageError

COUNT = 5000
IDS = np.random.default_rng(0).integers(0, 300, COUNT, dtype=np.uint16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    IDS.tofile(tmp_path / "tokens")
    return tmp_path / "tokens"


def open_tokens(path: Path) -> MappedTokens:
    with path.open("rb") as file:
        return MappedTokens.of(file, "the-file", IDS.dtype, COUNT)


@pytest.fixture
def tokens(path: Path) -> MappedTokens:
    return open_tokens(path)


ROWS = np.array([0, 700, 4700])[:, None] + np.arange(20)
INDICES: dict[str, Any] = {
    "slice": slice(10, 40),
    "to the end": slice(4990, None),
    "all": slice(None),
    "from behind": slice(-30, -10),
    "beyond": slice(4990, 9000),
    "empty": slice(40, 10),
    "every second": slice(0, 100, 2),
    "backwards": slice(100, 0, -1),
    "one": 17,
    "the last": -1,
    "of numpy": np.int64(3),
    "windows in columns": np.ascontiguousarray(ROWS.T),
    "windows in rows": ROWS,
    "three axes": ROWS.reshape(3, 4, 5),
    "a run": np.arange(50, 90),
    "scattered": np.array([5, 3, 4700, 0]),
    "negative": np.arange(-20, 0),
    "around zero": np.arange(-10, 10),
    "a list": [1, 2, 3],
    "nothing": np.array([], np.int64),
    "mask": IDS > 150,
    "new axis": (None, slice(3, 9)),
    "small integers": np.arange(40, dtype=np.uint8),
}


@pytest.mark.parametrize("piece_bytes", [0, 40, mapped.PIECE_BYTES])
@pytest.mark.parametrize("name", INDICES)
def test_it_gives_what_an_array_gives(
    tokens: MappedTokens, monkeypatch: pytest.MonkeyPatch, name: str, piece_bytes: int
) -> None:
    monkeypatch.setattr(mapped, "PIECE_BYTES", piece_bytes)
    part, whole = tokens[100:4900], IDS[100:4900]
    inner, inside = part[50:], whole[50:]
    for array, expected in ((tokens, IDS), (part, whole), (inner, inside)):
        index = INDICES[name][: len(expected)] if name == "mask" else INDICES[name]
        found = array[index]
        assert np.array_equal(found, expected[index]), name
        assert np.asarray(found).dtype == IDS.dtype
        assert np.shape(found) == np.shape(expected[index])
        if isinstance(found, np.ndarray) and isinstance(index, np.ndarray):
            assert found.flags.c_contiguous, "as the native engine needs it"


def test_it_cannot_be_written_to(tokens: MappedTokens) -> None:
    for array in (tokens, tokens[:40], tokens[10:4000:2]):
        assert not array[:4].flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


def test_windows_and_whole_arrays(tokens: MappedTokens) -> None:
    settings: dict[str, Any] = {"seq_len": 32, "batch_size": 6}
    for step in (0, 3, 40):
        ours = Windows(tokens, **settings).batch(step)
        theirs = Windows(IDS, **settings).batch(step)
        assert np.array_equal(ours.inputs_TB, theirs.inputs_TB)
        assert np.array_equal(ours.targets_TB, theirs.targets_TB)
    assert np.array_equal(count_tokens(tokens, 300), count_tokens(IDS, 300))
    assert np.array_equal(tokens == 7, IDS == 7) and tokens.max() == IDS.max()
    copied = tokens.copy()
    assert np.array_equal(copied[5:9], IDS[5:9]) and tokens.tolist() == IDS.tolist()


def cut_short(path: Path) -> None:
    os.truncate(path, 100)


def cut_and_filled(path: Path) -> None:
    """Of the same size as before: what is read would be zeros."""
    os.truncate(path, 0)
    os.truncate(path, COUNT * 2)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(6000)
        file.write(b"\1" * 100)


@pytest.mark.parametrize("spoil", [cut_short, cut_and_filled, overwritten])
@pytest.mark.parametrize("index", [slice(2990, 3050), 3010, ROWS, [3, 3010], slice(0, None, 2)])
def test_a_file_that_is_no_more_what_it_was_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, index: Any, spoil: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(mapped, "PIECE_BYTES", 200)
    os.utime(path, (1000, 1000))
    tokens = open_tokens(path)
    part = tokens[10:]  # one that was taken before
    spoil(path)
    for array in (tokens, part):
        with pytest.raises(StorageError, match=r"the encoded text the-file .*resume"):
            array[index]


def test_a_file_that_is_cut_short_between_the_look_at_it_and_the_reading(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map would end the process with a bus error here."""
    pread = os.pread

    def cut_first(descriptor: int, size: int, place: int) -> bytes:
        cut_short(path)
        return pread(descriptor, size, place)

    for index in (slice(2990, 3050), 3010, ROWS, np.arange(3000, 3020)):
        IDS.tofile(path)
        os.utime(path, (1000, 1000))
        tokens = open_tokens(path)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", cut_first)
            with pytest.raises(StorageError, match="it is shorter now"):
                tokens[index]


def test_a_disk_that_fails(tokens: MappedTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(StorageError, match="the disk reports an input/output error"):
        tokens[10:20]


def test_a_file_without_a_name_goes_on(path: Path, tokens: MappedTokens) -> None:
    """As when another process removes the entry."""
    path.unlink()
    assert tokens[3000:3010].tolist() == IDS[3000:3010].tolist()
