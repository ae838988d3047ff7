"""One table, read in every form."""

from __future__ import annotations

import csv
import io
import subprocess
import sys

import numpy as np
import pytest

from textgen.table import Column, Table


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


TABLE = Table(
    (
        "layer",
        Column("gate_name", "gate"),
        Column("share", format=percent),
        Column("lag", "replaced", unit="chars"),
        Column("bits", format=".3f"),
        "found",
    ),
    [
        (0, "in|put", 0.25, 1700, 2.0, True),
        (1, "forget", None, None, 2.25, False),
    ],
    title="Gates",
    notes=["of 8 units", "on a text"],
)


def test_what_people_read() -> None:
    assert TABLE.headings() == ["layer", "gate", "share", "replaced, chars", "bits", "found"]
    assert TABLE.shown() == [
        ["0", "in|put", "25.0 %", "1,700", "2.000", "yes"],
        ["1", "forget", "", "", "2.250", "no"],
    ]
    assert TABLE.are_words() == [False, True, False, False, False, False]
    assert Table(["a"], [(None,), ("> 200",)]).are_words() == [False]


def test_what_programs_read() -> None:
    keys = ["layer", "gate_name", "share", "lag", "bits", "found"]
    assert TABLE.keys() == keys
    assert TABLE.records()[0] == dict(zip(keys, TABLE.rows[0], strict=True))
    rows = list(csv.DictReader(io.StringIO(TABLE.to_csv())))
    assert rows[1] == {
        **dict.fromkeys(keys, ""),
        "layer": "1",
        "gate_name": "forget",
        "bits": "2.25",
        "found": "False",
    }
    odd = ["a\rb", "\r", "\n", 'q"', ",", "\r\n", " "]
    written = Table(["a", "b"], [(text, 1) for text in odd]).to_csv()
    assert list(csv.reader(io.StringIO(written, newline="")))[1:] == [[text, "1"] for text in odd]
    assert TABLE.to_csv().count("\n") == 3
    assert "\r" not in TABLE.to_csv()


def test_arrays_have_the_type_of_their_values() -> None:
    arrays = TABLE.to_arrays()
    assert arrays["layer"].dtype == np.int64
    assert arrays["gate_name"].dtype.kind == "U"
    assert arrays["found"].dtype == np.bool_
    np.testing.assert_array_equal(arrays["lag"], [1700.0, np.nan])


def test_markdown_escapes_bars_and_aligns_numbers() -> None:
    assert TABLE.to_markdown() == (
        "**Gates**\n\n"
        "| layer | gate | share | replaced, chars | bits | found |\n"
        "| ---: | --- | ---: | ---: | ---: | ---: |\n"
        "| 0 | in\\|put | 25.0 % | 1,700 | 2.000 | yes |\n"
        "| 1 | forget |  |  | 2.250 | no |\n\n"
        "of 8 units\n\non a text\n"
    )


def test_records_become_a_table_and_lack_what_they_lack() -> None:
    table = Table.from_records(["name", Column("bits")], [{"name": "a", "more": 1}])
    assert table.rows == (("a", None),)


def test_a_row_has_a_value_for_every_column() -> None:
    with pytest.raises(ValueError, match="a row of 1 values for 2 columns"):
        Table(["a", "b"], [(1,)])


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import textgen.table, sys; print('numpy' in sys.modules, 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
