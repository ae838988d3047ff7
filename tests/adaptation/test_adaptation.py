"""Learning while reading: the steps by their formula, no look ahead, and a fit that may say no."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from textgen.adaptation import AdaptationRule, AdaptingReader, descend, fit_adaptation, guarded
from textgen.adaptation.adaptation_rule import MOST, scale_shapes
from textgen.adaptation.adapting_reader import pieces
from textgen.adaptation.fit_adaptation import gradient_scales
from textgen.cells import BUILT_IN
from textgen.corpus.vocabulary import END_ID
from textgen.mixing import CountMixture, count_text
from textgen.model.config import ModelConfig
from textgen.model.head import log_softmax, nats_of
from textgen.model.initialise import initial_weights
from textgen.model.native_network import NativeNetwork
from textgen.model.network import Engine
from textgen.native.library import BF16_ISAS, supported_isas
from textgen.native.net import Descent

VOCAB = 20
#: Instruction sets that multiply in fp32, where the order of sums alone makes a difference.
FP32 = [isa for isa in supported_isas() if isa not in BF16_ISAS]


def text_of(tokens: int, seed: int) -> np.ndarray:
    """Tokens in which some long strings come again and again, and documents end."""
    rng = np.random.default_rng(seed)
    words = [*(rng.integers(2, VOCAB, rng.integers(2, 9)) for _ in range(20)), [END_ID]]
    return np.concatenate([words[int(w * w * 21)] for w in rng.random(tokens // 2)])[:tokens]


def opened(isa: str = "", threads: int = 1, seed: int = 0, **shape: object) -> NativeNetwork:
    """A network that was never trained, whose predictions are not all alike."""
    settings = {"embedding_size": 8, "hidden_size": 24, "num_layers": 1, **shape}
    config = ModelConfig(vocab_size=VOCAB, **settings)  # type: ignore[arg-type]
    network = NativeNetwork(config, Engine("native", "fp32", "", "cpu", isa or FP32[0], threads))
    rng = np.random.default_rng(seed)
    network.load_arrays(
        {
            name: weight + rng.normal(0, 0.2, weight.shape).astype(np.float32)
            for name, weight in initial_weights(config, seed).items()
        }
    )
    return network


def rule_of(config: ModelConfig, rate: float = 0.5, pull: float = 0.01) -> AdaptationRule:
    """A rule whose steps are large, each row with an RMS of its own."""
    rng = np.random.default_rng(5)
    scales = {
        name: rng.uniform(0.5, 2.0, rows).astype(np.float32)
        for name, rows in scale_shapes(config).items()
    }
    return AdaptationRule(rate, pull, 32, 8, scales)


def costs(parts: Iterator[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """What each token cost, in nats."""
    return np.concatenate([nats_of(logits_NV, part) for part, logits_NV in parts])


def read_slowly(network: NativeNetwork, rule: AdaptationRule, tokens: np.ndarray) -> np.ndarray:
    """The same as `AdaptingReader` with NumPy: one step of the network after the other."""
    start, nats = network.arrays(), []
    state, previous = network.zero_state(1), END_ID
    for first in range(0, len(tokens), rule.stretch):
        part = tokens[first : first + rule.stretch]
        inputs = np.concatenate(([previous], part[:-1]))
        states = []
        for place, (token, target) in enumerate(zip(inputs, part, strict=True)):
            if place % rule.reach == 0:
                states.append(state)
            if token == END_ID:
                state = network.zero_state(1)
            logits_1V, state = network.step(np.array([token]), state)
            nats.append(-log_softmax(logits_1V[0])[target])
        previous = part[-1]
        inputs_TB, targets_TB = pieces(inputs, part, rule.reach)
        joined = [
            {name: np.concatenate([layer[name] for layer in layers]) for name in layers[0]}
            for layers in zip(*states, strict=True)
        ]
        network.differentiate(inputs_TB, targets_TB, joined, inputs_TB == END_ID)
        share = np.float32(len(part) / rule.stretch)
        gradients = {name: share * gradient for name, gradient in network.gradients.items()}
        weights = network.arrays()
        network.load_arrays({**weights, **descend(weights, start, gradients, rule)})
    return np.array(nats)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [1, 15, 16, 67, 5000])
@pytest.mark.parametrize("isa", supported_isas())
def test_a_step_of_the_engine_is_the_formula(isa: str, size: int, threads: int) -> None:
    rng = np.random.default_rng(size)
    stops = np.unique(np.append(rng.integers(1, size + 1, 9), size))
    rates = rng.uniform(0.1, 1.0, len(stops)).astype(np.float32)
    spread = np.repeat(rates, np.diff(stops, prepend=0))
    start, gradient = rng.normal(size=(2, size)).astype(np.float32)
    root = float(np.sqrt(np.square(spread * gradient).mean()))
    for most in (2 * root, root / 2):
        parameters = start.copy()
        descent = Descent(
            *(parameters, gradient, stops.tolist(), rates.tolist()),
            pull=0.25,
            most=most,
            isa=isa,
            threads=threads,  # type: ignore[arg-type]
        )
        expected = start.copy()
        for _ in range(3):
            assert not descent.step()
            moved = expected - min(1.0, most / root) * spread * gradient
            expected = moved + 0.25 * (start - moved)
        # Rounding to 24 bits, of a few operations on numbers of about 1.
        np.testing.assert_allclose(parameters, expected, atol=3e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(wrong: float) -> None:
    parameters, gradient = np.ones(100, np.float32), np.ones(100, np.float32)
    descent = Descent(
        parameters, gradient, [40, 100], [1.0, 0.5], pull=0.1, most=9.0, isa=FP32[0], threads=1
    )
    gradient[70] = wrong
    assert descent.step()
    assert (parameters == 1).all()


@pytest.mark.parametrize("cell", BUILT_IN)
@pytest.mark.parametrize("isa", FP32)
def test_reading_agrees_with_the_slow_way(isa: str, cell: str) -> None:
    tokens = text_of(150, 1)
    slow, fast = (opened(isa, cell=cell, num_layers=2) for _ in range(2))
    rule = rule_of(fast.config)
    expected = read_slowly(slow, rule, tokens)
    found = costs(AdaptingReader(fast, rule).read(tokens))
    # Five steps: rounding of sums to 24 bits, carried on by what was learned.
    np.testing.assert_allclose(found, expected, atol=2e-4)
    for name, weight in fast.weights.items():
        np.testing.assert_allclose(weight, slow.weights[name], atol=2e-4)
    static = opened(isa, cell=cell, num_layers=2)
    still = costs(AdaptingReader(static, replace(rule, rate=0.0)).read(tokens))
    np.testing.assert_allclose(found[:32], still[:32], atol=1e-5)
    assert np.abs(found[32:] - still[32:]).max() > 0.05


def assert_near(found: np.ndarray, expected: np.ndarray, bound: float, name: str = "") -> None:
    """No value differs by more than a part of the largest."""
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max(), name


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cell", BUILT_IN)
@pytest.mark.parametrize("isa", supported_isas())
def test_pieces_that_are_read_once_are_read_as_each_by_itself(
    isa: str, cell: str, threads: int
) -> None:
    rng = np.random.default_rng(0)
    # Of 70 units each of two threads has some; one more, and streams are divided among them.
    for hidden, count in ((70, 3), (24, 4), (24, 1)):
        network = opened(isa, threads, cell=cell, num_layers=2, hidden_size=hidden)
        first = [
            {name: rng.normal(0, 0.5, value.shape).astype(np.float32) for name, value in s.items()}
            for s in network.zero_state(1)
        ]
        for resets in (0.0, 0.3):
            inputs_TB, targets_TB = rng.integers(0, VOCAB, (2, 6, count))
            targets_TB[-2:, -1] = -1
            resets_TB = rng.random((6, count)) < resets
            states, outputs, state = [], [], first
            for piece in range(count):
                states.append(state)
                own = np.s_[:, piece : piece + 1]
                output_T1H, state = network.outputs(inputs_TB[own], state, resets_TB[own])
                outputs.append(output_T1H)
            joined = [
                {name: np.concatenate([layer[name] for layer in layers]) for name in layers[0]}
                for layers in zip(*states, strict=True)
            ]
            expected_loss, _ = network.differentiate(inputs_TB, targets_TB, joined, resets_TB)
            expected = {name: gradient.copy() for name, gradient in network.gradients.items()}
            network.gradient[:] = np.nan
            found_TBH, after, loss = network.outputs_of_pieces(
                inputs_TB, first, resets_TB, targets_TB
            )
            # In bf16 the symbols' table has another order of sums, depending on how many there are.
            exact = 0.0 if isa in FP32 else 0.03
            assert_near(found_TBH, np.concatenate(outputs, axis=1), exact)
            for found_layer, layer in zip(after, state, strict=True):
                for name, value in layer.items():
                    assert_near(found_layer[name], value, exact, name)
            # The bounds of tests/native: streams together have other sums than each by itself.
            bound = 2e-5 if isa in FP32 else 0.03
            assert loss == pytest.approx(expected_loss, rel=bound)
            for name, gradient in network.gradients.items():
                assert_near(gradient, expected[name], 2 * bound, name)
            again_TBH, _, _ = network.outputs_of_pieces(inputs_TB, first, resets_TB)
            np.testing.assert_array_equal(again_TBH, found_TBH)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("cell", BUILT_IN)
@pytest.mark.parametrize("isa", supported_isas())
def test_a_step_in_one_pass_is_the_step_and_what_is_packed_after_it(
    isa: str, cell: str, threads: int
) -> None:
    rng = np.random.default_rng(1)
    ids_TB = rng.integers(0, VOCAB, (5, 2))
    for shape in ({"hidden_size": 35}, {"tie": True, "embedding_size": 35, "hidden_size": 35}):
        both = [opened(isa, threads, cell=cell, num_layers=2, **shape) for _ in range(2)]
        steps = []
        for network in both:
            size = network.num_trained
            stops = np.unique(np.append(np.arange(1, 40) ** 2 % size + 1, size))
            rates = np.random.default_rng(2).uniform(0.1, 0.5, len(stops))
            steps.append(
                Descent(
                    *(network.parameters[:size], network.gradient[:size]),
                    *(stops.tolist(), rates.tolist()),
                    pull=0.1,
                    most=0.01,
                    isa=isa,
                    threads=threads,
                )
            )
        one, two = both
        for _ in range(2):
            state = one.zero_state(2)
            for network in both:
                network.differentiate(ids_TB, ids_TB[::-1], state)
            before = one.parameters.copy()
            assert not one.descend(steps[0])
            assert not steps[1].step()
            two.weights_changed()
            np.testing.assert_array_equal(one.parameters, two.parameters)
            assert np.abs(one.parameters - before).max() > 1e-4
            costs = [network.nll(ids_TB, ids_TB[::-1], state)[0] for network in both]
            np.testing.assert_array_equal(costs[0], costs[1])
        one.differentiate(ids_TB, ids_TB, state)
        one.gradient[7], before = np.nan, one.parameters.copy()
        assert one.descend(steps[0])
        np.testing.assert_array_equal(one.parameters, before)


def test_tied_and_residual_networks_learn_too() -> None:
    shape = {"tie": True, "residual": True, "embedding_size": 24, "num_layers": 3}
    slow, fast = (opened(**shape) for _ in range(2))
    rule, tokens = rule_of(fast.config), text_of(100, 2)
    found = costs(AdaptingReader(fast, rule).read(tokens))
    np.testing.assert_allclose(found, read_slowly(slow, rule, tokens), atol=2e-4)


def test_several_threads_read_as_one() -> None:
    tokens = text_of(300, 3)
    one, three = (opened(threads=threads) for threads in (1, 3))
    rule = rule_of(one.config)
    np.testing.assert_allclose(
        costs(AdaptingReader(one, rule).read(tokens)),
        costs(AdaptingReader(three, rule).read(tokens)),
        atol=2e-4,
    )


def test_a_step_has_a_bound() -> None:
    """On a text of another kind gradients are far larger; a step is as long as twice the usual."""
    network = opened()
    rule = rule_of(network.config, rate=0.001, pull=0.0)
    before = network.arrays()
    gradients = {name: np.full_like(weight, 1000.0) for name, weight in before.items()}
    after = descend(before, before, gradients, rule)
    moved = np.concatenate([(after[name] - before[name]).ravel() for name in before])
    assert np.sqrt(np.square(moved, dtype=np.float64).mean()) == pytest.approx(MOST * 0.001, 1e-3)


def test_what_is_pulled_back_goes_back() -> None:
    network = opened()
    start = network.arrays()
    moved = {name: weight + 1 for name, weight in start.items()}
    zeros = {name: np.zeros_like(weight) for name, weight in start.items()}
    back = descend(moved, start, zeros, rule_of(network.config, pull=0.25))
    for name, weight in start.items():
        np.testing.assert_allclose(back[name] - weight, 0.75, atol=1e-6)


def predicted(tokens: np.ndarray, guard: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A text that is learned from; with a guard, the network as it was predicts too."""
    network = opened()
    reader = AdaptingReader(network, rule_of(network.config))
    if not guard:
        return reader.read(tokens)
    return guarded(reader.read(tokens), reader.still().read(tokens))


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("mix", [False, True])
def test_what_a_token_costs_does_not_depend_on_the_tokens_after_it(mix: bool, guard: bool) -> None:
    train, tokens = text_of(3_000, 3), text_of(1_000, 4)

    def read(tokens: np.ndarray) -> np.ndarray:
        parts = predicted(tokens, guard)
        if not mix:
            return costs(parts)
        mixture = CountMixture.of(count_text(train, VOCAB, 7), len(train))
        return np.concatenate(list(mixture.nats_of(parts, learn=True)))

    whole = read(tokens)
    for border in (1, 350, 800):
        shuffled = tokens.copy()
        np.random.default_rng(border).shuffle(shuffled[border:])
        found = read(shuffled)
        np.testing.assert_allclose(found[:border], whole[:border], rtol=0, atol=2e-5)
        assert not np.allclose(found[border:], whole[border:])


@pytest.mark.parametrize("guard", [False, True])
def test_every_prediction_is_a_distribution_with_counts_too(guard: bool) -> None:
    train, tokens = text_of(3_000, 3), text_of(2_000, 4)
    mixture = CountMixture.of(count_text(train, VOCAB, 7), len(train))
    kept: list[np.ndarray] = []

    def parts() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for part, logits_NV in predicted(tokens, guard):
            if guard:
                sums = np.exp(logits_NV.astype(np.float64)).sum(axis=1)
                assert np.abs(sums - 1).max() < 1e-5
            kept.append(logits_NV)  # Overwritten with those of the mixture.
            yield part, logits_NV

    nats = np.concatenate(list(mixture.nats_of(parts(), learn=True)))
    mixed = np.concatenate(kept).astype(np.float64)
    assert np.abs(np.exp(mixed).sum(axis=1) - 1).max() < 1e-6
    np.testing.assert_allclose(nats, -mixed[np.arange(len(tokens)), tokens], atol=1e-5)


@pytest.mark.parametrize("helps", [True, False])
def test_with_a_guard_a_text_costs_a_bit_more_at_most(helps: bool) -> None:
    """Of the cost of the better network, in all; where learning helps and where it harms."""
    network = opened()
    rule = rule_of(network.config, rate=0.5, pull=0.0)
    tokens = text_of(1_000, 4) if helps else np.random.default_rng(0).integers(0, VOCAB, 1_000)
    if not helps:
        network.load_arrays({name: np.zeros_like(w) for name, w in network.arrays().items()})
    reader = AdaptingReader(network, rule)
    still, again = reader.still(), reader.still()
    static = costs(still.read(tokens)).sum()
    alone = costs(AdaptingReader(again.network, rule).read(tokens)).sum()
    assert (alone < static) == helps
    both = costs(guarded(reader.read(tokens), still.read(tokens))).sum()
    # 0.01 for sums of a thousand costs in float32.
    assert both < min(static, alone) + np.log(2) + 0.01
    assert both > min(static, alone) - 20


def test_the_mixture_with_a_guard_is_bayes() -> None:
    logits = np.log(np.array([[[0.5, 0.5], [0.9, 0.1]], [[0.8, 0.2], [0.3, 0.7]]], np.float32))
    part = np.array([0, 1])
    ((_, mixed),) = guarded([(part, logits[0])], [(part, logits[1])])
    np.testing.assert_allclose(np.exp(mixed[0]), [0.65, 0.35], atol=1e-6)
    # After symbol 0 the weights are as 0.5 to 0.8.
    np.testing.assert_allclose(np.exp(mixed[1, 1]), (0.5 * 0.1 + 0.8 * 0.7) / 1.3, atol=1e-6)


def test_the_fit_learns_where_a_text_has_habits_of_its_own() -> None:
    network = opened()
    before = network.arrays()
    rule = fit_adaptation(network, text_of(4_000, 0), text_of(2_000, 0))
    assert rule.rate > 0
    assert rule.fitted_tokens == 2_000
    for name, weight in network.weights.items():
        assert np.array_equal(weight, before[name])
    other = text_of(2_000, 0)[::-1]
    still = costs(AdaptingReader(network, replace(rule, rate=0.0)).read(other)).mean()
    learned = costs(AdaptingReader(network, rule).read(other)).mean()
    assert learned < still - 0.1
    assert rule.gain > 0.1


@pytest.mark.parametrize("times", [0, 3, 150])
def test_the_fit_can_be_given_up(times: int) -> None:
    """While the gradients are measured, and while rates are tried; the weights come back."""
    network = opened()
    before = network.arrays()
    asked = 0

    def poll() -> None:
        nonlocal asked
        if asked == times:
            raise InterruptedError
        asked += 1

    with pytest.raises(InterruptedError):
        fit_adaptation(network, text_of(4_000, 0), text_of(2_000, 0), poll=poll)
    for name, weight in network.weights.items():
        assert np.array_equal(weight, before[name])


def test_the_fit_says_no_where_nothing_can_be_learned() -> None:
    """Each symbol equally likely, which a network of zeros already says."""
    network = opened()
    network.load_arrays({name: np.zeros_like(w) for name, w in network.arrays().items()})
    rng = np.random.default_rng(0)
    train, val = (rng.permutation(np.tile(np.arange(VOCAB), 200)) for _ in range(2))
    rule = fit_adaptation(network, train, val)
    assert (rule.rate, rule.gain) == (0.0, 0.0)


def test_the_scales_are_those_of_the_gradients() -> None:
    """On a text that is one stretch long there is one gradient, and the RMS is its own."""
    network = opened()
    tokens = text_of(128, 1)
    scales = gradient_scales(network, tokens)
    gradients = {name: gradient.copy() for name, gradient in network.gradients.items()}
    assert set(scales) == set(gradients)
    for name, rms in scales.items():
        rows = gradients[name].reshape(len(rms), -1)
        np.testing.assert_allclose(rms, np.sqrt(np.square(rows).mean(axis=1)), rtol=1e-4)
    assert len(scales["layers.0.bias"]) == 1
    assert len(scales["head.weight"]) == VOCAB


def test_a_rule_comes_back_from_plain_data() -> None:
    network = opened()
    rule = replace(rule_of(network.config), fitted_tokens=12, gain=0.25)
    again = AdaptationRule.from_json(rule.to_json(), network.config)
    assert again is not None
    for name in ("rate", "pull", "stretch", "reach", "fitted_tokens", "gain"):
        assert getattr(again, name) == getattr(rule, name)
    for name, rms in rule.scales.items():
        np.testing.assert_allclose(again.scales[name], rms, rtol=0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"rate": -1.0},
        {"rate": float("nan")},
        {"pull": 1.5},
        {"stretch": 0},
        {"reach": 7},
        {"scales": ""},
        {"scales": "%"},
        {"scales": 3},
        {"gain": None},
    ],
)
def test_damaged_data_are_no_rule(change: dict[str, object]) -> None:
    config = opened().config
    data = rule_of(config).to_json()
    assert AdaptationRule.from_json(data, config) is not None
    assert AdaptationRule.from_json({**data, **change}, config) is None
    assert AdaptationRule.from_json(None, config) is None
    assert AdaptationRule.from_json(data, replace(config, hidden_size=32)) is None
