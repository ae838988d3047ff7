"""The report on a text, and the text that is written: what was read, without what was named."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import textgen
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.errors import BadFilesError, ConfigError, CorpusError

LONG = "This paragraph is long enough to be compared with the others of the text, and it is {}."
ONE, OTHER = LONG.format("the first one of them"), "Quite another one stands here, " + "la " * 30


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    Path(name).write_text(text, "utf-8", newline="")
    return name


def test_the_figures_are_those_of_training() -> None:
    """Characters and symbols are what `train` sees of the same file, however it ends."""
    name = write("a.txt", "Жук\r\nи ё\n\n\nend —\n")
    report = textgen.describe_corpus(name)
    corpus = Corpus.open([name])
    assert (report.chars, report.documents) == (corpus.chars, 1)
    assert report.utf8_bytes == corpus.utf8_bytes
    assert {own.symbol for own in report.symbols} == set(corpus.vocabulary.symbols[2:])
    dash = next(own for own in report.symbols if own.symbol == "—")
    assert (dash.count, dash.line, dash.name) == (1, 5, "EM DASH")
    assert report.files[0].encoding == "utf-8" and report.boilerplate == ()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mode", ["blank", "blank:2", "line", "start:New", "separator:***", None])
def test_what_is_written_is_cut_as_what_was_read(mode: str | None, seed: int) -> None:
    """The documents of the written file, cut as the report says, are those of the file."""
    lines = ["New day", "", "  x", "***", "", "", ONE, " \t", "ж"]
    text = "\n".join(lines[(place * 7 + seed * place) % 9] for place in range(90)) + "\n"
    name = write("a.txt", text)
    report = textgen.describe_corpus(name, out="out.txt", documents=mode)
    before = Corpus.open([name], CorpusOptions(documents=mode))
    after = Corpus.open(["out.txt"], CorpusOptions(documents=report.separator))
    assert report.documents == before.documents == after.documents
    marks = [corpus.decode().strip() for corpus in (before, after)]
    assert marks[0] == marks[1]


def test_repeated_passages_are_said_and_left_out_when_asked() -> None:
    near = ONE.replace("first", "First").replace("them", "then")
    name = write("a.txt", f"{ONE}\n\nshort\n\n{OTHER}\n\n{ONE}\n\nshort\n\n{near}\n\nEnd.\n")
    report = textgen.describe_corpus(name, out="all.txt")
    assert Path("all.txt").read_text("utf-8") == Path(name).read_text("utf-8")
    assert [(own.kind, own.unit, own.line, own.of_line) for own in report.repeats] == [
        ("duplicates", "paragraph", 7, 1),
        ("near-duplicates", "paragraph", 11, 1),
    ]
    assert [own.count for own in report.repeat_counts] == [1, 1]
    textgen.describe_corpus(name, out="some.txt", drop="duplicates")
    assert Path("some.txt").read_text("utf-8") == (
        f"{ONE}\n\nshort\n\n{OTHER}\n\nshort\n\n{near}\n\nEnd.\n"
    )
    textgen.describe_corpus(name, out="few.txt", drop="duplicates, near-duplicates")
    assert Path("few.txt").read_text("utf-8") == f"{ONE}\n\nshort\n\n{OTHER}\n\nshort\n\nEnd.\n"


def test_repeated_documents_are_left_out_whole() -> None:
    for name, text in (("a", f"{ONE}\n\n{OTHER}"), ("b", "B"), ("c", f"{ONE}\n\n{OTHER}\n")):
        write(f"{name}.txt", text)
    report = textgen.describe_corpus(".", out=Path("out"), drop="duplicates")
    (repeat,) = report.repeats
    assert (repeat.unit, repeat.file, repeat.of_file) == ("document", "./c.txt", "./a.txt")
    assert report.documents == 2 and report.separator == "blank:2"
    assert Path("out").read_text("utf-8") == f"{ONE}\n\n{OTHER}\n\n\nB\n"


def test_a_chat_keeps_everything_until_it_is_asked() -> None:
    chat = "".join(
        f"05.03.21, 14:0{n} - {line}\n"
        for n, line in enumerate(("Anna added Bo", "Anna: Hi\nyou", "Bo: Yes", "Bo: <Omitted it>"))
    )
    name = write("chat.txt", chat)
    report = textgen.describe_corpus(name, out="all.txt")
    assert Path("all.txt").read_text("utf-8") == chat
    found = {own.kind: (own.count, own.places) for own in report.boilerplate}
    assert found == {"timestamps": (2, ((2, 2), (4, 4))), "system": (2, ((1, 1), (5, 5)))}
    textgen.describe_corpus(name, out="out.txt", drop="boilerplate")
    assert Path("out.txt").read_text("utf-8") == "Anna: Hi\nyou\nBo: Yes\n"
    textgen.describe_corpus(name, out="out.txt", drop="system")
    assert Path("out.txt").read_text("utf-8").count("14:0") == 2


def test_a_list_and_cells_are_documents() -> None:
    names = [f"Name{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(200)]
    report = textgen.describe_corpus(write("n.txt", "\n".join([*names, names[3]])), out="o")
    assert (report.documents, report.separator) == (201, "line")
    (repeat,) = report.repeats
    assert (repeat.line, repeat.of_line, repeat.excerpt) == (201, 4, names[3])
    table = write("t.tsv", "0\tone\n1\ttwo\n0\tthree\n")
    report = textgen.describe_corpus(table, column="2", out="cells")
    assert Path("cells").read_text() == "one\ntwo\nthree\n"
    assert report.chars == 11 and report.separator == "line"
    assert all(own.symbol != "\n" for own in report.symbols)


@pytest.mark.parametrize(
    ("paths", "settings", "told"),
    [
        (["a.txt"], {}, "train('a.txt')"),
        (["a.txt"], {"documents": "blank", "encoding": "utf-8"}, "'a.txt', encoding='utf-8', doc"),
        (["."], {}, "train('.', ending='.md,.txt')"),
        (["."], {"ending": ".md", "skip_bad": True}, "train('.', skip_bad=True, ending='.md')"),
        (["b.md"], {}, "train('b.md')"),
        (["a.txt"], {"format": "text"}, "into a file: out="),
        (["-"], {}, "into a file: out="),
        (["a.txt"], {"out": "o"}, "train('o', documents='file')"),
        (["."], {"out": "o"}, "train('o', documents='line')"),
    ],
)
def test_the_command_at_the_end_reads_the_same(
    paths: list[str], settings: dict[str, Any], told: str
) -> None:
    write("a.txt", "One.\n")
    write("b.md", "Two.\n")
    report = textgen.describe_corpus(*paths, stdin=io.BytesIO(b"Three."), **settings)
    assert told in report.advice()[-1]


def test_a_page_says_its_encoding() -> None:
    page = "<html><head><meta charset=koi8-r></head><body><p>Уж вечер</body></html>"
    Path("p.html").write_bytes(page.encode("koi8-r"))
    report = textgen.describe_corpus("p.html", out="o.txt")
    assert Path("o.txt").read_text("utf-8") == "Уж вечер\n"
    assert report.files[0].encoding == "koi8_r"


@pytest.mark.parametrize(
    ("says", "words", "encoding", "notes"),
    [
        ("utf-16", "Evening", "utf-8", 0),
        ("utf-32", "Вечер", "utf-8", 0),
        ("utf-7", "a +AGE- b", "utf-8", 0),
        ("rot13", "Evening", "utf-8", 0),
        ("windows-1251", "Уж вечер", "utf-8", 1),
        ("UTF-8", "Уж вечер", "utf-8", 0),
        ("utf-8", "Évening", "utf-8", 0),
    ],
)
def test_the_bytes_of_a_page_are_believed(says: str, words: str, encoding: str, notes: int) -> None:
    """A page that was converted says the old encoding; one in ASCII is not in UTF-16."""
    page = f"<html><head><meta charset={says}></head><body><p>{words}</body></html>"
    Path("p.html").write_bytes(page.encode(encoding))
    (read,) = textgen.describe_corpus("p.html", out="o.txt").files
    assert Path("o.txt").read_text("utf-8") == f"{words}\n" and read.encoding == encoding
    told = [note for note in read.notes if "but its bytes are UTF-8" in note]
    assert len(told) == notes and all(says in note for note in told)


def test_bad_files_are_listed_or_left_out() -> None:
    write("good.txt", "A text.")
    Path("bad.epub").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    write("t.csv", "a,b\n1,2\n")
    with pytest.raises(ConfigError, match=r"t\.csv is a table .* column='b'"):
        textgen.describe_corpus(".")
    with pytest.raises(BadFilesError, match=r"1 of 2 files.*\n.*bad\.epub is damaged"):
        textgen.describe_corpus("good.txt", "bad.epub")
    report = textgen.describe_corpus(".", skip_bad=True)
    assert [own.path for own in report.files] == ["./good.txt"] and len(report.notes) == 2


def test_what_cannot_be_is_refused() -> None:
    name = write("a.txt", "Once.\n")
    with pytest.raises(ConfigError, match="there are boilerplate, duplicates"):
        textgen.describe_corpus(name, drop="adverts")
    with pytest.raises(ConfigError, match="is one of the files"):
        textgen.describe_corpus(name, out=name)
    with pytest.raises(CorpusError, match="no text"):
        textgen.describe_corpus(write("f.srt", "1\n00:00:01,000 --> 00:00:02,000\n\n"))
    assert Path(name).read_text() == "Once.\n"
    report = textgen.describe_corpus(text="Twice.\n")
    assert report.chars == 7
    read = textgen.describe_corpus("-", stdin=io.BytesIO(b"<!doctype html><html><p>a</html>"))
    assert read.files[0].format == "html"
