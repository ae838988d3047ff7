"""A cell that a person writes and registers: refused in words, or as good as textgen's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.layer_case import LayerCase
from support.small_runs import SMALL, russian_text

import textgen
from textgen.cells import (
    BUILT_IN,
    CELLS,
    Cell,
    LSTMCell,
    RecurrentProduct,
    get_cell,
    register_cell,
)
from textgen.cells.cell import Outcome, StepInputs, sigmoid, split, unchanged
from textgen.errors import CheckpointFormatError, ConfigError, StorageError
from textgen.model.engine import choose_engine
from textgen.model.recurrence import run_reference


class MinimalGatedUnit(Cell):
    """Zhou et al. 2016, arXiv:1603.09420: one gate, which both forgets and takes in."""

    name = "minimal-gated"
    gate_names = ("forget", "candidate")
    state_names = ("h",)
    products = (RecurrentProduct("weight_hf", 1), RecurrentProduct("weight_hc", 1))

    def step(self, xp, pre_BGH, state, products, vectors, below, edit=unchanged):  # type: ignore[no-untyped-def]
        h = state["h"]
        x_f, x_c = split(pre_BGH, 2)
        f = sigmoid(xp, x_f + products[0](h))
        c = xp.tanh(x_c + products[1](f * h))
        return {"h": edit("h", (1.0 - f) * h + f * c)}, {"forget": f, "candidate": c}


class WithEquations(Cell):
    """The same cell with its equations, as a cell is written now."""

    name = "with-equations"
    gate_names = MinimalGatedUnit.gate_names
    state_names = ("h",)
    products = MinimalGatedUnit.products

    def equations(self, inputs: StepInputs) -> Outcome:
        xp, h = inputs.xp, inputs.state["h"]
        of_h, of_factor = inputs.products
        x_f, x_c = split(inputs.pre_BGH, 2)
        f = sigmoid(xp, x_f + of_h(h))
        c = xp.tanh(x_c + of_factor(f * h))
        return {"h": inputs.edit("h", (1.0 - f) * h + f * c)}, {"forget": f, "candidate": c}


class WithArguments(WithEquations):
    def __init__(self, size: int) -> None:
        self.size = size


class WithoutEquations(Cell):
    name = "without-equations"
    gate_names = ("input",)
    state_names = ("h",)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The cells that are known after a test are those before it."""
    before = dict(CELLS)
    yield
    CELLS.clear()
    CELLS.update(before)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(russian_text(1500), encoding="utf-8")
    return "text.txt"


def test_a_cell_is_known_by_its_name() -> None:
    assert register_cell(MinimalGatedUnit) is MinimalGatedUnit
    assert isinstance(get_cell("minimal-gated"), MinimalGatedUnit)
    made = MinimalGatedUnit()
    assert register_cell(made) is made  # The same class again, as in a notebook.
    assert CELLS["minimal-gated"] is made
    assert "minimal-gated" not in BUILT_IN
    with pytest.raises(ConfigError, match=r"choose one of: lstm, .*, minimal-gated"):
        get_cell("minimal")


def test_a_cell_may_define_its_equations_or_its_step() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(3, 3)) for _ in range(2)]
    given = (
        *(np, rng.normal(size=(2, 6)), {"h": rng.normal(size=(2, 3))}),
        *(tuple(lambda h, w=w: h @ w.T for w in weights), {}, {}),
    )
    first, second = (cell.step(*given) for cell in (MinimalGatedUnit(), WithEquations()))
    for ours, theirs in zip(first, second, strict=True):
        assert ours.keys() == theirs.keys()
        assert all((ours[name] == theirs[name]).all() for name in ours)
    register_cell(WithEquations)
    register_cell(MinimalGatedUnit)


def test_the_contract_holds_for_it() -> None:
    """Its derivatives, by finite differences; with resets, as every cell's are tested."""
    case = LayerCase.draw(MinimalGatedUnit(), 4, 2, 3, 2, [(2, 1)])
    names = list(case.inputs)

    def run(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(case.call(run_reference, dict(zip(names, values, strict=True))).values())

    assert torch.autograd.gradcheck(
        run, [tensor.double().requires_grad_() for tensor in case.inputs.values()]
    )


def test_a_cell_of_textgen_is_not_called_slow(text: str) -> None:
    started: list[Any] = []
    textgen.train(text, out="run", on_event=started.append, **SMALL | {"steps": 1})
    assert not [note for note in started[0].notes if "cell of your own" in note]


def test_it_trains_resumes_writes_and_is_looked_at(text: str) -> None:
    register_cell(MinimalGatedUnit)
    started: list[Any] = []
    settings = {**SMALL, "cell": "Minimal_Gated", "steps": 5, "num_layers": 2}
    result = textgen.train(text, out="run", on_event=started.append, **settings)
    (note,) = [note for note in started[0].notes if "minimal-gated" in note]
    assert note == (
        "'minimal-gated' is a cell of your own, which the native engine does not know; it trains "
        "about ten times slower"
    )
    (path,) = [choice for choice in started[0].choices if choice.name == "path"]
    assert path.value == "reference" and note in path.reason
    model = textgen.load("run")
    written = model.generate("дом", length=30, rng=1)
    assert model.generate_many(5, "дом", length=30, rng=1)[0].text == written[3:]
    trace = model.trace("дом и сад")
    assert trace.quantities == ("hidden", "forget-gate", "candidate")
    assert trace["forget-gate"].shape == (9, 48)
    assert ((trace["forget-gate"] > 0) & (trace["forget-gate"] < 1)).all()
    # NumPy and torch compute the same text, in float32 both.
    content = russian_text(200, seed=3)
    cost = model.evaluate(text=content, threads=1)
    assert model.trace(content).nats.sum() == pytest.approx(cost.nats, rel=1e-4)
    edited = model.trace("дом", edits=model.steering("1:3=+5").edits_at(0, 1))
    assert (edited["hidden", 1][:, 3] != model.trace("дом")["hidden", 1][:, 3]).all()
    report = model.memory(russian_text(300), max_lag=5, positions=3, threads=1)
    assert report.unit == "characters"

    # Stopped after two steps and gone on with, it ends with the very same weights.
    steps = iter([False, False, True])
    textgen.train(text, out="stopped", stop=lambda: next(steps), **settings)
    again = textgen.train(out="stopped", resume=True)
    assert again.ended.steps == 5
    for name, weight in again.load().saved.weights.items():
        np.testing.assert_array_equal(weight, result.load().saved.weights[name])


def test_a_program_that_does_not_know_it_is_told_how(text: str) -> None:
    register_cell(MinimalGatedUnit)
    textgen.train(text, out="run", cell="minimal-gated", steps=1, **SMALL)
    del CELLS["minimal-gated"]
    told = "needs the cell 'minimal-gated'.*register it .*register_cell.*install a newer textgen"
    with pytest.raises(CheckpointFormatError, match=told):
        textgen.load("run")
    with pytest.raises(CheckpointFormatError, match=told):
        textgen.train(out="run", resume=True)
    with pytest.raises(StorageError, match="no checkpoint 'walk'"):
        textgen.load("walk")


def variant(**parts: Any) -> Cell:
    """The cell above with other declarations, or another step."""
    return type("Variant", (MinimalGatedUnit,), parts)()


def stepping(change: Any) -> Any:
    """A step whose outcome is changed."""

    def step(self: Cell, xp: Any, pre: Any, state: Any, *rest: Any) -> Any:
        return change(*MinimalGatedUnit.step(self, xp, pre, state, *rest), state)  # type: ignore[arg-type]

    return step


def modifying(self: Cell, xp: Any, pre: Any, state: Any, *rest: Any) -> Any:
    outcome = MinimalGatedUnit.step(self, xp, pre, state, *rest)  # type: ignore[arg-type]
    state["h"][:] = 0.0
    return outcome


def unedited(self: Cell, xp: Any, pre: Any, state: Any, products: Any, *rest: Any) -> Any:
    return MinimalGatedUnit.step(self, xp, pre, state, products, {}, {})


class ForgetfulLSTM(LSTMCell):
    """It changes one of the two states that it is given."""

    name = "forgetful"

    def equations(self, inputs: StepInputs) -> Outcome:
        outcome = super().equations(inputs)
        inputs.state["c"][:] = 0.0
        return outcome


WRONG: list[tuple[Any, str]] = [
    (5, "5 is not a textgen.cells.Cell"),
    (dict, "<class 'dict'> is not a textgen.cells.Cell"),
    (Cell, "a cell's name is None"),
    (WithArguments, "cannot be made without arguments"),
    (WithoutEquations, "NotImplementedError: the cell 'without-equations' has no equations"),
    (variant(name="LSTM 2"), "a cell's name is 'LSTM 2'; it must be lower-case"),
    (variant(name="lstm"), "'lstm' is a cell of textgen; give"),
    (variant(state_names=("c", "h")), "must have the state 'h', its output, as its first"),
    (variant(state_names=()), "must have the state 'h'"),
    (variant(gate_names="forget"), "gate_names = 'forget'; it must be a tuple"),
    (variant(gate_names=("forget", "forget")), "a tuple of different names"),
    (variant(products=("weight_hh",)), "not a tuple of RecurrentProduct"),
    (variant(products=(RecurrentProduct("weight_hf", 1), "b")), "not a tuple of RecurrentProduct"),
    (variant(products=(RecurrentProduct("weight_hf", 0),)), "not a tuple of RecurrentProduct"),
    (variant(products=(RecurrentProduct("bias", 1),)), "a tuple of different names"),
    (variant(vector_names=("a.b",)), "vector_names = "),
    (variant(below_names=("c",)), "reads states of the layer below that it does not have"),
    (variant(input_names=("forget",)), "fails with numpy's arrays"),
    (
        variant(gate_names=("forget",), input_names=("forget", "candidate")),
        "the gates forget, candidate and declares forget",
    ),
    (variant(state_names=("h", "c")), "returns the states h and declares h, c"),
    (variant(step=stepping(lambda new, gates, _: new)), "fails with numpy's arrays: ValueError"),
    (variant(step=stepping(lambda new, gates, _: (new, []))), r"the gates \[\] and declares"),
    (
        variant(step=stepping(lambda new, gates, _: ({"h": new["h"].T}, gates))),
        r"'h' as float32 of shape \(11, 2\)",
    ),
    (
        variant(step=stepping(lambda new, gates, _: ({"h": new["h"].astype(float)}, gates))),
        r"'h' as float64 of shape \(2, 11\)",
    ),
    (variant(step=modifying), "changes the state it was given"),
    (ForgetfulLSTM, "changes the state it was given"),
    (variant(step=unedited), "must pass each new state through edit"),
]


@pytest.mark.parametrize(("cell", "message"), WRONG, ids=[row[1][:40] for row in WRONG])
def test_what_is_wrong_with_a_cell_is_said(cell: Any, message: str) -> None:
    before = dict(CELLS)
    with pytest.raises(ConfigError, match=message):
        register_cell(cell)
    assert before == CELLS


def test_a_cell_may_read_all_its_states_of_the_layer_below() -> None:
    register_cell(variant(below_names=("h",)))
    assert CELLS["minimal-gated"].below_names == CELLS["minimal-gated"].state_names


def test_a_step_that_torch_cannot_take_is_refused_before_training(text: str) -> None:
    def only_numpy(self: Cell, xp: Any, pre: Any, state: Any, *rest: Any) -> Any:
        new, gates = MinimalGatedUnit.step(self, xp, pre, state, *rest)  # type: ignore[arg-type]
        return {"h": new["h"].astype(np.float32)}, gates

    register_cell(variant(step=only_numpy))
    with pytest.raises(ConfigError, match="fails with torch's arrays: AttributeError"):
        textgen.train(text, out="run", cell="minimal-gated", steps=1, **SMALL)
    assert not Path("run").exists()
    with pytest.raises(ConfigError, match="in numpy and torch alike"):
        choose_engine(get_cell("minimal-gated"), "cpu")


def test_another_cell_of_that_name_is_not_replaced_unasked() -> None:
    register_cell(MinimalGatedUnit)
    other = variant()
    with pytest.raises(ConfigError, match=re.escape("register_cell(..., replace=True)")):
        register_cell(other)
    register_cell(other, replace=True)
    assert CELLS["minimal-gated"] is other
