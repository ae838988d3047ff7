"""Labels of documents from folders, files, columns and tags: each document has its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.made_files import docx_of, paragraph

from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.label_sources import has_labels, label_of_path, labelled_documents
from textgen.corpus.spans import find_documents
from textgen.corpus.vocabulary import END_ID
from textgen.corpus.windows import DocumentLabels, Windows
from textgen.errors import ConfigError, CorpusError


def found(corpus: Corpus) -> list[tuple[str, str]]:
    """Label and text of each document."""
    assert corpus.label_D is not None
    names = ("", *corpus.labels)
    spans = find_documents(corpus.tokens)
    texts = [corpus.decode(*span) for span in zip(spans.starts, spans.stops, strict=True)]
    return [(names[number], text) for number, text in zip(corpus.label_D, texts, strict=True)]


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_by_folder_each_line_has_the_label_of_its_file(tmp_path: Path) -> None:
    write(tmp_path, b__x_txt="two\nthree\n", a__y_txt="one\n", b__z_txt="four\n\n")
    options = CorpusOptions(label_from="folder", documents="line")
    expected = [("a", "one"), ("b", "two"), ("b", "three"), ("b", "four")]
    for _ in range(2):  # encoded, and from the cache
        assert found(Corpus.open([tmp_path], options)) == expected
    kept = Corpus.from_cache(Corpus.open([tmp_path], options).cache_key)
    assert kept is not None and found(kept) == expected


def test_the_same_text_in_another_folder_has_another_label(tmp_path: Path) -> None:
    options = CorpusOptions(label_from="folder")
    write(tmp_path, one__a__t_txt="some text", one__b__t_txt="other text")
    write(tmp_path, two__c__t_txt="some text", two__d__t_txt="other text")
    first = Corpus.open([tmp_path / "one"], options)
    second = Corpus.open([tmp_path / "two"], options)
    assert (first.labels, second.labels) == (("a", "b"), ("c", "d"))
    assert Corpus.open([tmp_path / "one"], options).labels == ("a", "b")


def test_by_file_its_name_without_its_ending(tmp_path: Path) -> None:
    write(tmp_path, Gogol_txt="Gogol wrote this", Leo_N_txt="and Tolstoy that")
    corpus = Corpus.open([tmp_path], CorpusOptions(label_from="file"))
    assert found(corpus) == [("Gogol", "Gogol wrote this"), ("Leo.N", "and Tolstoy that")]
    assert label_of_path(Path("/x/Verne.txt.gz"), "file") == "Verne"
    with pytest.raises(ConfigError, match="standard input"):
        label_of_path(None, "file")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t_tsv", "happy\tI smile\nsad\tI weep\tmuch\n\nhappy\t \nhappy\tgood, day\n"),
        ("t_csv", 'happy,I smile\nsad,"I weep\tmuch"\nhappy,\nhappy,"good, day"\n'),
    ],
)
def test_by_column_each_row_is_a_document(tmp_path: Path, name: str, text: str) -> None:
    """A row without a text is none, and takes no other row's label with it."""
    write(tmp_path, **{name: text})
    options = CorpusOptions(label_from="column", ending=".tsv,.csv")
    corpus = Corpus.open([tmp_path], options)
    expected = [("happy", "I smile"), ("sad", "I weep\tmuch"), ("happy", "good, day")]
    assert found(corpus) == expected
    assert corpus.chars == sum(len(text) for _, text in expected)
    assert corpus.separator == "\n"


def test_the_labels_of_books_are_those_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "Verne").mkdir()
    book = tmp_path / "Verne" / "Nemo.docx"
    book.write_bytes(docx_of(paragraph("The sea")))
    for way, label in (("folder", "Verne"), ("file", "Nemo")):
        assert found(Corpus.open([book], CorpusOptions(label_from=way))) == [(label, "The sea\n")]


def test_a_book_counts_beside_what_is_not_read(tmp_path: Path) -> None:
    """A folder of a book and a small other file has not most of its text left out."""
    (tmp_path / "a.docx").write_bytes(docx_of(paragraph("The sea")))
    (tmp_path / "b.srt").write_text("Hi\n")
    corpus = Corpus.open([tmp_path], CorpusOptions(ending=".docx"))
    assert not any("most of the text is left out" in note for note in corpus.notes)


def test_a_mark_in_a_table_of_labels(tmp_path: Path) -> None:
    """A quotation mark that nobody closed takes no other row with it."""
    write(tmp_path, t_tsv='a\t"Hello\nb\tyes "no"\n', t_csv='a,"Hello\nb,yes "no"\n')
    tabs = Corpus.open([tmp_path / "t.tsv"], CorpusOptions(label_from="column"))
    assert found(tabs) == [("a", '"Hello'), ("b", 'yes "no"')]
    with pytest.raises(CorpusError, match=r"line 1: .* not closed"):
        Corpus.open([tmp_path / "t.csv"], CorpusOptions(label_from="column"))


def test_by_tag_a_line_begins_a_document(tmp_path: Path) -> None:
    """What stands before the first tag has no label; folding and chunks change no label."""
    text = "Before.\r\n[sea]\n\nBlue\nwaves\n\n[land]\n[sea]\n ?! \n[sea]\nSalt [x] y\n"
    write(tmp_path, t_txt=text)
    corpus = Corpus.open([tmp_path], CorpusOptions(label_from="tag"))
    expected = [("", "Before."), ("sea", "Blue\nwaves"), ("sea", " ?! "), ("sea", "Salt [x] y")]
    assert found(corpus) == expected
    folded = Corpus.open([tmp_path], CorpusOptions(label_from="tag", fold=True))
    expected = [("", "before"), ("sea", "blue waves"), ("sea", "salt x y")]
    assert [(label, text.strip()) for label, text in found(folded)] == expected
    pieces = [text.replace("\r", "")[at : at + 1] for at in range(len(text) - 1)]
    whole = list(labelled_documents([text.replace("\r", "")], "tag", "t"))
    assert list(labelled_documents(pieces, "tag", "t")) == whole


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_labels_stay_at_every_level(tmp_path: Path, level: str) -> None:
    write(tmp_path, t_txt="[а]\nраз два раз\n[б]\nтри два три\n[а]\nраз два\n")
    corpus = Corpus.open([tmp_path], CorpusOptions(label_from="tag", level=level))
    assert corpus.label_D is not None and corpus.label_D.tolist() == [1, 2, 1]


def test_what_is_wrong_with_a_text_of_labels_is_said(tmp_path: Path) -> None:
    write(tmp_path, a__t_txt="no tag\nhere", b__t_txt="happy\tyes\nsad no\n")
    with pytest.raises(CorpusError, match=r"no line is a label in brackets, such as \[Chekhov\]"):
        Corpus.open([tmp_path / "a"], CorpusOptions(label_from="tag"))
    with pytest.raises(CorpusError, match="line 2 has one column"):
        Corpus.open([tmp_path / "b"], CorpusOptions(label_from="column"))
    for ending, line in ((".tsv", "{}\tyes\n"), (".csv", "{},yes\n")):
        path = tmp_path / f"long{ending}"
        path.write_text(line.format("happy") + line.format("x" * 100))
        assert Corpus.open([path], CorpusOptions(label_from="column")).labels[1] == "x" * 100
        path.write_text(line.format("happy") + line.format("x" * 101))
        with pytest.raises(CorpusError, match="line 2 has 101 characters in its first column"):
            Corpus.open([path], CorpusOptions(label_from="column"))
    with pytest.raises(ConfigError, match="leave documents out"):
        CorpusOptions(label_from="tag", documents="line")


def test_without_labels_nothing_is_known_of_them(tmp_path: Path) -> None:
    write(tmp_path, a__t_txt="some text", b__t_txt="other text")
    corpus = Corpus.open([tmp_path])
    assert corpus.labels == () and corpus.label_D is None
    assert np.array_equal(
        corpus.tokens, Corpus.open([tmp_path], CorpusOptions(label_from="folder")).tokens
    )


def test_an_end_mark_is_read_under_the_label_of_what_follows() -> None:
    tokens = np.array([END_ID, 2, 2, END_ID, 3, 3, END_ID], np.uint8)
    labels = DocumentLabels(np.array([0, 3]), np.array([1, 2]))
    assert labels.at(np.arange(7)).tolist() == [1, 1, 1, 2, 2, 2, 2]
    windows = Windows(tokens, seq_len=6, reset_every=1, labels=labels, rng=4)
    seen = [windows.batch(step).labels_TB for step in range(200)]
    assert all(batch is not None for batch in seen)
    rows = np.stack([batch[:, 0] for batch in seen if batch is not None])
    # Of each document all or nothing.
    assert {tuple(row[:3]) for row in rows} == {(1, 1, 1), (0, 0, 0)}
    assert {tuple(row[3:]) for row in rows} == {(2, 2, 2), (0, 0, 0)}
    unlabelled = Windows(tokens, seq_len=6, rng=4).batch(0)
    assert unlabelled.labels_TB is None


def test_a_tab_in_the_first_line_makes_no_table() -> None:
    for way, text, is_labelled in (
        ("column", "a\tb\nc\td\n", True),
        ("column", "Chapter\tOne\nIt was a day.\n", False),
        ("column", "a\tb\n" * 3 + "a mistake\n", True),
        ("tag", "one\n[a]\ntwo\n", True),
        ("tag", "one\ntwo\n", False),
    ):
        assert has_labels([text], way, "t.txt") is is_labelled, text
