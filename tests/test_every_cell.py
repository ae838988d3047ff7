"""Each cell's whole way: trained, written with, looked at by its own gates, steered, converted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import SMALL, russian_text, textgen_cli

import textgen
from textgen.cells import BUILT_IN, CELLS
from textgen.inspection.trace import quantities

#: A plain network has no gates.
GATED = [name for name in CELLS if name != "rnn"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, textgen.Model]:
    """A small model of each cell, two layers, of which every second one is residual."""
    folder = tmp_path_factory.mktemp("cells")
    text = folder / "text.txt"
    text.write_text(russian_text(3000), encoding="utf-8")
    return {
        name: textgen.train(
            text,
            out=folder / name,
            cell=name,
            num_layers=2,
            residual=bool(number % 2),
            steps=80,
            learning_rate=0.01,
            **SMALL,
        ).load()
        for number, name in enumerate(CELLS)
    }


def test_the_help_of_train_names_every_cell() -> None:
    """The page is text, so that it opens before NumPy is loaded."""
    page = textgen_cli("train", "--help", COLUMNS="200").stdout
    assert all(re.search(rf"\b{cell}\b", page) for cell in BUILT_IN)


@pytest.mark.parametrize("cell", CELLS)
def test_it_learned_and_writes(models: dict[str, textgen.Model], cell: str) -> None:
    model = models[cell]
    assert model.info["metrics"]["val_bits_per_char"] < 4.8  # log2(40) is where it began
    text = model.generate("Иван ", length=60, rng=3)
    assert text == model.generate("Иван ", length=60, rng=3)
    assert len(text.removeprefix("Иван ")) == 60


@pytest.mark.parametrize("cell", CELLS)
def test_its_states_and_gates_are_shown_by_its_own_names(
    models: dict[str, textgen.Model], cell: str
) -> None:
    model = models[cell]
    names = quantities(model.config.cell_spec)
    trace = model.trace("Иван видел сад.", quantities=names)
    for gate in CELLS[cell].gate_names:
        own = f"layers.1.{'hidden' if cell == 'rnn' else gate}"
        found = [name for name in trace.arrays if name in (own, f"{own}-gate")]
        assert found, (gate, list(trace.arrays))
    # What was traced is what the model did: step by step, from the state after the end mark.
    state = model.network.zero_state()
    _, state = model.network.step(np.array([0]), state)
    for row, token in enumerate(trace.ids):
        _, state = model.network.step(np.array([token]), state)
        np.testing.assert_array_equal(trace.arrays["layers.1.hidden"][row], state[1]["h"][0])


@pytest.mark.parametrize("cell", GATED)
def test_inspect_gates_names_them(models: dict[str, textgen.Model], cell: str) -> None:
    where = Path(models[cell].path).parent
    result = textgen_cli("inspect", "gates", "-c", where, where.parent / "text.txt")
    assert result.exit_code == 0, result.stderr
    for name in CELLS[cell].gate_names:
        if name != "candidate":
            assert name in result.stdout


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.usefixtures("quick_calibration")
def test_it_is_steered(models: dict[str, textgen.Model], cell: str) -> None:
    model = models[cell]
    plain = model.generate("Иван ", length=40, rng=3)
    steered = model.generate("Иван ", length=40, rng=3, steer=["0:5=+6", "1:7=-6"])
    assert steered != plain
    with model.steered("0:5=+6"):
        state = "c" if "c" in CELLS[cell].state_names else "h"
        held = model.trace("Иван", quantities=["cell" if state == "c" else "hidden"])
    values = held.arrays[f"layers.0.{'cell' if state == 'c' else 'hidden'}"][:, 5]
    assert (values == values[0]).all(), "a unit that is held has one value"


@pytest.mark.parametrize("cell", CELLS)
def test_native_and_numpy_write_from_the_same_logits(
    models: dict[str, textgen.Model], cell: str
) -> None:
    model = models[cell]
    one, many = model.networks.one, model.networks.many
    ids = model.fit_seed("Мальчик нашёл ключ").ids
    logits = []
    for network in (one, many, model.network):
        state = network.zero_state(1)
        for token in ids:
            found, state = network.step(np.array([token]), state)
        logits.append(found[0])
    # Weights and h of the native path may be rounded to 8 bits: 2**-9 each, a dozen steps deep.
    spread = float(logits[2].std())
    assert np.abs(logits[0] - logits[2]).max() < 0.15 * spread
    assert np.abs(logits[1] - logits[2]).max() < 0.15 * spread
