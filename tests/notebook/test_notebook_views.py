"""Results in a notebook: right values, nothing hostile, the page's colours, long things cut."""

from __future__ import annotations

import copy
import html
import json
import pickle
import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import textgen
from textgen.comparison import CellComparison
from textgen.heat import heat_row
from textgen.inspection.heat_view import HeatView
from textgen.notebook import Colored, Excerpts, Part, Prose, Shown
from textgen.notebook.fragment import MOST_CHARS, MOST_ROWS, table_html, to_html
from textgen.page.render import COLORS, DARK, LIGHT
from textgen.steering import SteeringPlan
from textgen.table import Column, Table
from textgen.terminal.excerpt import ContextLine

FILES = Path(__file__).parents[1] / "old_files"
TEXT = (FILES / "text.txt").read_text("utf-8")
#: Markup, a turn of direction, a control, and half of a character.
HOSTILE = "<script>alert(1)</script><b onclick='x'>&amp;\u202e\x1b[31m\x00\ud800"
#: Elements without an end.
_VOID = {"img", "path", "br", "meta"}


class Reader(HTMLParser):
    """What stands in HTML: elements, attributes, and the text outside of `style`."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()
        assert not self.open, "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def cells(self, tag: str, markup: str) -> list[str]:
        return [html.unescape(re.sub("<[^>]+>", "", part))
                for part in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", markup)]  # fmt: skip


def read(shown: Shown) -> Reader:
    """The view of a result, which has no scripts and asks for nothing."""
    return checked(shown._repr_html_())


def checked(markup: str) -> Reader:
    reader = Reader(markup)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"script", "iframe", "object", "link", "base", "form"}
    for _, attributes in reader.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "data:image/svg+xml").startswith("data:image/svg+xml")
    assert "url(" not in markup and "@import" not in markup
    # Nothing in it steers a terminal or turns the direction, and it can be written as UTF-8.
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", markup)
    markup.encode("utf-8")
    return reader


@pytest.fixture(scope="module")
def model() -> textgen.Model:
    return textgen.load(FILES / "lstm.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> textgen.TrainResult:
    folder = tmp_path_factory.mktemp("trained")
    return textgen.train(
        text=TEXT * 20, out=folder / "run", steps=30, hidden_size=8, threads=1, eval_every=5
    )


def test_a_short_line_at_a_prompt(model: textgen.Model, trained: textgen.TrainResult) -> None:
    """Each is one line, without arrays, controls or markup that could be taken for something."""
    for shown in everything(model, trained):
        line = repr(shown)
        assert "\n" not in line and "\x1b" not in line and "array(" not in line, line
        if type(shown).__repr__ is Shown.__repr__:
            assert line.startswith(f"<{type(shown).__name__}: ") and len(line) < 400, line


def everything(model: textgen.Model, trained: textgen.TrainResult) -> Iterable[Shown]:
    """What the library returns and people look at, one of each kind."""
    yield from (trained, model, model.generate("кот", length=9), model.generate_many(2, length=9))
    yield from model.generate_many(1, length=9)
    yield model.view(HOSTILE, show="surprise")
    yield model.view(HOSTILE)
    yield from (model.neurons(TEXT, top=3), model.gates(TEXT), model.read(FILES / "text.txt"))
    yield model.similar("кот", TEXT, top=2)
    yield model.memory(TEXT * 20, max_lag=5, positions=4)
    yield from (
        model.evaluate(text=TEXT, threads=1),
        model.describe_cell("кот"),
        model.trace("кот"),
    )
    yield from (textgen.describe_cell("gru"), textgen.occurrences("кот*", text=TEXT))
    yield from (model.target("0:1"), model.steering("0:1=+2"), SteeringPlan([]))
    yield textgen.list_lessons()[0]
    yield textgen.load(FILES / "documents.safetensors").items(3, new=False)


def test_every_kind_is_drawn(model: textgen.Model, trained: textgen.TrainResult) -> None:
    kinds = set()
    for shown in everything(model, trained):
        reader = read(shown)
        assert reader.elements[0] == ("div", {"class": "textgen"})
        assert reader.text.strip()
        kinds.add(type(shown))
    assert len(kinds) > 15


def test_hostile_text_is_shown_and_not_read() -> None:
    row = heat_row("surprise", np.arange(len(HOSTILE), dtype=np.float32), "surprise", note=HOSTILE)
    view = HeatView(quantity=HOSTILE, pieces=tuple(HOSTILE), rows=(row,), totals={})
    table = Table([Column("key", HOSTILE)], [(HOSTILE,)], title=HOSTILE, notes=[HOSTILE])
    lines = Excerpts([HOSTILE], [ContextLine((HOSTILE,), HOSTILE, HOSTILE, marked=3)])
    parts: list[Part] = [table, lines, Prose([(HOSTILE, True)], HOSTILE), HOSTILE]
    reader = checked(to_html(HOSTILE, parts))
    shown = "<script>alert(1)</script><b onclick='x'>&amp;\\u202e\\x1b[31m\\x00\\ud800"
    # Everywhere but beside the place itself, where less of a text is shown.
    assert reader.text.count(shown) == 10
    colored = read(view)
    assert shown in colored.text
    assert "\\u202e" in repr(view) and not set("\u202e\x1b\x00\ud800") & set(repr(view))


def test_a_text_stands_on_the_colours_of_the_page() -> None:
    """Of the lowest, the middle and the highest value: in both themes, with the value to read."""
    values = np.array([-2.0, 0.0, 2.0, np.nan], np.float32)
    row = replace(heat_row("cell", values[:3], "cell"), values=values, low=-2.0, high=2.0)
    markup = to_html("", [Colored(("a", "b", "c", "d"), row)])
    steps = re.findall(r'<span class="(d\d+)" title="([^"]+)">(.)</span>', markup)
    ends = (0, (COLORS - 1) // 2, COLORS - 1)
    assert steps == [
        (f"d{step}", value, char)
        for step, value, char in zip(ends, ("-2", "0", "2"), "abc", strict=True)
    ]
    for step in ends:
        light, dark = (
            "#{:02x}{:02x}{:02x}".format(*theme.diverging.rgb(step / (COLORS - 1)))
            for theme in (LIGHT, DARK)
        )
        assert f".textgen .d{step}{{background:light-dark({light},{dark})}}" in markup
    assert checked(markup).text.endswith("abcd")


def test_newlines_break_the_line_and_marks_stay_on_their_letters() -> None:
    pieces = ("a", "\n", "e", "\u0301")
    row = heat_row("surprise", np.zeros(4, np.float32), "surprise")
    text = checked(to_html("", [Colored(pieces, row)])).text
    assert text.endswith("a↵\ne\u0301")


def test_a_table_is_the_one_of_all_other_forms() -> None:
    table = Table(
        ("gate", Column("share", "time", format=".1%"), Column("lag", unit="chars")),
        [("forget", 0.25, 1700), ("in", None, None)],
        title="Gates",
        notes=["of 8 units"],
    )
    markup = table_html(table)
    reader = checked(markup)
    assert reader.cells("th", markup) == table.headings() == ["gate", "time", "lag, chars"]
    assert reader.cells("td", markup) == ["forget", "25.0%", "1,700", "in", "", ""]
    assert reader.cells("caption", markup) == ["Gates"] and "of 8 units" in reader.text
    assert markup.count('class="word"') == 3  # the words stand at the left, numbers at the right


def test_long_things_are_cut_and_a_note_says_so() -> None:
    table = Table(["n"], [(n,) for n in range(MOST_ROWS + 5)])
    markup = table_html(table)
    assert len(checked(markup).cells("td", markup)) == MOST_ROWS
    assert "… and 5 rows more" in markup
    row = heat_row("surprise", np.zeros(MOST_CHARS + 7, np.float32), "surprise")
    long = "z" * (MOST_CHARS + 7)
    note = f"… the first {MOST_CHARS:,} of {MOST_CHARS + 7:,} characters"
    for part in (
        Colored(tuple(long), row),
        Prose([(long, False)]),
        Prose([("z", True)] * len(long)),
    ):
        text = checked(to_html("", [part])).text
        assert text.count("z") == MOST_CHARS and note in text
    fits = checked(to_html("", [Prose([("z" * MOST_CHARS, False)])])).text
    assert fits.count("z") == MOST_CHARS and "first" not in fits
    lines = Excerpts(["n"], [ContextLine((str(n),), "a", "b") for n in range(MOST_ROWS + 1)])
    assert "… and 1 place more" in to_html("", [lines])


def test_a_generated_text_is_a_str(model: textgen.Model) -> None:
    text = model.generate("кот", length=20)
    assert isinstance(text, str) and text.startswith("кот") and text == str(text)
    assert repr(text) == repr(str(text)) and json.dumps(text) == json.dumps(str(text))
    assert type(text.upper()) is str and text.seed == 3
    for twin in (pickle.loads(pickle.dumps(text)), copy.copy(text), copy.deepcopy(text)):
        assert twin == text and twin.seed == 3
    markup = text._repr_html_()
    assert "<mark>кот</mark>" in markup and "20 characters written" in read(text).text
    assert "<mark>" not in model.generate(length=20)._repr_html_()


def test_several_texts_are_a_list(model: textgen.Model) -> None:
    texts = model.generate_many(12, "кот", length=5)
    assert isinstance(texts, list) and len(texts) == 12
    reader = read(texts)
    assert "12 texts written" in reader.text and "… and 2 texts more" in reader.text
    assert f"0: {texts[0].figures}" in reader.text and "9: 5 characters" in reader.text
    assert "10: " not in reader.text


def test_the_views_say_what_the_reports_say(model: textgen.Model) -> None:
    evaluation = model.evaluate(text=TEXT, window=9, threads=1)
    assert evaluation.cold is not None
    text = read(evaluation).text
    for figures in (evaluation, evaluation.cold):
        assert f"{figures.bits_per_char:.4f}" in text
    gates = model.gates(TEXT)
    markup = gates._repr_html_()
    assert Reader(markup).cells("td", markup) == [
        cell for row in gates.means().shown() for cell in row
    ]
    assert markup.count("<figure>") == len(gates.gates)
    neurons = model.neurons(TEXT, top=2)
    text = read(neurons).text
    for row in neurons.overview().shown():
        assert "".join(row) in text
    similar = model.similar("кот", TEXT, top=2)
    text = read(similar).text
    for match in similar.matches:
        assert f"{match.similarity:.3f}" in text and match.before[-5:].replace("\n", "\\n") in text
    memory = model.memory(TEXT * 20, max_lag=5, positions=4)
    markup = memory._repr_html_()
    assert markup.count("<figure>") == 2 and "dL/dc: by the cell state" in read(memory).text
    trace = model.trace("кот")
    text = read(trace).text
    assert 'trace["cell"]' in text and f"{float(trace['cell'].max()):.4g}" in text


def test_a_training_shows_its_curve(trained: textgen.TrainResult, tmp_path: Path) -> None:
    reader = read(trained)
    assert f"{trained.bits_per_char:.3f} bits/char" in reader.text
    assert "validation" in reader.text and "svg" in [tag for tag, _ in reader.elements]
    # Where the run has been moved away, the figures are left.
    gone = textgen.TrainResult(tmp_path, trained.model, trained.bits_per_char, trained.ended)
    assert "svg" not in [tag for tag, _ in read(gone).elements] and "speed" in read(gone).text


def test_a_comparison_shows_its_chart_and_its_tables(tmp_path: Path) -> None:
    from textgen.comparison import Compared, compare_cells
    from textgen.options import TrainOptions

    text = tmp_path / "text.txt"
    text.write_text(TEXT * 20, "utf-8")
    events = compare_cells(
        [text], ["rnn", "gru"], TrainOptions(steps=3, threads=1), params=3000, out=tmp_path / "runs"
    )
    *_, last = events
    assert isinstance(last, Compared) and isinstance(last.result, CellComparison)
    reader = read(last.result)
    assert repr(last.result) == (
        "<CellComparison: rnn, gru in 2 runs of 3 steps, at most 3,000 parameters each>"
    )
    for row in last.result.rows:
        assert f"{row.mean:.3f}" in reader.text
    assert "reset-gate" in reader.text and [tag for tag, _ in reader.elements].count("table") == 3


def test_a_search_shows_its_controls(model: textgen.Model) -> None:
    pytest.importorskip("sklearn")
    report: Any = model.find(TEXT * 40, feature="vowel")
    text = read(report).text
    assert report.verdict in text and report.verdict in repr(report)
    for control in report.controls:
        assert control.name.replace("_", " ") in text and control.shown in text
