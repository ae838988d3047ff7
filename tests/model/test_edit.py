"""Edits: what they do to a state, and where in a step of each cell they act."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.models import random_weights

from textgen.cells import CELLS, Cell
from textgen.cells.cell import unchanged
from textgen.errors import ConfigError
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit, editor, for_all, neuron_guess, split_neuron
from textgen.model.numpy_network import NumpyNetwork

CONFIG = ModelConfig(vocab_size=5, embedding_size=4, hidden_size=4, num_layers=2)
UNIT = Edit(layer=0, state="c", unit=1, scale=0.5, shift=2.0)


def direction(seed: int = 0, size: int = 4, **settings: float) -> Edit:
    """An edit along a direction that is not orthogonal to what it reads."""
    rng = np.random.default_rng(seed)
    read = rng.normal(size=size).astype(np.float32)
    write = rng.normal(size=size).astype(np.float32)
    write /= read @ write
    return Edit(
        layer=0, state="c", read=read, write=write, **{"scale": 1.0, "shift": 0.0, **settings}
    )


def test_a_unit_is_scaled_and_shifted_alone() -> None:
    x = np.array([[1.0, 2.0, 3.0], [4.0, 6.0, 8.0]], np.float32)
    before = x.copy()
    assert UNIT.apply(x).tolist() == [[1.0, 3.0, 3.0], [4.0, 5.0, 8.0]]
    assert (x == before).all()


def test_a_directions_projection_is_scaled_and_shifted() -> None:
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    edit = direction(scale=0.25, shift=-1.5)
    assert edit.read is not None
    np.testing.assert_allclose(
        edit.apply(x) @ edit.read, 0.25 * (x @ edit.read) - 1.5, rtol=1e-5, atol=1e-5
    )
    # It moves along `write` alone.
    moved = edit.apply(x) - x
    assert np.linalg.matrix_rank(moved, tol=1e-5) == 1


def test_clamping_is_idempotent_and_nothing_is_nothing() -> None:
    x = np.random.default_rng(2).normal(size=(2, 4)).astype(np.float32)
    clamp = direction(scale=0.0, shift=3.0)
    np.testing.assert_allclose(clamp.apply(clamp.apply(x)), clamp.apply(x), atol=1e-5)
    assert (direction(scale=1.0, shift=0.0).apply(x) == x).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit": None},
        {"unit": 1, "read": np.ones(3, np.float32), "write": np.ones(3, np.float32)},
        {"unit": 1, "shift": float("nan")},
        {"unit": 1, "scale": float("inf")},
        {"unit": 1, "shift": 1e39},  # finite, but not in float32
        {"unit": 1, "read": np.ones(3, np.float32)},
    ],
)
def test_what_is_no_edit_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Edit(**{"layer": 0, "state": "h", "scale": 1.0, "shift": 0.0, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(layer=2, state="h", unit=0, scale=1, shift=0), "layer 2"),
        (Edit(layer=0, state="h", unit=9, scale=1, shift=0), "no neuron 9"),
        (Edit(layer=0, state="c", unit=0, scale=1, shift=0), "no state 'c'"),
        (direction(size=5), "no state 'c'"),
    ],
)
def test_what_a_model_does_not_have_is_refused(edit: Edit, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        edit.check(replace(CONFIG, cell="gru"))
    with pytest.raises(ConfigError, match="of 5 neurons"):
        direction(size=5).check(CONFIG)


def test_every_neuron_of_every_layer_can_be_edited_and_no_other() -> None:
    def edit(layer: int, unit: int) -> Edit:
        return Edit(layer=layer, state="h", unit=unit, scale=1, shift=0)

    for layer, unit in ((0, 0), (0, 3), (1, 0), (1, 3)):
        edit(layer, unit).check(CONFIG)
    for layer in (-1, 2):
        with pytest.raises(ConfigError, match=rf"no layer {layer}; there are 0\.\.1$"):
            edit(layer, 0).check(CONFIG)
    for unit in (-1, 4):
        with pytest.raises(ConfigError, match=rf"no neuron {unit}; there are 0\.\.3$"):
            edit(0, unit).check(CONFIG)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("0:75", (0, 75, None)),
        ("1:3.c", (1, 3, "cell")),
        (" 2 : 0 .h ", (2, 0, "hidden")),
        ("123456789:123456789", (123456789, 123456789, None)),
        ("1234567890:1", None),
        ("0:75.x", None),
        ("mood", None),
        ("0:75 more", None),
    ],
)
def test_a_neuron_is_read_as_it_is_typed(
    typed: str, read: tuple[int, int, str | None] | None
) -> None:
    assert split_neuron(typed) == read


@pytest.mark.parametrize(
    ("typed", "guess"),
    [
        *(("L0:75", "0:75"), ("1,75", "1:75"), ("layers.2.cell[7]", "2:7"), ("17", "0:17")),
        *(("mood", ""), ("0:1:2", "")),
    ],
)
def test_what_was_meant_is_guessed_from_one_number_or_two(typed: str, guess: str) -> None:
    assert neuron_guess(typed) == guess


def test_the_same_for_all_streams() -> None:
    assert for_all((UNIT,), 3) == [(UNIT,)] * 3
    assert for_all((), 3) is None


def test_streams_have_edits_of_their_own() -> None:
    x = np.ones((3, 2), np.float32)
    other = Edit(layer=0, state="c", unit=0, scale=0.0, shift=7.0)
    above = Edit(layer=1, state="c", unit=0, scale=0.0, shift=9.0)
    edit = editor([(UNIT,), (), (other, above)], 0)
    assert edit("c", x).tolist() == [[1.0, 2.5], [1.0, 1.0], [7.0, 1.0]]
    assert (edit("h", x) == x).all()
    assert editor([(above,)], 0) is unchanged
    assert editor(None, 0) is unchanged


def step_of(cell: Cell, edit: object) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A step from a random state."""
    rng = np.random.default_rng(3)
    draw = lambda *shape: rng.normal(size=shape)  # noqa: E731
    size = 3
    weights = [draw(p.blocks * size, size) for p in cell.products]
    return cell.step(
        np,
        draw(2, len(cell.input_names) * size),
        {name: draw(2, size) for name in cell.state_names},
        tuple(lambda h, w=w: h @ w.T for w in weights),
        {name: draw(size) for name in cell.vector_names},
        {name: draw(2, size) for name in cell.below_names},
        edit,  # type: ignore[arg-type]
    )


EVERY_CELL = CELLS


@pytest.mark.parametrize("name", EVERY_CELL)
def test_every_cell_hands_each_state_and_gate_to_its_editor_once(name: str) -> None:
    cell = EVERY_CELL[name]
    seen: list[str] = []

    def edit(state: str, value: np.ndarray) -> np.ndarray:
        seen.append(state)
        return value + (10.0 if state == "h" else 0.0)

    plain, _ = step_of(cell, unchanged)
    edited, _ = step_of(cell, edit)
    assert sorted(seen) == sorted((*cell.state_names, *cell.gate_names))
    assert np.allclose(edited["h"], plain["h"] + 10.0)


@pytest.mark.parametrize("name", [n for n, c in EVERY_CELL.items() if "c" in c.state_names])
def test_an_edited_cell_state_is_what_the_output_is_made_of(name: str) -> None:
    """Not what the next step alone sees: the very next character must feel it."""
    cell = EVERY_CELL[name]
    state, gates = step_of(cell, lambda n, v: np.full_like(v, 0.3) if n == "c" else v)
    assert (state["c"] == 0.3).all()
    assert np.allclose(state["h"], gates["output"] * np.tanh(0.3))


def test_a_network_edits_the_layer_that_is_meant() -> None:
    config = ModelConfig(vocab_size=7, embedding_size=3, hidden_size=4, num_layers=2)
    network = NumpyNetwork(config, random_weights(config))
    clamp = Edit(layer=1, state="c", unit=2, scale=0.0, shift=0.5)
    plain = network.step_traced(np.array([3]), network.zero_state())
    steered = network.step_traced(np.array([3]), network.zero_state(), [(clamp,)])
    assert (steered[0].state["h"] == plain[0].state["h"]).all()
    changed = steered[1].state["c"] != plain[1].state["c"]
    assert changed.tolist() == [[False, False, True, False]]
    assert steered[1].state["c"][0, 2] == 0.5
    with pytest.raises(ConfigError, match="layer 5"):
        wrong = Edit(layer=5, state="c", unit=2, scale=0.0, shift=0.5)
        network.step(np.array([3]), network.zero_state(), [(wrong,)])
