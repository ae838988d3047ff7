"""A cell laid open: its equations compute what the cell computes."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from support.models import random_weights

import textgen
from textgen.cells import CELLS, Cell, StepInputs, get_cell
from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError, InspectionError
from textgen.inspection.anatomy import CellAnatomy, dissect, equations_of
from textgen.model.config import ModelConfig

H, WIDTH = 5, 3
CHARS = Vocabulary.from_characters("абвг ")
#: The letter of each block of weights in the docstrings.
LETTER = {
    "input": "i",
    "forget": "f",
    "output": "o",
    "depth": "d",
    "reset": "r",
    "update": "z",
    "factor": "m",
    "hidden": "",
}


def letters(cell: Cell, names: tuple[str, ...]) -> list[str]:
    candidate = "n" if cell.name == "gru" else "c"
    return [LETTER.get(name, candidate) for name in names]


def computed(cell: Cell, lines: list[str], rng: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the lines give with random weights, and what the cell gives with the same."""
    names = letters(cell, cell.input_names)
    W, b = rng.normal(size=(len(names) * H, WIDTH)), rng.normal(size=len(names) * H)
    x = rng.normal(size=WIDTH)
    state = {name: rng.normal(size=(1, H)) for name in cell.state_names}
    below = {name: rng.normal(size=(1, H)) for name in cell.below_names}
    vectors = {name: rng.normal(size=H) for name in cell.vector_names}
    U = {part.name: rng.normal(size=(part.blocks * H, H)) for part in cell.products}
    known: dict[str, Any] = {
        "x_t": x,
        "sigma": lambda a: 1 / (1 + np.exp(-a)),
        "tanh": np.tanh,
        "f": np.tanh,
        **{f"{name}_old": value[0] for name, value in state.items()},
        **{f"{name}_below": value[0] for name, value in below.items()},
    }
    for k, letter in enumerate(names):
        tail = f"_{letter}" if letter else ""
        known[f"W{tail}"], known[f"b{tail}"] = W[k * H :][:H], b[k * H :][:H]
    for part in cell.products:
        blocks = ["m"] if part.name == "weight_mh" else [n for n in names if n != "m"]
        for k, letter in enumerate(blocks[: part.blocks]):
            known[f"U_{letter}" if letter else "U"] = U[part.name][k * H :][:H]
    for name, value in vectors.items():
        known[{"bias_hn": "b_hn", "weight_ld": "v_d"}.get(name, f"w_{name[-1]}")] = value
    for line in lines:
        symbol, right = line.split(" = ")
        python = right.replace("{t-1}", "old").replace("c^b_t", "c_below").replace("C̃_t", "g_t")
        python = re.sub(r"\b([WU](?:_\w)?) (\w+)", r"(\1 @ \2)", python.replace("σ", "sigma"))
        known[symbol.replace("C̃", "g")] = eval(python.replace("∘", "*"), {}, known)
    new, gates = cell.equations(
        StepInputs(
            np,
            (W @ x + b)[None],
            state,
            tuple(lambda h, u=u: h @ u.T for u in U.values()),
            vectors,
            below,
        )
    )
    return known, {**new, **gates}


@pytest.mark.parametrize("name", CELLS)
def test_the_lines_are_the_cell(name: str) -> None:
    cell = get_cell(name)
    lines = [each.split for each in dissect(name).equations]
    known, real = computed(cell, lines, np.random.default_rng(1))
    for what, value in real.items():
        own = {"candidate": "n_t" if name == "gru" else "g_t"}.get(
            what, f"{LETTER.get(what, what)}_t"
        )
        np.testing.assert_allclose(known[own], value[0], rtol=1e-9, atol=1e-12, err_msg=what)


def test_the_lstm_in_the_letters_of_the_lectures() -> None:
    lstm = textgen.describe_cell("lstm")
    assert [each.joined for each in lstm.equations] == [
        "f_t = σ(W_f · [h_{t-1}, x_t] + b_f)",
        "i_t = σ(W_i · [h_{t-1}, x_t] + b_i)",
        "C̃_t = tanh(W_C · [h_{t-1}, x_t] + b_C)",
        "C_t = f_t * C_{t-1} + i_t * C̃_t",
        "o_t = σ(W_o · [h_{t-1}, x_t] + b_o)",
        "h_t = o_t * tanh(C_t)",
    ]
    assert lstm.equations[0].split == "f_t = σ(W_f x_t + U_f h_{t-1} + b_f)"
    assert lstm.equations[3].split == "c_t = f_t ∘ c_{t-1} + i_t ∘ C̃_t"
    # Four layers against one, and the twelve weights of single numbers.
    assert (lstm.layers, lstm.parameters) == (4, 12)
    assert textgen.describe_cell("rnn").layers == 1
    # Each layer stands below the block that it acts on; the candidate joins the input gate.
    assert lstm.diagram().text() == [
        "                ┌───────┐  ┌───────────┐",
        "   C_{t-1} ─────│ × f_t │──│+ i_t * C̃_t│┬──────────────────────────▶ C_t",
        "                └───────┘  └───────────┘│",
        "                    ▲            ▲      │",
        "                    │            │      │",
        "                    │            │      │ ┌───────────┐  ┌───────┐",
        "                    │            │      └─│   tanh    │──│ × o_t │─▶ h_t",
        "                    │            │        └───────────┘  └───────┘",
        "                    │            ├──────────────┐            ▲",
        "                    │            │              │            │",
        "                ┌───────┐  ┌───────────┐  ┌───────────┐  ┌───────┐",
        "                │f_t = σ│  │  i_t = σ  │  │C̃_t = tanh │  │o_t = σ│",
        "                └───────┘  └───────────┘  └───────────┘  └───────┘",
        "                    ▲            ▲              ▲            ▲",
        "                    │            │              │            │",
        "                    │            │              │            │",
        "h_{t-1}, x_t ───────┴────────────┴──────────────┴────────────┘",
    ]


def test_one_matrix_only_where_the_sum_is_plain() -> None:
    gru = {each.symbol: each.joined for each in dissect("gru").equations}
    assert gru["r_t"] == "r_t = σ(W_r · [h_{t-1}, x_t] + b_r)"
    assert gru["n_t"] == "n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + b_hn))"
    assert "W_f · [m_t, x_t]" in dissect("mlstm").table().records()[1]["joined"]


@pytest.mark.parametrize("name", CELLS)
def test_weights_are_those_of_a_model(name: str) -> None:
    found = dissect(name, 7, 4)
    config = ModelConfig(vocab_size=9, embedding_size=4, hidden_size=7, cell=name)
    shapes = {key: shape for key, shape in config.tensor_shapes().items() if "layers" in key}
    assert {f"layers.0.{key}": shape for key, _, shape in found.weights} == shapes
    assert found.parameters == sum(map(np.prod, shapes.values()))
    assert max(map(len, found.diagram().text())) <= 80 + 1  # A tilde takes no column.
    assert found.weight_table().records()[0]["shape"].endswith("H x I")


def model_of(cell: str, layers: int = 2) -> textgen.Model:
    config = ModelConfig(
        vocab_size=len(CHARS), embedding_size=4, hidden_size=6, num_layers=layers, cell=cell
    )
    saved = SavedModel(
        config=config,
        vocabulary=CHARS,
        normalization=Normalization(),
        info={},
        weights=random_weights(config),
    )
    return textgen.Model(saved, textgen.api.Path("none"))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("text", ["а", "аб вг"])
def test_numbers_at_one_step(cell: str, text: str) -> None:
    model = model_of(cell)
    found = model.describe_cell(text, "1:3")
    assert (found.neuron, found.token, found.text) == ((1, 3), text[-1], text)
    _, state = model.network.step(END_ID, model.network.zero_state())
    ids = CHARS.encode(text)
    for token in ids[:-1]:
        _, state = model.network.step(int(token), state)
    last = model.network.step_traced(ids[-1:], state)[1]
    assert found.before is not None
    assert found.before["h_{t-1}"] == pytest.approx(state[1]["h"][0, 3])
    values = {each.symbol: each for each in found.equations}
    assert values["h_t"].value == pytest.approx(last.state["h"][0, 3])
    for symbol, gate in (("f_t", "forget"), ("g_t", "candidate"), ("z_t", "update")):
        if symbol in values:
            assert values[symbol].value == pytest.approx(last.gates[gate][0, 3])
    # What is written out with numbers comes to the value.
    written = [each for each in found.equations if each.numbers]
    assert written or cell == "rnn"
    for each in written:
        assert each.value is not None
        result = eval(each.numbers, {"tanh": np.tanh})
        assert result == pytest.approx(each.value, abs=6e-3)
    width = {shape for name, _, shape in found.weights if name == "weight_ih"}
    assert width == {(len(get_cell(cell).input_names) * 6, 6)}


def test_the_neuron_that_varies_most_is_taken() -> None:
    model = model_of("lstm")
    found = model.describe_cell("абвг вбаг")
    cells = np.tanh(model.trace("абвг вбаг").arrays["layers.1.cell"])
    assert found.neuron == (1, int(cells.std(axis=0).argmax()))
    assert isinstance(found, CellAnatomy) and found.to_json()["neuron"] == f"1:{found.neuron[1]}"
    assert model.describe_cell().neuron is None
    assert model.describe_cell().parameters == 4 * 6 * (4 + 6 + 1)


def test_what_cannot_be_shown() -> None:
    with pytest.raises(ConfigError, match="'lsmt' is not known"):
        textgen.describe_cell("lsmt")
    with pytest.raises(ConfigError, match="at least 1"):
        textgen.describe_cell("lstm", hidden_size=0)
    with pytest.raises(ConfigError, match="goes with text"):
        model_of("lstm").describe_cell(neuron="0:1")
    with pytest.raises(InspectionError):
        model_of("lstm").describe_cell("а", "0:99")

    class Own(Cell):
        """A cell that says nothing of itself."""

        name = "own"

    with pytest.raises(ConfigError, match="no equations in its docstring"):
        equations_of(Own())


@pytest.mark.parametrize("cell", CELLS)
def test_a_picture_of_every_cell(cell: str) -> None:
    found = model_of(cell).describe_cell("аб вг", "1:3")
    root = ElementTree.fromstring(found.diagram().svg())
    name = "{http://www.w3.org/2000/svg}"
    kinds = [box.get("class") for box in root.iter(f"{name}rect")]
    assert kinds.count("layer") == found.layers
    texts = ["".join(text.itertext()).replace("\u200b", "") for text in root.iter(f"{name}text")]
    values = {
        each.symbol: f"{each.value:.3f}" for each in found.equations if each.value is not None
    }
    # The output with its number, and nothing outside of the picture.
    assert texts[texts.index("ht") + 1] == values["h_t"]
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    for box in root.iter(f"{name}rect"):
        assert 0 <= float(box.get("x", -1)) <= width - float(box.get("width", 0))
        assert 0 <= float(box.get("y", -1)) <= height - float(box.get("height", 0))
    assert "prefers-color-scheme: dark" in found.diagram().svg()
    if "C̃t" in " ".join(texts):
        last = {each.symbol: each.value or 0.0 for each in found.equations}
        assert texts[texts.index("+ it * C̃t") + 1] == f"{last['i_t'] * last['g_t']:.3f}"
    # Without a text there are no numbers.
    assert 'class="value"' not in textgen.describe_cell(cell).diagram().svg()
