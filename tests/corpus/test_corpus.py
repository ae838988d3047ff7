"""`Corpus`: from files to tokens, by way of the cache or not."""

from __future__ import annotations

import errno
import gc
import gzip
import hashlib
import io
import itertools
import json
import re
import tempfile
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textgen.corpus import corpus as corpus_module
from textgen.corpus import text_stream
from textgen.corpus import tokens as tokens_module
from textgen.corpus.cache import TokenCache
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.encoding import Detection
from textgen.corpus.normalization import Normalization
from textgen.corpus.text_stream import TextStream
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.errors import (
    BadFilesError,
    BinaryFileError,
    ConfigError,
    EmptyCorpusError,
    EncodingError,
    StorageError,
)

SENTENCE = (
    "Это я убил тогда старуху-чиновницу и сестру её Лизавету топором, и ограбил"  # the lecture's
)
LEVELS = ("char", "byte", "word")


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_a_file_becomes_tokens(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", "Съешь ещё\r\nбулок, да\r\n")
    corpus = Corpus.open([path])
    text = "Съешь ещё\nбулок, да\n"
    assert corpus.decode() == text and corpus.decode(6, 9) == "ещё"
    assert corpus.vocabulary == Vocabulary.from_characters(text)
    assert not corpus.tokens.flags.writeable and corpus.tokens.dtype == np.uint8
    assert len(corpus) == corpus.chars == len(text) and corpus.utf8_bytes == len(text.encode())
    assert corpus.documents == 1 and END_ID not in corpus.tokens and corpus.unknown_chars == 0
    assert corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    (report,) = corpus.files
    assert (report.path, report.encoding, report.chars) == (str(path), "utf-8", len(text))
    assert report.bytes == path.stat().st_size and report.confidence == 1.0
    assert corpus.notes == ()
    assert corpus.normalization == Normalization()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fold", [False, True])
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_round_trip(tmp_path: Path, level: str, fold: bool, text: str) -> None:
    text = "Раз два, раз 😀 два\n" + text
    path = write(tmp_path / "text.txt", text)
    options = CorpusOptions(level=level, fold=fold, encoding="utf-8")
    corpus = Corpus.open([path], options)
    expected = Normalization(fold=fold).apply(text)
    assert corpus.decode() == expected
    assert corpus.chars == len(expected) and corpus.utf8_bytes == len(expected.encode())
    assert corpus.tokens.tolist() == corpus.vocabulary.encode(expected).tolist()


@pytest.mark.parametrize("level", LEVELS)
def test_every_option_reaches_the_text(tmp_path: Path, level: str) -> None:
    raw = "й и\u0306 дом\r\nдом дом"
    path = write(tmp_path / "text.txt", raw)
    as_it_is = Corpus.open([path], CorpusOptions(level=level, newlines=False, nfc=False))
    assert as_it_is.decode() == raw
    composed = Corpus.open([path], CorpusOptions(level=level, newlines=False))
    assert composed.decode() == unicodedata.normalize("NFC", raw)
    other = Corpus.open([path], normalization=Normalization(nfc=False))
    assert other.decode() == raw.replace("\r", "") and not other.options.nfc
    cyrillic = tmp_path / "old.txt"
    cyrillic.write_bytes("дом и сад".encode("koi8-r"))
    assert Corpus.open(
        [cyrillic], CorpusOptions(level=level, encoding="koi8-r", spell_rare=True)
    ).decode() == ("дом и сад")


def test_the_words_of_the_lecture(tmp_path: Path) -> None:
    path = write(tmp_path / "text.txt", SENTENCE)
    corpus = Corpus.open([path], CorpusOptions(level="word", fold=True, min_word_count=1))
    words = corpus.vocabulary.display(corpus.tokens)
    assert words == [
        *("это", "я", "убил", "тогда", "старуху", "чиновницу", "и", "сестру", "её"),
        *("лизавету", "топором", "и", "ограбил"),
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_documents(tmp_path: Path, level: str) -> None:
    path = write(tmp_path / "text.txt", "\nраз два\nтри\n\n \n\nраз два\n")
    blank = Corpus.open([path], CorpusOptions(level=level, documents="blank"))
    assert blank.documents == 2 == np.count_nonzero(blank.tokens == END_ID) + 1
    line = Corpus.open([path], CorpusOptions(level=level, documents="line"))
    ends = [-1, *np.flatnonzero(line.tokens == END_ID).tolist(), len(line)]
    documents = [line.decode(a + 1, b) for a, b in itertools.pairwise(ends)]
    assert documents == ["раз два", "три", "раз два"]
    assert line.chars == 17 and line.documents == 3
    folded = Corpus.open([path], CorpusOptions(level=level, documents="line", fold=True))
    assert folded.documents == 3 and folded.decode() == line.decode()
    assert folded.files[0].chars == folded.chars == 17
    one = Corpus.open([path], CorpusOptions(level=level))
    assert one.documents == 1 and END_ID not in one.tokens


def test_several_files_are_documents(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.txt", "один"), write(tmp_path / "b.txt", "два\n")
    corpus = Corpus.open([tmp_path])
    assert corpus.documents == 2 and corpus.tokens[4] == END_ID
    assert [report.path for report in corpus.files] == [str(a), str(b)]
    assert corpus.sha256 not in {report.sha256 for report in [Corpus.open([a]), Corpus.open([b])]}
    # Where one file ends and the next begins is part of the content.
    write(a, "од")
    write(b, "индва\n")
    assert Corpus.open([tmp_path]).cache_key != corpus.cache_key


def test_other_sources(tmp_path: Path) -> None:
    packed = tmp_path / "text.txt.gz"
    packed.write_bytes(gzip.compress(b"abcabc"))
    corpus = Corpus.open([packed, "-"], stdin=io.BytesIO(b"def"))
    assert corpus.decode() == "abcabcdef" and corpus.documents == 2
    again = Corpus.open([packed, "-"], stdin=io.BytesIO(b"deg"))
    assert again.decode() == "abcabcdeg"


@pytest.mark.parametrize("level", LEVELS)
def test_a_given_vocabulary(tmp_path: Path, level: str) -> None:
    first = Corpus.open(
        [write(tmp_path / "a.txt", "дом дом и сад")], CorpusOptions(level=level, spell_rare=True)
    )
    path = write(tmp_path / "b.txt", "дом q")
    corpus = Corpus.open([path], vocabulary=first.vocabulary)
    assert corpus.vocabulary == first.vocabulary and corpus.options.level == level
    known = level == "byte"
    assert corpus.decode() == ("дом q" if known else "дом \ufffd")
    assert corpus.unknown_chars == (0 if known else 1)
    assert np.count_nonzero(corpus.tokens == UNKNOWN_ID) == corpus.unknown_chars
    assert corpus.utf8_bytes == 8 and corpus.chars == 5
    single = Corpus.open([write(tmp_path / "c.txt", "и")], vocabulary=first.vocabulary)
    assert single.decode() == "и"


def test_a_vocabulary_of_folded_words_folds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "Дом, дом и сад")
    first = Corpus.open([path], CorpusOptions(level="word", fold=True))
    assert Corpus.open([path], vocabulary=first.vocabulary).decode() == "дом дом и сад"
    with pytest.raises(ConfigError, match="need the same fold"):
        Corpus.open([path], vocabulary=first.vocabulary, normalization=Normalization())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fold", [False, True])
def test_token_at_char(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, fold: bool
) -> None:
    monkeypatch.setattr(corpus_module, "_SCAN", 5)
    path = write(tmp_path / "a.txt", "да да щука 😀 лиса да\nда\nёж да да\n")
    options = CorpusOptions(level=level, fold=fold, documents="line")
    corpus = Corpus.open([path], options)
    # By hand: where the text of every token starts, a document's first word without its space.
    pieces = corpus.vocabulary.pieces(corpus.tokens)
    if level == "byte":
        data = bytes(
            ord(corpus.vocabulary.symbols[token]) if token > 1 else 0 for token in corpus.tokens
        )
        starts = [
            len(data[:i].replace(b"\0", b"").decode("utf-8", "ignore")) for i in range(len(data))
        ]
        begins = [byte & 0xC0 != 0x80 for byte in data]
    else:
        starts = [len("".join(pieces[:i])) for i in range(len(pieces))]
        begins = [True] * len(pieces)
    for position in range(corpus.chars + 2):
        expected = [i for i, at in enumerate(starts) if at >= position and begins[i]]
        if position >= corpus.chars:
            expected = []
        found = corpus.token_at_char(position)
        assert found == (expected or [len(corpus)])[0], position
        assert len(corpus.decode(0, found)) >= min(position, corpus.chars)


def test_token_at_char_of_one_document_is_the_character(tmp_path: Path) -> None:
    corpus = Corpus.open([write(tmp_path / "a.txt", "абвгд")])
    assert [corpus.token_at_char(i) for i in (-1, 0, 3, 5, 9)] == [0, 0, 3, 5, 5]


# --- the cache


def _forbid_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(corpus_module, "write_tokens", refuse)


@pytest.mark.parametrize("level", LEVELS)
def test_the_second_time_nothing_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    options = CorpusOptions(level=level, documents="line")
    path = write(tmp_path / "a.txt", "дом и сад\nдом\n")
    first = Corpus.open([path], options)
    _forbid_encoding(monkeypatch)
    moved = path.rename(tmp_path / "b.txt")
    second = Corpus.open([moved], options)
    assert second.files[0].path == str(moved)
    for corpus in (second, Corpus.from_cache(first.cache_key)):
        assert corpus is not None
        assert corpus.tokens.tolist() == first.tokens.tolist()
        assert {**corpus.summary(), "files": 0} == {**first.summary(), "files": 0}
        assert corpus.vocabulary == first.vocabulary
        assert corpus.normalization == first.normalization
    with pytest.raises(AssertionError, match="encoded again"):
        Corpus.open([moved], CorpusOptions(level=level))


def test_the_same_size_is_not_the_same_content(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "abcabc")
    first = Corpus.open([path])
    write(path, "abcabd")
    second = Corpus.open([path])
    assert second.decode() == "abcabd" and second.cache_key != first.cache_key
    given_vocabulary = Corpus.open([path], vocabulary=first.vocabulary)
    assert given_vocabulary.decode() == "abcab\ufffd"


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = write(tmp_path / "a.txt", "abcabc")
    first = Corpus.open([path], cache=cache)
    tokens = cache / f"{first.cache_key}.tokens"
    tokens.write_bytes(bytes([2]) * 6)
    assert Corpus.from_cache(first.cache_key, cache) is None
    assert Corpus.open([path], cache=cache).decode() == "abcabc"
    assert Corpus.from_cache(first.cache_key, cache) is not None
    assert Corpus.from_cache("0" * 64, cache) is None and Corpus.from_cache("../a", cache) is None


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"level": "letter"}},
        {"options": {"colour": "red"}},
        {"vocabulary": {"level": "char", "symbols": ["aa"]}},
        {"vocab_size": 77},
        {"files": [{"path": "a"}]},
    ],
)
def test_a_header_this_version_cannot_read_is_made_again(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = write(tmp_path / "a.txt", "abcabc")
    key = Corpus.open([path]).cache_key
    cache = TokenCache()
    entry = cache.load(key)
    assert entry is not None
    scratch = cache.scratch()
    entry.tokens.tofile(scratch)
    cache.store(key, scratch, {**entry.header, **change})
    assert Corpus.from_cache(key) is None
    assert Corpus.open([path]).decode() == "abcabc"
    assert Corpus.from_cache(key) is not None


def test_without_a_cache_folder_there_is_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    blocked = write(tmp_path / "cache", "a file where the folder should be")
    corpus = Corpus.open([write(tmp_path / "a.txt", "abcabc")], cache=blocked)
    assert corpus.decode() == "abcabc"
    (note,) = corpus.notes
    assert str(blocked) in note and "TEXTGEN_CACHE" in note
    (folder,) = (tmp_path / "temporary").iterdir()
    assert len(list(folder.iterdir())) == 2
    del corpus
    gc.collect()
    assert not folder.exists()


def test_a_cache_that_others_may_write_to_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    cache, path = tmp_path / "cache", write(tmp_path / "a.txt", "abcabc")
    Corpus.open([path], cache=cache)
    (tokens,) = cache.glob("*.tokens")
    tokens.write_bytes(bytes([2] * 6))
    cache.chmod(0o777)
    corpus = Corpus.open([path], cache=cache)
    assert corpus.decode() == "abcabc"
    (note,) = corpus.notes
    assert f"{cache} cannot be used (other users may write to it; chmod go-w" in note
    assert Corpus.from_cache(corpus.cache_key, cache) is None
    cache.chmod(0o700)
    assert Corpus.open([path], cache=cache).decode() == "abcabc", "made again from the text"
    assert Corpus.from_cache(corpus.cache_key, cache) is not None


@pytest.mark.parametrize("level", LEVELS)
def test_a_full_disk_leaves_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    cache = tmp_path / "cache"
    path = write(tmp_path / "a.txt", "дом и сад и дом")
    everywhere = False
    real = tokens_module.TokenWriter.write

    def full(self: Any, data: Any) -> None:
        if everywhere or Path(self._file.name).parent == cache:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, data)

    monkeypatch.setattr(tokens_module.TokenWriter, "write", full)
    corpus = Corpus.open([path], CorpusOptions(level=level), cache=cache)
    assert corpus.decode() == "дом и сад и дом"
    assert "full" in corpus.notes[0] and not list(cache.iterdir())
    everywhere = True
    with pytest.raises(StorageError, match=r"neither to the cache nor to.*full.*TEXTGEN_CACHE"):
        Corpus.open([path], CorpusOptions(level=level), cache=cache)


def test_a_text_that_changes_between_passes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt", "дом и сад и дом")
    real = tokens_module._count_words

    def count_and_change(*arguments: Any) -> Any:
        result = real(*arguments)
        write(path, "дом и сад и том")
        return result

    monkeypatch.setattr(tokens_module, "_count_words", count_and_change)
    with pytest.raises(StorageError, match="changed while"):
        Corpus.open([path], CorpusOptions(level="word"))


# --- several files


def folder_of(tmp_path: Path, **contents: bytes) -> Path:
    """A folder of `.txt` files."""
    folder = tmp_path / "texts"
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.txt").write_bytes(content)
    return folder


GOOD = {"a": "дом и сад".encode(), "z": b"house and garden"}
BAD = {"pdf": b"%PDF-1.4 text", "nul": b"ab\0cd", "torn": b"\xef\xbb\xbfab \xff\xff cd"}


@pytest.mark.parametrize("level", LEVELS)
def test_all_bad_files_are_named_at_once(tmp_path: Path, level: str) -> None:
    folder = folder_of(tmp_path, **GOOD, **BAD)
    (folder / "gone.txt").symlink_to(tmp_path / "nowhere")
    options = CorpusOptions(level=level, encoding=None)
    with pytest.raises(BadFilesError) as caught:
        Corpus.open([folder], options)
    first, *named, last = str(caught.value).split("\n")
    bad = sorted(
        {str(path) for path in folder.iterdir()} - {str(folder / f"{name}.txt") for name in GOOD}
    )
    assert first.startswith(f"{len(bad)} of {len(bad) + 2} files")
    assert sorted(line.split(" is ")[0].strip() for line in named) == bad
    assert "skip_bad=True" in last and "the other 2" in last
    # Without them the text is the same as if they were not there.
    corpus = Corpus.open([folder], replace(options, skip_bad=True))
    alone = Corpus.open([folder / f"{name}.txt" for name in GOOD], options)
    assert corpus.cache_key == alone.cache_key and corpus.decode() == alone.decode()
    assert [Path(report.path).stem for report in corpus.files] == list(GOOD)
    (note,) = corpus.notes
    assert "4 files are left out because they cannot be read" in note and all(
        path in note for path in bad
    )
    assert alone.notes == ()
    # From the cache likewise.
    again = Corpus.open([folder], replace(options, skip_bad=True))
    assert again.notes == corpus.notes and again.files == corpus.files
    with pytest.raises(BadFilesError):
        Corpus.open([folder], options)


@pytest.mark.slow
def test_what_is_wrong_far_inside_a_file_is_found_with_the_others(tmp_path: Path) -> None:
    long = b"a good line\n" * 90_000  # More than what the encoding is judged by.
    folder = folder_of(tmp_path, a=GOOD["a"], long=long + b"\0", z=b"%PDF-1.4", y=GOOD["z"])
    (folder / "packed.txt.gz").write_bytes(gzip.compress(long)[:-9])
    with pytest.raises(BadFilesError, match=r"3 of 5 files") as caught:
        Corpus.open([folder])
    assert all(f"{name}.txt" in str(caught.value) for name in ("long", "z", "packed"))
    corpus = Corpus.open([folder], CorpusOptions(skip_bad=True))
    assert [Path(report.path).name for report in corpus.files] == ["a.txt", "y.txt"]


def test_many_bad_files_are_counted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a=GOOD["a"], **{f"b{i:03}": BAD["pdf"] for i in range(25)})
    with pytest.raises(BadFilesError) as caught:
        Corpus.open([folder])
    lines = str(caught.value).split("\n")
    assert len(lines) == 13 and lines[0].startswith("25 of 26") and lines[11] == "  and 15 more"
    (note,) = Corpus.open([folder], CorpusOptions(skip_bad=True)).notes
    assert note.endswith("; and 15 more")


def test_where_nothing_is_left_skipping_is_no_help(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, **BAD)
    for skip in (False, True):
        with pytest.raises(BadFilesError, match="3 of 3") as caught:
            Corpus.open([folder], CorpusOptions(skip_bad=skip))
        assert "skip_bad" not in str(caught.value)
        with pytest.raises(BinaryFileError, match="PDF"):  # an only text says what is wrong itself
            Corpus.open([folder / "pdf.txt"], CorpusOptions(skip_bad=skip))


def test_a_name_cannot_forge_a_line(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, **GOOD, **{"x\n  y is fine": BAD["pdf"]})
    with pytest.raises(BadFilesError) as caught:
        Corpus.open([folder])
    assert len(str(caught.value).split("\n")) == 3


def test_with_every_file_good_each_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, **GOOD)

    def refuse(*_: Any) -> None:
        raise AssertionError("read once more")

    monkeypatch.setattr(TextStream, "_check", refuse)
    assert Corpus.open([folder]).documents == 2
    with pytest.raises(AssertionError, match="read once more"):
        Corpus.open([folder], CorpusOptions(skip_bad=True))


def test_what_was_not_read_or_twice_is_noted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, **GOOD, copy=GOOD["a"], empty=b"", blank=b" \n")
    (folder / "picture.jpg").write_bytes(b"\xff\xd8\0\1")
    for _ in range(2):  # read, and from the cache
        corpus = Corpus.open([folder, folder / "z.txt"])
        assert corpus.documents == 3
        again, empty, same, other = corpus.notes
        assert again == f"1 file is named twice and read once: {folder / 'z.txt'}"
        assert empty.startswith("2 files are left out because there is nothing in them: ")
        assert same.endswith(f"{folder / 'copy.txt'} is the same as {folder / 'a.txt'}")
        assert other.endswith(".jpg 1") and not other.startswith("warning")
    assert Corpus.open([folder / "a.txt", folder / "empty.txt"]).documents == 1


def test_a_warning_where_most_of_a_folder_is_not_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, readme=GOOD["z"])
    for i in range(3):
        (folder / f"{i}.srt").write_bytes(f"subtitle {i}".encode())
    (note,) = Corpus.open([folder]).notes
    assert note.startswith("warning: ") and ".srt 3" in note
    assert "ending='.txt,.srt';" in note and note.endswith("ending='.srt'")
    assert Corpus.open([folder], CorpusOptions(ending=".txt,.srt")).notes == ()
    # By length as well, and a file without an ending is asked for with all.
    folder = folder_of(tmp_path / "texts", readme=GOOD["z"], other=GOOD["a"])
    (folder / "LONG").write_bytes(b"much longer " * 10)
    (note,) = Corpus.open([folder]).notes
    assert note.startswith("warning: ") and note.endswith("ending='all' reads all")


def test_which_files_are_read_is_no_part_of_the_key(tmp_path: Path) -> None:
    """And what earlier versions stored is found again."""
    folder = folder_of(tmp_path, **GOOD)
    key = Corpus.open([folder]).cache_key
    assert Corpus.open([folder], CorpusOptions(skip_bad=True, ending="txt")).cache_key == key
    options = corpus_module._request(CorpusOptions(), None)["options"]
    assert options == {
        "level": "char",
        "fold": False,
        "documents": None,
        "encoding": None,
        "min_count": 1,
        "min_word_count": 2,
        "max_words": 30_000,
        "newlines": True,
        "nfc": True,
    }


# --- refusals


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", CorpusOptions(), "empty"),
        ("я", CorpusOptions(), "a.txt.*1 character"),
        ("я" * 99, CorpusOptions(level="byte"), "a.txt.*one symbol"),
        ("1, 2, 3!", CorpusOptions(fold=True), "a.txt.*nothing is left"),
        ("\n\n \n", CorpusOptions(documents="line"), "a.txt.*nothing is left"),
    ],
)
def test_texts_with_nothing_in_them(
    tmp_path: Path, text: str, options: CorpusOptions, message: str
) -> None:
    path = write(tmp_path / "a.txt", text)
    with pytest.raises(EmptyCorpusError, match=message):
        Corpus.open([path], options)
    assert not list(tmp_path.glob("textgen-cache/*"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "letter"},
        {"documents": "page"},
        {"min_count": 0},
        {"min_word_count": 1.5},
        {"max_words": -1},
        {"ending": "a/b"},
    ],
)
def test_options_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=re.escape(str(next(iter(wrong.values()))))):
        CorpusOptions(**wrong)


def test_summary_is_plain_data(tmp_path: Path) -> None:
    corpus = Corpus.open([write(tmp_path / "a.txt", "дом и сад")])
    summary = json.loads(json.dumps(corpus.summary()))
    assert summary["sha256"] == corpus.sha256 and summary["files"][0]["encoding"] == "utf-8"
    assert summary["options"]["level"] == "char" and summary["tokens"] == 9


# --- real texts


@pytest.mark.parametrize("level", LEVELS)
def test_a_novel(shared: Path, level: str) -> None:
    path = shared / "corpora" / "dostoevsky" / "prestuplenie_i_nakazanie.txt"
    corpus = Corpus.open([path], CorpusOptions(level=level, spell_rare=True))
    text = path.read_text(encoding="utf-8")
    assert corpus.decode() == unicodedata.normalize("NFC", text)
    # Words stand for several characters each, or the level would be of no use.
    assert level != "word" or len(corpus) < 0.6 * corpus.chars


def test_a_million_times_one_symbol(shared: Path) -> None:
    with pytest.raises(EmptyCorpusError, match="one symbol, 'a', 1,000,000 times"):
        Corpus.open([shared / "corpora" / "encodings" / "single_symbol_1MB.txt"])


class TestDamagedFiles:
    """`encoding_errors="replace"`, and what the notes tell."""

    @pytest.fixture
    def damaged(self, tmp_path: Path) -> Path:
        path = tmp_path / "damaged.txt"
        path.write_bytes((SENTENCE + "\n").encode() + b"\xff" + SENTENCE.encode() * 3 + b"\xfe.")
        return path

    @pytest.mark.parametrize("level", ["char", "word"])
    def test_what_is_lost_is_unknown(self, damaged: Path, level: str) -> None:
        with pytest.raises(EncodingError, match="2 bad bytes"):
            Corpus.open([damaged])
        corpus = Corpus.open([damaged], CorpusOptions(level=level, encoding_errors="replace"))
        assert corpus.decode() == SENTENCE + "\n\ufffd" + SENTENCE * 3 + "\ufffd."
        assert corpus.unknown_chars == 2
        assert "\ufffd" not in corpus.vocabulary.symbols
        assert corpus.files[0].replaced == 2
        (note,) = corpus.notes
        place = len((SENTENCE + "\n").encode())
        assert note.startswith(f"{damaged} has bytes that stand for no character in 2 places")
        assert f"at byte {place:,};" in note

    def test_the_cache_tells_the_same(self, damaged: Path, tmp_path: Path) -> None:
        options = CorpusOptions(encoding_errors="replace")
        first = Corpus.open([damaged], options)
        moved = damaged.rename(tmp_path / "other name.txt")
        again = Corpus.open([moved], options)
        assert again.cache_key == first.cache_key
        assert again.files[0].replaced == 2
        assert again.notes[0] == first.notes[0].replace(str(damaged), str(moved))

    def test_a_text_that_had_such_characters_keeps_them(self, tmp_path: Path) -> None:
        path = write(tmp_path / "lost.txt", "one \ufffd two")
        corpus = Corpus.open([path])
        assert "\ufffd" in corpus.vocabulary.symbols and corpus.unknown_chars == 0
        assert corpus.files[0].replaced == 0
        assert "something was lost" in corpus.notes[0]

    def test_keys_of_runs_from_before_stay_the_same(self, tmp_path: Path) -> None:
        request = corpus_module._request(CorpusOptions(), None)
        assert "encoding_errors" not in request["options"]
        request = corpus_module._request(CorpusOptions(encoding_errors="replace"), None)
        assert request["options"]["encoding_errors"] == "replace"

    def test_byte_order_marks_are_not_learned(self, tmp_path: Path) -> None:
        path = tmp_path / "joined.txt"
        path.write_bytes("\ufeffраз\n".encode() * 3)
        for options in (CorpusOptions(), CorpusOptions(documents="line", fold=True)):
            corpus = Corpus.open([path], options)
            assert "\ufeff" not in corpus.vocabulary.symbols
            assert "2 byte order marks" in corpus.notes[0]

    def test_a_guess_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "short.txt"
        path.write_bytes("я бы на твоем месте".encode("mac_cyrillic"))
        (note,) = Corpus.open([path]).notes
        assert note.startswith(f"{path} is read as ") and "the second candidate" in note
        assert Corpus.open([path], CorpusOptions(encoding="mac_cyrillic")).notes == ()

    def test_many_notes_are_counted(self, tmp_path: Path) -> None:
        paths = [tmp_path / f"{i}.txt" for i in range(8)]
        for path in paths:
            write(path, f"<html><body><p>{path.name}</p></body></html>")
        notes = Corpus.open(paths).notes
        assert len(notes) == 6 and notes[-1].startswith("3 more files have such notes")

    def test_what_was_guessed_otherwise_before_is_read_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "price.txt"
        path.write_bytes("A cup of tea and one scone for £5, she said.\n".encode("cp1252") * 9)
        wrong = Detection("cp852", 0.9, "an older guess", 0)
        with monkeypatch.context() as patch:
            patch.setattr(text_stream, "detect", lambda *_: wrong)
            assert "ú5" in Corpus.open([path]).decode()
        assert "£5" in Corpus.open([path]).decode()
