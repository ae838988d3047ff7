"""The bar of a training: a view in a notebook, tqdm's in a terminal, as the running shell says."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

import textgen
from textgen.notebook import live_training
from textgen.notebook.live_training import NotebookBar, in_notebook

TEXT = "Утром дом и сад, а потом ещё дом и сад.\n" * 60


class Place:
    """What `display` gives: it keeps what was drawn there."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def update(self, shown: Any) -> None:
        self.drawn.append(shown._repr_html_())


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    """A notebook, as far as training sees it: a shell with a kernel, and a place to draw in."""
    found = Place()

    def display(shown: Any, display_id: bool) -> Place:
        assert display_id
        found.update(shown)
        return found

    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", _module("IPython", get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", _module("display", display=display))
    monkeypatch.setattr(live_training, "_EVERY", 0.0)
    return found


def _module(name: str, **names: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(names)
    return module


def test_the_shell_says_whether_it_is_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    for shell, expected in (
        (None, False),  # IPython is imported, and does not run
        (types.SimpleNamespace(), False),
        (types.SimpleNamespace(kernel=None), False),  # `ipython` in a terminal
        (types.SimpleNamespace(kernel=object()), True),
    ):
        module = _module("IPython", get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", module)
        assert in_notebook() is expected
    monkeypatch.delitem(sys.modules, "IPython")
    assert in_notebook() is False and "IPython" not in sys.modules


def test_a_training_is_drawn_again_in_its_place(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"steps": 30, "hidden_size": 8, "threads": 1, "eval_every": 10}
    result = textgen.train(text=TEXT, out=tmp_path / "run", progress=True, **settings)
    assert "0 of 30 steps" in place.drawn[0] and "<svg" not in place.drawn[0]
    last = place.drawn[-1]
    assert '<progress max="30" value="30">' in last and "30 of 30 steps, val" in last
    assert "<svg" in last and f"training {tmp_path}" in last and " left" not in last
    assert len(place.drawn) > 3 and any(" left" in drawn for drawn in place.drawn)
    assert f"best {_best(result):.3f}" in last
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def _best(result: textgen.TrainResult) -> float:
    """The best evaluation, as the run has reported it."""
    from textgen.training.folder import read_reports

    reports = read_reports(result.folder)
    return min(r.val_bits_per_char for r in reports if r.val_bits_per_char is not None)


def test_without_progress_nothing_is_drawn(place: Place, tmp_path: Path) -> None:
    textgen.train(text=TEXT, out=tmp_path / "run", steps=3, hidden_size=8, threads=1)
    assert place.drawn == []


def test_a_training_that_fails_leaves_its_last_view(place: Place, tmp_path: Path) -> None:
    def fail(event: object) -> None:
        if type(event).__name__ == "Report":
            raise KeyError("stop")

    with pytest.raises(KeyError):
        textgen.train(
            text=TEXT, out=tmp_path / "run", steps=9, hidden_size=8, threads=1, progress=True,
            on_event=fail, eval_every=3,
        )  # fmt: skip
    assert "3 of 9 steps" in place.drawn[-1]


def test_a_curve_of_many_points_is_thinned(place: Place) -> None:
    bar = NotebookBar("run", 10_000)
    for step in range(1, 2001):
        bar.add(step, 4.0 - step / 2000, None)
    bar.close()
    line = place.drawn[-1].split('<path d="M')[-1]
    assert 200 < line.count("L") <= 400
