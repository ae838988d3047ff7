"""A series is read as it stands there, and what is no series is refused with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textgen.errors import (
    BinaryFileError,
    ConfigError,
    CorpusError,
    EmptyCorpusError,
    SamplingError,
    StorageError,
    TextgenError,
)
from textgen.series.number_file import given_series, parse_numbers, read_series

FIBONACCI = [1.0, 1.0, 2.0, 3.0, 5.0]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "numbers.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("1\n1\n2\n3\n5\n", "one on each line"),
        ("\n\n1\n1\n2\n3\n5\n\n\n", "one on each line"),
        ("1\r\n1\r\n2\r\n3\r\n5", "one on each line"),
        ("1 1 2 3 5", "separated by white space"),
        ("1 1\n2 3\n\n5\n", "separated by white space"),
        ("1,1,2,3,5\n", "separated by commas"),
        ("1, 1, 2, 3, 5,\n", "separated by commas"),
        ("1e0\n+1.0\n2.\n.3e1\n0005\n", "one on each line"),
        ("rabbits\n1\n1\n2\n3\n5\n", "one on each line below 'rabbits'"),
        ("pairs of rabbits\n1\n1\n2\n3\n5\n", "one on each line below 'pairs of rabbits'"),
        ('"1"\n"1"\n"2"\n"3"\n"5"\n', "one on each line"),
    ],
)
def test_lists(tmp_path: Path, text: str, layout: str) -> None:
    series = read_series(written(tmp_path, text))
    assert series.values.dtype == np.float64
    assert series.values.tolist() == FIBONACCI
    assert (series.layout, series.column, series.notes) == (layout, None, ())


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf1\n1\n2\n3\n5\n",
        "1\n1\n2\n3\n5\n".encode("utf-16"),
        "заяц\n1\n1\n2\n3\n5\n".encode("cp1251"),
    ],
    ids=["byte order mark", "utf-16", "cp1251"],
)
def test_encodings(tmp_path: Path, data: bytes) -> None:
    assert read_series(written(tmp_path, data)).values.tolist() == FIBONACCI


def test_rows_of_equal_length_are_said(tmp_path: Path) -> None:
    series = read_series(written(tmp_path, "1 1\n2 3\n5 8\n"))
    assert series.values.tolist() == [1, 1, 2, 3, 5, 8]
    assert series.layout == "2 on each line, read line after line"
    assert read_series(written(tmp_path, "1 1\n2 3\n5 8\n"), "2").values.tolist() == [1, 3, 8]


TABLES = {
    "comma": "day,height\n1,1\n2,1\n3,2\n4,3\n5,5\n",
    "semicolon": "day;height\n1;1\n2;1\n3;2\n4;3\n5;5\n",
    "tab": "day\theight\n1\t1\n2\t1\n3\t2\n4\t3\n5\t5\n",
    "blanks": "day height\n1 1\n2 1\n3 2\n4 3\n5 5\n",
    "quotes": '"day","height"\n"a, b","1"\n"","1"\n"x","2"\n"y","3"\n"z","5"\n',
    "dates": "day,height\n2024-01-01,1\n2024-01-02,1\n2024-01-03,2\n2024-01-04,3\n2024-01-05,5\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("column", ["height", "2"])
def test_columns(tmp_path: Path, text: str, column: str) -> None:
    series = read_series(written(tmp_path, text), column)
    assert series.values.tolist() == FIBONACCI
    assert (series.layout, series.column) == ("column 'height' of 2", "height")


def test_a_table_without_names(tmp_path: Path) -> None:
    path = written(tmp_path, "2024-01-01;1\n2024-01-02;1\n2024-01-03;2\n")
    series = read_series(path, "2")
    assert (series.values.tolist(), series.layout) == ([1, 1, 2], "column 2 of 2")


REFUSED: list[tuple[str | bytes, str | None, type[TextgenError], str]] = [
    ("1\n2\nabc\n4\n", None, CorpusError, "line 3 .* is 'abc'; a number is expected"),
    ("1 2 x 4", None, CorpusError, "line 1 .* is 'x'"),
    ("1\n\n3\n", None, CorpusError, r"line 2 .* no number \(the line is empty\)"),
    ("y\n1\n\n3\n", None, CorpusError, r"line 3 .* no number \(the line is empty\)"),
    ("1\nNaN\n3\n", None, CorpusError, r"line 2 .* no number \('NaN' stands there\)"),
    ("NaN\n1\n3\n", None, CorpusError, "line 1 .* no number"),
    ("1\n-inf\n3\n", None, CorpusError, "line 2 .* is '-inf'; a finite number is expected"),
    ("1\n1e999\n3\n", None, CorpusError, "line 2 .* is '1e999'; a finite number"),
    ("1_0\n2\n", None, CorpusError, "line 1 .* is '1_0'"),
    ("1\n2,5\n3\n", None, CorpusError, "line 2 .* decimal comma; .* expected: 2.5"),
    ("1,5\n2,5\n", None, ConfigError, "2 columns; choose one: column='2'; if the comma is a deci"),
    ("a;b\n1;2,5\n", "b", CorpusError, "line 2 .* decimal comma"),
    ("a,b\n1,2,5\n", "b", CorpusError, "line 2 .* has 3 cells, and line 1 has 2"),
    ("a,b\n1,\n3,4\n", "b", CorpusError, r"line 2 .* \(the cell is empty\)"),
    ("a,b\n1\n3,4\n", "b", CorpusError, "line 2 .* column 2 is missing"),
    ("a,b\n1,2\n", None, ConfigError, "2 columns: 'a', 'b'; choose one: column='b'"),
    ("a,b\n1,2\n", "c", ConfigError, "no column 'c': it has 2 columns: 'a', 'b'"),
    ("a,b\n1,2\n", "B", ConfigError, "did you mean column='b'"),
    ("a,b\n1,2\n", "3", ConfigError, "number from 1 to 2 is expected"),
    ("a,b\n1,2\n", "0", ConfigError, "no column '0'"),
    ("a,a\n1,2\n", "a", ConfigError, "several columns 'a'; .*column='1'"),
    ("1\n2\n", "2", ConfigError, "no column '2': it has 1 column"),
    ("", None, EmptyCorpusError, "is empty"),
    (" \n\n", None, EmptyCorpusError, "is empty: it has no number"),
    ("rabbits\n", None, CorpusError, "has no number; line 1 is 'rabbits'"),
    ("He said.\nThen he left.\n", None, CorpusError, "no number; line 1 is 'He said.'"),
    (b"1\n\0\0\n2\n", None, BinaryFileError, "NUL"),
]


@pytest.mark.parametrize(("text", "column", "error", "message"), REFUSED)
def test_what_is_refused(
    tmp_path: Path, text: str | bytes, column: str | None, error: type[TextgenError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_series(written(tmp_path, text), column)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.csv"):
        read_series(tmp_path / "none.csv")


def test_given_numbers() -> None:
    series = given_series(np.array([1, 2], np.int32))
    assert series.values.tolist() == [1.0, 2.0]
    for wrong in ([1.0, float("nan")], [1.0, float("inf")], [1, "x"], [1, 10**400]):
        with pytest.raises(CorpusError, match="number 1 of the series"):
            given_series(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["1,1,2,3,5", "1 1 2 3 5", "1, 1, 2; 3 5\n", "1;1;2;3;5"])
def test_typed_numbers(text: str) -> None:
    assert parse_numbers(text) == FIBONACCI
    assert parse_numbers(" ") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,5 2,5", "decimal comma, or two numbers"),
        ("1,x", "'x' among the numbers '1,x'"),
        ("1,,2", "'' among"),
        ("1,nan", "'nan'"),
        ("1,1e400", "'1e400'"),
    ],
)
def test_what_is_no_typed_number(text: str, message: str) -> None:
    with pytest.raises(SamplingError, match=message):
        parse_numbers(text)
