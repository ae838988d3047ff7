"""Files of labelled texts: what is read, what is refused and in which words."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from textgen.errors import ConfigError, CorpusError, StorageError
from textgen.probing.labels import LabelledTexts, read_labels, read_two_files


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    data = content.encode("utf-8")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz", "a.txt", "plain"])
def test_a_table_with_tabs(tmp_path: Path, name: str) -> None:
    """Quotes, commas and further tabs belong to the text; blank lines are nothing."""
    path = write(tmp_path, name, '1\t"Отлично", да\n\n0\tплохо\tочень\n')
    found = read_labels(path)
    assert found == LabelledTexts(
        texts=('"Отлично", да', "плохо\tочень"),
        labels=(True, False),
        positive="1",
        negative="0",
        source=str(path),
        encodings=("utf-8",),
    )


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "plain"])
def test_a_table_with_commas(tmp_path: Path, name: str) -> None:
    """A quoted text holds commas, quotes and newlines."""
    path = write(tmp_path, name, 'neg,"one, ""two""\nthree"\npos,four\n')
    found = read_labels(path)
    assert found.texts == ('one, "two"\nthree', "four")
    assert (found.labels, found.positive, found.negative) == ((False, True), "pos", "neg")


def test_a_text_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a," + "x" * 200_000 + "\nb,y\n")
    assert len(read_labels(path).texts[0]) == 200_000


def test_a_header_is_left_out(tmp_path: Path) -> None:
    rows = "label\ttext\npos\tgood\nneg\tbad\npos\tfine\n"
    found = read_labels(write(tmp_path, "a.tsv", rows))
    assert found.texts == ("good", "bad", "fine")


def test_the_positive_label_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "ham\tone\nspam\ttwo\n")
    assert read_labels(path).positive == "spam"
    assert read_labels(path, positive="ham").labels == (True, False)
    with pytest.raises(ConfigError, match=r"^positive_label is 'eggs', but .* ham, spam"):
        read_labels(path, positive="eggs")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "1\tone\nno tab\n", r"line 2: one column instead of two"),
        ("a.csv", "1,one\n0,two\n1,a,b\n", r"line 3: 3 columns instead of two"),
        ("a.csv", '1,"a\nb"\n0\n', r"line 3: one column"),
        ("a.tsv", "1\tone\n0\t \n", r"line 2: the text is empty"),
        ("a.tsv", "1\tone\n\ttwo\n", r"line 2: the label is empty"),
        ("a.csv", '1,"one\n0,two\n', r"not CSV"),
        ("a.tsv", "1\tone\n1\ttwo\n", r"has 1 labels \(1\); two are expected"),
        ("a.tsv", "1\ta\n0\tb\n2\tc\n1\td\n", r"has 3 labels \(0, 1, 2\); two"),
    ],
)
def test_what_is_no_such_table(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_labels(write(tmp_path, name, content))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_labels(tmp_path / "none.tsv")


def test_two_files(tmp_path: Path) -> None:
    good = write(tmp_path, "good.txt", "one\nline\n\n\n two \n")
    bad = write(tmp_path, "bad.txt.gz", "three\n \nfour\n")
    found = read_two_files(good, bad)
    assert found.texts == ("one\nline", "two", "three", "four")
    assert found.labels == (True, True, False, False)
    assert (found.positive, found.negative) == ("good.txt", "bad.txt.gz")
    by_line = read_two_files(good, bad, mode="line")
    assert by_line.texts == ("one", "line", "two", "three", "four")
