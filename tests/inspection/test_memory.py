"""Memory: gradients against finite differences and known networks, replacement against reading."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from textgen.cells import CELLS
from textgen.corpus.vocabulary import END_ID
from textgen.errors import BackendError, InspectionError
from textgen.inspection import gradients
from textgen.inspection.gradients import INPUT, gradient_norms
from textgen.inspection.influence import embedding_gradient
from textgen.inspection.memory import (
    Reader,
    lag_grid,
    memory_curves,
    other_places,
    spread_places,
    windows,
)
from textgen.inspection.memory_report import MemoryCurve, MemoryReports
from textgen.model.config import ModelConfig
from textgen.model.numpy_network import NumpyNetwork
from textgen.native import library
from textgen.native.library import missing_reason, supported_isas

VOCAB = 9
SHAPES: dict[str, dict[str, Any]] = {
    **{cell: {"cell": cell} for cell in CELLS},
    "relu": {"cell": "rnn", "nonlinearity": "relu"},
    "tied": {"tie": True},
    "residual": {"residual": True, "num_layers": 3},
    "distance": {"head": "euclidean", "frozen_embedding": True},
}


def make(spread: float = 0.7, **settings: Any) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    given = {"vocab_size": VOCAB, "hidden_size": 5, "num_layers": 2, **settings}
    config = ModelConfig(embedding_size=5 if given.get("tie") else 4, **given)
    rng = np.random.default_rng(7)
    weights = {
        name: rng.normal(0.0, spread, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    if "head.scale" in weights:
        weights["head.scale"][...] = 0.6
    return config, weights


def random_ids(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, VOCAB, count)


def cost(
    config: ModelConfig,
    weights: dict[str, np.ndarray],
    ids: np.ndarray,
    target: int,
    state: list[dict[str, np.ndarray]],
    moved: tuple[str, int, int, np.ndarray] | None = None,
) -> float:
    """The target's nats, in float64 through the cell's equations; `moved` is added to one thing:
    its name, layer and time, and what."""
    cell, wide = config.cell_spec, {n: w.astype(np.float64) for n, w in weights.items()}
    state = [{n: v[:1].astype(np.float64) for n, v in layer.items()} for layer in state]

    def shift(name: str, layer: int, time: int, value: np.ndarray) -> np.ndarray:
        return value + moved[3] if moved is not None and moved[:3] == (name, layer, time) else value

    for time, token in enumerate(ids.tolist()):
        x = shift("input", 0, time, wide["embedding.weight"][[token]])
        below = {name: np.zeros((1, config.hidden_size)) for name in cell.below_names}
        for layer in range(config.num_layers):

            def own(name: str, layer: int = layer) -> np.ndarray:
                return wide[f"layers.{layer}.{name}"]

            matrices = [own(product.name) for product in cell.products]
            products = tuple(lambda h, w=w: h @ w.T for w in matrices)
            state[layer], _ = cell.step(
                np,
                x @ own("weight_ih").T + own("bias"),
                state[layer],
                products,
                {name: own(name) for name in cell.vector_names},
                below,
                # Gates pass through it, too; one has the name of the input.
                lambda name, value, layer=layer, time=time: (
                    shift(name, layer, time, value) if name in cell.state_names else value
                ),
            )
            x = state[layer]["h"] + (x if config.residual and layer else 0.0)
            below = {name: state[layer][name] for name in cell.below_names}
    if config.has_vector_output:
        F = x @ wide["head.weight"].T + wide["head.bias"]
        logits = -np.linalg.norm(F - wide["embedding.weight"], axis=1) / wide["head.scale"]
    else:
        head = wide["embedding.weight" if config.tie else "head.weight"]
        logits = (x @ head.T + wide["head.bias"])[0]
    top = logits.max()
    return float(np.log(np.exp(logits - top).sum()) + top - logits[target])


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_finite_differences(shape: str) -> None:
    config, weights = make(**SHAPES[shape])
    rng = np.random.default_rng(2)
    ids_TN, targets_N = random_ids(12).reshape(6, 2), np.array([3, 7])
    state = [
        {n: rng.normal(0, 0.5, (2, 5)).astype(np.float32) for n in config.cell_spec.state_names}
        for _ in range(config.num_layers)
    ]
    found = gradient_norms(config, weights, ids_TN, targets_N, state)
    places = [(n, layer) for n in config.cell_spec.state_names for layer in range(len(state))]
    assert set(found) == {INPUT, *places}
    step = 1e-6
    for row in range(2):
        begin = [{n: v[row : row + 1] for n, v in layer.items()} for layer in state]
        for name, layer in found:
            for lag in range(6):
                slopes = []
                for unit in np.eye(4 if (name, layer) == INPUT and not config.tie else 5):
                    sides = [
                        cost(
                            *(config, weights, ids_TN[:, row], int(targets_N[row]), begin),
                            (name, layer, 5 - lag, sign * step * unit),
                        )
                        for sign in (1, -1)
                    ]
                    slopes.append((sides[0] - sides[1]) / (2 * step))
                expected = float(np.linalg.norm(slopes))
                assert found[name, layer][lag, row] == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_a_signal_is_answered_on_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch goes back through all steps in one call; what a handler raises in it gets out."""
    config, weights = make()
    ids_TN, targets_N = random_ids(70).reshape(10, 7), random_ids(7, 2)
    state = NumpyNetwork(config, weights).zero_state(7)
    answered = []

    def answer(_: object) -> None:
        answered.append(1)
        if len(answered) % 7 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(gradients, "_answer_signals", answer)
    with pytest.raises(KeyboardInterrupt):
        gradient_norms(config, weights, ids_TN, targets_N, state)
    with pytest.raises(KeyboardInterrupt):
        embedding_gradient(config, weights, random_ids(20), 3)
    assert len(answered) == 14


def test_parts_that_fit_the_memory_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    config, weights = make()
    ids_TN, targets_N = random_ids(70).reshape(10, 7), random_ids(7, 2)
    state = NumpyNetwork(config, weights).zero_state(7)
    whole = gradient_norms(config, weights, ids_TN, targets_N, state)
    monkeypatch.setattr(gradients, "MEMORY_LIMIT", 1)
    for place, norms in gradient_norms(config, weights, ids_TN, targets_N, state).items():
        np.testing.assert_allclose(norms, whole[place], rtol=1e-12)


def identity(factor_HH: np.ndarray) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    """A network h_t = W x_t + A h_{t-1} with a given A."""
    config, weights = make(
        cell="rnn", nonlinearity="identity", num_layers=1, hidden_size=len(factor_HH)
    )
    weights["layers.0.weight_hh"] = factor_HH.astype(np.float32)
    return config, weights


def test_the_gradient_of_a_known_matrix_falls_by_its_factor() -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    config, weights = identity(0.9 * rotation)
    report = memory_curves(config, weights, random_ids(400), max_lag=60, positions=50, warm_up=30)
    (hidden,) = (curve for curve in report.curves if curve.of == "hidden")
    np.testing.assert_allclose(hidden.mean_K, 0.9 ** np.arange(61), rtol=1e-5)
    # Of each position too, so that there is no error.
    np.testing.assert_allclose(hidden.standard_error_K, 0.0, atol=1e-7)
    # 0.9**43 = 0.0108, 0.9**44 = 0.0097
    assert report.gradient_lag == hidden.lag == 44
    for max_lag, expected in ((60, 44), (43, None)):
        few = memory_curves(
            config, weights, random_ids(400), max_lag=max_lag, positions=20, replacement=False
        )
        assert few.gradient_lag == expected


def test_an_open_forget_gate_keeps_the_gradient_of_the_cell() -> None:
    config, weights = make(cell="lstm", num_layers=1)
    weights["layers.0.weight_hh"][...] = 0.0
    weights["layers.0.bias"][5:10] = 60.0  # the second block is the forget gate's
    weights["layers.0.weight_ih"][5:10] = 0.0
    weights["layers.0.weight_ih"][:5] = 0.0
    weights["layers.0.bias"][:5] = -4.0  # little enters, or the tanh would saturate
    report = memory_curves(config, weights, random_ids(400), max_lag=80, positions=30, warm_up=9)
    cell, hidden = report.curve("cell"), report.curve("hidden")
    assert cell is not None and hidden is not None
    np.testing.assert_allclose(cell.mean_K, 1.0, rtol=1e-12)
    assert cell.lag is None
    # Nothing reads h but the head.
    assert hidden.mean_K[0] == 1.0 and not hidden.mean_K[1:].any()
    assert report.gradient_lag == 1
    assert report.longest() is cell
    record = report.to_json()
    assert (record["longest_state"], record["longest_lag"]) == ("cell", None)


def test_the_state_that_lasts_longest() -> None:
    def curve(of: str, layer: int, *values: float) -> MemoryCurve:
        lags = np.arange(len(values))
        return MemoryCurve(of=of, layer=layer, lags_K=lags, values_KN=np.array(values)[:, None])

    config, weights = make()
    report = memory_curves(config, weights, random_ids(300), max_lag=3, positions=5)
    # By the lag at which it has vanished; where both go on, by what is left.
    curves = (
        *(curve("hidden", 0, 1, 0.5, 0.3, 0.001), curve("cell", 0, 1, 0.9, 0.001, 0.001)),
        *(curve("hidden", 1, 1, 0.5, 0.3, 0.2), curve("cell", 1, 1, 0.9, 0.8, 0.7)),
        curve("input", 0, 1, 1, 1, 1),
    )
    report = replace(report, curves=curves)
    assert [report.longest(layer) for layer in (0, 1, None)] == [curves[0], curves[3], curves[3]]


def test_what_a_register_has_forgotten_can_be_replaced() -> None:
    """Its state is the last seven symbols: exactly what lies more than seven back is gone."""
    length = 7
    assert length not in lag_grid(40)
    # One unit a symbol; each step moves it on by one place, the last falls out.
    config, weights = identity(np.eye(length, k=-1))
    weights["layers.0.weight_ih"][1:] = 0.0
    weights["layers.0.bias"][...] = 0.0
    ids = random_ids(600)
    report = memory_curves(config, weights, ids, max_lag=40, positions=60, warm_up=20)
    replaced = report.replacement
    assert replaced is not None
    assert report.replacement_lag == length
    measured = dict(zip(replaced.lags_K.tolist(), replaced.mean_K, strict=True))
    assert measured[length - 1] > 0.01 and measured[length] == pytest.approx(0, abs=1e-6)
    assert measured[0] > measured[2] > 0.01
    assert report.gradient_lag == length
    few = memory_curves(config, weights, ids, max_lag=3, positions=60)
    assert few.replacement_lag is None and few.gradient_lag is None


@pytest.mark.parametrize("native", [False, True], ids=["numpy", "native"])
def test_replacement_is_reading_other_text(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if native and not supported_isas():
        pytest.skip(missing_reason())
    if not native:
        monkeypatch.setattr(library, "supported_isas", tuple)
    config, weights = make(spread=0.9, residual=True)
    ids = random_ids(300)
    ids[[60, 200]] = END_ID
    report = memory_curves(config, weights, ids, max_lag=12, positions=8, warm_up=15, rng=3)
    assert report.replacement is not None
    others = other_places(ids, report.places, max_lag=12, rng=3)
    network = NumpyNetwork(config, weights)

    def before(place: int) -> np.ndarray:
        """What was read before a place: no other document."""
        start = max(place - 15 - 13, 0)
        marks = np.flatnonzero(ids[:place] == END_ID)
        return ids[max([start, *marks + 1]) : place]

    def prediction(read: np.ndarray) -> np.ndarray:
        state = network.zero_state()
        for token in (END_ID, *read.tolist()):
            logits, state = network.step(np.array([token]), state)
        e = np.exp(logits[0].astype(np.float64))
        return e / e.sum()

    for row, kept in enumerate(report.replacement.lags_K.tolist()):
        for column, place in enumerate(report.places.tolist()):
            other = before(int(report.places[others[column]]))
            mixed = np.concatenate([other, ids[place - kept : place]])
            change = 0.5 * np.abs(prediction(mixed) - prediction(before(place))).sum()
            found = report.replacement.values_KN[row, column]
            assert found == pytest.approx(change, abs=2e-5), (kept, place)
    assert report.replacement.mean_K[0] > 0.05


@pytest.mark.parametrize("cell", CELLS)
def test_the_native_engine_reads_the_same(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not supported_isas():
        pytest.skip(missing_reason())
    config, weights = make(cell=cell)
    ids_TN = random_ids(120).reshape(30, 4)
    ids_TN[7, 2] = END_ID
    states = []
    for isas in (supported_isas, tuple):
        monkeypatch.setattr(library, "supported_isas", isas)
        reader = Reader(config, weights, 1)
        states.append(reader.read(ids_TN, reader.begin(4)))
    for ours, theirs in zip(*states, strict=True):
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], rtol=1e-3, atol=1e-5)


def test_places_are_spread_and_keep_to_their_documents() -> None:
    ids = random_ids(1000)
    ids[[0, 300, 305, 330]] = END_ID
    places = spread_places(ids, max_lag=40, count=30, rng=0)
    assert len(places) == 30 and (np.diff(places) > 0).all()
    window = windows(ids, places, 41)
    assert not (window == END_ID).any() and not (ids[places] == END_ID).any()
    np.testing.assert_array_equal(window[-1], ids[places - 1])
    assert places.min() < 100 and places.max() > 950
    assert max(b - a for a, b in pairwise(places)) < 130
    np.testing.assert_array_equal(places, spread_places(ids, max_lag=40, count=30, rng=0))
    assert (places != spread_places(ids, max_lag=40, count=30, rng=1)).any()
    # All there are, where there are fewer: the first has the whole window before it.
    short = spread_places(random_ids(50), max_lag=40, count=30, rng=0)
    assert short.tolist() == list(range(41, 50))


def test_the_past_before_the_text_is_the_end_mark() -> None:
    assert windows(np.array([5, 6, 7]), np.array([1, 3]), 3).T.tolist() == [[0, 0, 5], [5, 6, 7]]


def test_lags_to_measure() -> None:
    assert lag_grid(1) == [0, 1]
    assert lag_grid(20) == [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20]


def test_what_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    config, weights = make()
    with pytest.raises(InspectionError, match="has 30 tokens; a lag of 40 needs at least 42"):
        memory_curves(config, weights, random_ids(30), max_lag=40)
    with pytest.raises(InspectionError, match=r"too few to replace.*162 or more"):
        memory_curves(config, weights, random_ids(60), max_lag=40)
    assert memory_curves(config, weights, random_ids(60), max_lag=40, replacement=False).curves
    assert memory_curves(config, weights, random_ids(162), max_lag=40).replacement is not None
    for wrong in ({"max_lag": 0}, {"positions": 0}, {"rng": -1}, {"warm_up": -1}):
        with pytest.raises(InspectionError, match="must be"):
            memory_curves(config, weights, random_ids(300), **wrong)
    growing = identity(1e8 * np.eye(4))
    with pytest.raises(InspectionError, match="grow without limit"):
        memory_curves(*growing, random_ids(300), max_lag=60, replacement=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "textgen.model.torch_network", raising=False)
    with pytest.raises(BackendError, match="needs torch"):
        memory_curves(config, weights, random_ids(300), max_lag=20)


def test_a_text_shorter_than_four_windows_may_do_in_documents() -> None:
    """The past of another document is another past, however near."""
    ids = random_ids(90)
    ids[45] = END_ID
    config, weights = make()
    report = memory_curves(config, weights, ids, max_lag=42, positions=10)
    assert report.places.tolist() == [43, 44, 89]


def test_forms_of_a_report() -> None:
    config, weights = make()
    report = memory_curves(config, weights, random_ids(300), max_lag=20, positions=15)
    assert [(c.of, c.layer) for c in report.curves] == [
        *[("input", 0), ("cell", 0), ("hidden", 0)],
        *[("cell", 1), ("hidden", 1)],
    ]
    assert report.curve("cell") is report.curve("cell", 1) is report.curves[3]
    assert report.curve("memory") is None
    for curve in report.curves:
        low, median, high = curve.quartiles_3K
        assert curve.mean_K[0] == 1.0 and curve.standard_error_K[0] == pytest.approx(0)
        assert (low <= median).all() and (median <= high).all()
        assert (curve.standard_error_K[1:] > 0).all()
        spread = curve.values_KN[4] / curve.values_KN[0].mean()
        assert low[4] == pytest.approx(np.quantile(spread, 0.25))
    both = MemoryReports(names=("а", "b"), heads=({"x": 1}, {}), reports=(report, report))
    record = json.loads(json.dumps(both.to_json(), allow_nan=False))
    first = record["models"][0]
    assert (first["name"], first["x"], first["positions"], first["cell"]) == ("а", 1, 15, "lstm")
    assert first["replacement_lag"] == report.replacement_lag
    assert len(first["curves"]) == 5 and len(first["curves"][0]["relative"]) == 21
    keys, rows = both.table().keys(), both.table().rows
    assert keys[:4] == ["model", "of", "layer", "lag"] and rows[0][:4] == ("а", "input", 0, 0)
    assert {len(row) for row in rows} == {9}
    assert report.replacement is not None
    assert len(rows) == 2 * (5 * 21 + len(report.replacement.lags_K))
    arrays = both.to_arrays()
    assert arrays["1.hidden.1"].shape == (21, 15) and arrays["names"].tolist() == ["а", "b"]
