"""Gate saturation against a step loop written out by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from textgen.corpus.vocabulary import END_ID
from textgen.errors import InspectionError
from textgen.inspection.gates import gate_quantities, gate_report
from textgen.inspection.trace import survey, trace_chunks
from textgen.model.config import ModelConfig
from textgen.model.initialise import initial_weights
from textgen.model.native_network import NativeNetwork
from textgen.model.network import Engine
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import BF16_ISAS, missing_reason, supported_isas

GATES = {"lstm": ("input", "forget", "output"), "gru": ("reset", "update")}
UNITS = 7


def network_of(cell: str) -> NumpyNetwork:
    config = ModelConfig(vocab_size=9, embedding_size=5, hidden_size=UNITS, num_layers=2, cell=cell)
    # So large that gates saturate on both sides, some units' nearly always.
    rng = np.random.default_rng(2)
    weights = {
        name: rng.normal(0.0, 1.5, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    return NumpyNetwork(config, weights)


def random_ids(count: int) -> np.ndarray:
    ids = np.random.default_rng(0).integers(2, 9, count)
    ids[::50] = END_ID
    return ids


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_shares_are_those_of_a_step_loop(cell: str) -> None:
    network, ids = network_of(cell), random_ids(400)
    left = np.zeros((2, len(GATES[cell]), UNITS), int)
    right = np.zeros_like(left)
    _, state = network.step(np.array([END_ID]), network.zero_state())
    for token in ids.tolist():
        if token == END_ID:
            state = network.zero_state()
        records = network.step_traced(np.array([token]), state)
        state = [record.state for record in records]
        for layer, record in enumerate(records):
            for g, gate in enumerate(GATES[cell]):
                for unit, value in enumerate(record.gates[gate][0].tolist()):
                    left[layer, g, unit] += value < 0.1
                    right[layer, g, unit] += value > 0.9
    names = gate_quantities(network.cell)
    assert names == tuple(f"{gate}-gate" for gate in GATES[cell])
    report = gate_report(trace_chunks(network, ids, quantities=names, chunk=150))
    assert report.tokens == 400
    assert [(gate.layer, gate.gate) for gate in report.gates] == [
        (layer, name) for layer in range(2) for name in names
    ]
    assert 0 < left.sum() < left.size * 400 and right.sum() > 0
    for gate in report.gates:
        g = names.index(gate.gate)
        np.testing.assert_array_equal(np.rint(gate.left * 400), left[gate.layer, g])
        np.testing.assert_array_equal(np.rint(gate.right * 400), right[gate.layer, g])
        assert gate.mean_left == pytest.approx(left[gate.layer, g].mean() / 400)
        assert gate.almost_always_left == sum(left[gate.layer, g] > 360)
        assert gate.almost_always_right == sum(right[gate.layer, g] > 360)
    assert sum(gate.almost_always_left + gate.almost_always_right for gate in report.gates)


@pytest.mark.skipif(not supported_isas(), reason=missing_reason() or "native engine")
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_survey_counts_the_same(cell: str) -> None:
    """But for values that its rounding carries across a threshold."""
    exact, ids = network_of(cell), random_ids(6000)
    network = NativeNetwork(exact.config, Engine("native", "", "", "cpu", supported_isas()[0], 1))
    network.load_arrays(initial_weights(exact.config, 0))
    names = gate_quantities(exact.cell)
    found = gate_report(survey(network, ids, quantities=names))
    wanted = gate_report(
        trace_chunks(NumpyNetwork(exact.config, network.weights), ids, quantities=names)
    )
    assert found.tokens == wanted.tokens
    bound = 0.02 if supported_isas()[0] in BF16_ISAS else 0.001
    for ours, theirs in zip(found.gates, wanted.gates, strict=True):
        assert (ours.layer, ours.gate) == (theirs.layer, theirs.gate)
        assert abs(ours.left - theirs.left).max() < bound
        assert abs(ours.right - theirs.right).max() < bound


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text() -> None:
    network = network_of("lstm")
    names = gate_quantities(network.cell)

    def peak(count: int) -> int:
        ids = random_ids(count)
        tracemalloc.start()
        gate_report(trace_chunks(network, ids, quantities=names, chunk=256))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # All values of the longer text would be 4000 * 42 numbers.
    assert peak(4000) < peak(1000) + 50_000 < 4000 * 42 * 4


def test_forms() -> None:
    network, ids = network_of("gru"), random_ids(60)
    report = gate_report(trace_chunks(network, ids, quantities=gate_quantities(network.cell)))
    record = report.to_json()
    assert record["tokens"] == 60
    assert record["gates"][3]["layer"] == 1 and record["gates"][3]["gate"] == "update-gate"
    table = report.table()
    assert table.keys() == ["layer", "gate", "unit", "left", "right"]
    assert len(table.rows) == 4 * UNITS
    assert table.rows[0][3] == record["gates"][0]["left"][0]
    arrays = report.to_arrays()
    np.testing.assert_array_equal(arrays["layers.1.update-gate.right"], report.gates[3].right)


def test_what_cannot_be_counted() -> None:
    rnn = ModelConfig(vocab_size=9, embedding_size=5, hidden_size=4, cell="rnn")
    with pytest.raises(InspectionError, match=r"no gates.*cell='lstm' or cell='gru'"):
        gate_quantities(rnn.cell_spec)
    network = network_of("lstm")
    with pytest.raises(InspectionError, match="no gate was traced"):
        gate_report(trace_chunks(network, random_ids(5), quantities=["cell"]))
    with pytest.raises(InspectionError, match="empty"):
        gate_report(trace_chunks(network, [], quantities=["forget-gate"]))
