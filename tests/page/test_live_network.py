"""The network of the live page in a real Chromium: it computes what NumPy computes."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from support.every_kind import WORDS, model_of
from support.live_network import read, written
from support.models import random_weights

import textgen
from textgen.cells import BUILT_IN
from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.export.packed import PackedModel, pack
from textgen.inspection.influence import influence_view
from textgen.inspection.page_data import label_of
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits, for_all
from textgen.model.members import join, member_config
from textgen.model.numpy_network import NumpyNetwork
from textgen.steering import Target

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome  # noqa: E402
from support.browser import chromium, found  # noqa: E402

pytestmark = [
    pytest.mark.skipif(found() is None, reason="no Chromium with chromedriver on the path"),
]

#: Every cell and nonlinearity, and a tied output.
KINDS = ("lstm", "gru", "rnn", "relu", "peephole", "coupled", "depth-gated", "mlstm", "tied")
#: float32 rounds to 1e-7 of a number, here carried on over 200 steps.
TOLERANCE = 1e-5
Load = Callable[[PackedModel], Chrome]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Opens a network in the one browser of all tests of this file."""
    folder = tmp_path_factory.mktemp("live")
    with chromium(folder / "profile") as driver:

        def open_page(packed: PackedModel) -> Chrome:
            driver.get(written(packed, folder / "page.html").as_uri())
            return driver

        yield open_page
        assert driver.get_log("browser") == []


def two_layers(name: str) -> SavedModel:
    """A model with two residual layers of random weights."""
    saved = model_of(name)
    config = replace(saved.config, num_layers=2, residual=True)
    return replace(saved, config=config, weights=random_weights(config))


def some_ids(saved: SavedModel, count: int = 200) -> list[int]:
    ids: list[int] = np.random.default_rng(1).integers(0, saved.config.vocab_size, count).tolist()
    return ids


def expected(
    packed: PackedModel, config: ModelConfig, ids: list[int], edits: Edits = NO_EDITS
) -> Any:
    """The rows that `read` gives, computed with NumPy."""
    network = NumpyNetwork(config, packed.weights)
    own_names = packed.description["quantities"].values()
    state, rows = network.zero_state(), []
    for token in ids:
        if token == 0:
            state = network.zero_state()
        records = network.step_traced(np.array([token]), state, for_all(edits, 1))
        state = [record.state for record in records]
        known = [{**record.state, **record.gates} for record in records]
        quantities = [np.concatenate([layer[name][0] for layer in known]) for name in own_names]
        rows.append([network.logits(records[-1].output)[0], *quantities])
    return rows


def difference(expected: Any, found: Any) -> float:
    return max(
        float(np.abs(np.array(one) - np.array(other)).max())
        for row, same in zip(expected, found, strict=True)
        for one, other in zip(row, same, strict=True)
    )


def test_no_cell_is_left_out() -> None:
    assert {model_of(name).config.cell for name in KINDS} == set(BUILT_IN)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("bits", [16, 8])
def test_every_cell_does_the_same_steps(name: str, bits: int, load: Load) -> None:
    saved = two_layers(name)
    packed, ids = pack(saved, bits), some_ids(saved)
    rows = read(load(packed), ids)
    assert difference(expected(packed, saved.config, ids), rows) < TOLERANCE


def test_networks_side_by_side_have_no_weights_between_them(load: Load) -> None:
    shape = ModelConfig(
        vocab_size=20, embedding_size=6, hidden_size=12, num_layers=2, cell="lstm", residual=True
    )
    apart = [random_weights(member_config(shape, 2)) for _ in range(2)]
    for name, weight in apart[1].items():
        apart[1][name] = -weight
    weights = join(apart, shape)
    saved = replace(
        model_of("lstm"),
        config=shape,
        weights=weights,
        vocabulary=Vocabulary.from_characters("abcdefghijklmnopqr"),
        primer=(),
    )
    packed, ids = pack(saved, 16), some_ids(saved)
    own = {told["name"]: told for told in packed.description["tensors"]}
    assert own["layers.1.weight_hh"]["count"] == weights["layers.1.weight_hh"].size // 2
    assert own["layers.0.weight_ih"]["matrix"]["members"] == 2
    assert difference(expected(packed, shape, ids), read(load(packed), ids)) < TOLERANCE
    # One weight between them, and they are one network.
    weights["layers.1.weight_hh"][0, -1] = 0.01
    whole = pack(replace(saved, weights=weights), 16)
    own = {told["name"]: told for told in whole.description["tensors"]}
    assert own["layers.1.weight_hh"]["count"] == weights["layers.1.weight_hh"].size


def direction(layer: int, hidden: int) -> Target:
    rng = np.random.default_rng(3)
    read, write = rng.normal(size=(2, hidden)).astype(np.float32)
    return Target(
        name="mood", layer=layer, state="c", mean=0.1, sd=0.5, sign=-1,
        read=read, write=write / np.float32(read @ write),
    )  # fmt: skip


def test_states_are_held_where_python_edits_them(load: Load) -> None:
    """A unit held at a value, and a direction as `--steer mood=+2` clamps it."""
    saved = two_layers("lstm")
    hidden = saved.config.hidden_size
    mood = direction(0, hidden)
    neuron = Target(name="unit", layer=1, state="h", mean=0.2, sd=0.1, unit=3)
    packed, ids = pack(saved, 16, targets=[mood, neuron]), some_ids(saved)
    edits = (
        neuron.edit(0.0, 0.7),
        mood.edit(0.0, 0.1 - 2 * 0.5),
        mood.edit(0.0, 0.1 + 1 * 0.5),
        Target(name="c", layer=0, state="c", mean=0, sd=1, unit=2).edit(0.0, -0.4),
    )
    holds: list[dict[str, Any]] = [
        {"direction": 1, "amount": 5},
        {"direction": 0, "amount": 2},
        {"direction": 0, "amount": -1},
        {"quantity": "cell", "layer": 0, "unit": 2, "value": -0.4},
    ]
    rows = expected(packed, saved.config, ids, edits)
    assert difference(rows, read(load(packed), ids, holds)) < TOLERANCE
    assert difference(rows, read(load(packed), ids)) > 0.01


def test_a_gate_is_held_open_and_closed(load: Load) -> None:
    """With a forget gate of 1 and an input gate of 0 the memory of a layer stays as it is."""
    saved = two_layers("lstm")
    packed, ids = pack(saved, 16), some_ids(saved, 20)
    hidden, names = saved.config.hidden_size, list(packed.description["quantities"])
    holds: list[dict[str, Any]] = [
        {"quantity": "forget-gate", "layer": 1, "unit": None, "value": 1},
        {"quantity": "input-gate", "layer": 1, "unit": 0, "value": 0},
    ]
    rows = read(load(packed), [0, *[token for token in ids if token]], holds)
    at = {name: 1 + names.index(name) for name in names}
    for before, row in pairwise(rows):
        assert set(row[at["forget-gate"]][hidden:]) == {1}
        assert row[at["input-gate"]][hidden] == 0 != row[at["input-gate"]][hidden + 1]
        assert row[at["cell"]][hidden] == before[at["cell"]][hidden]
        assert row[at["cell"]][hidden + 1] != before[at["cell"]][hidden + 1]
        assert 1 not in row[at["forget-gate"]][:hidden]


def test_a_fixed_history_begins_from_zero_at_each_symbol(load: Load) -> None:
    """The state of the last symbols alone, and no influence of what stands before them."""
    saved = model_of("history")
    packed, ids = pack(saved, 16), some_ids(saved, 40)
    ids[20] = 0  # what stands before the mark of an end is not seen either
    rows = read(load(packed), [0, *ids])
    network = NumpyNetwork(saved.config, packed.weights)
    for place in range(len(rows)):
        seen = [0, *ids][: place + 1][-saved.history :]
        seen = seen[len(seen) - 1 - seen[::-1].index(0) :] if 0 in seen else seen
        state = network.zero_state()
        for token in seen:
            logits, state = network.step(token, state)
        assert np.abs(rows[place][0] - logits[0]).max() < TOLERANCE, place
        assert np.abs(rows[place][1] - state[0]["c"][0]).max() < TOLERANCE, place
    shares = load(packed).execute_script(
        "const seen = network.start(); network.step(seen, 0);"
        "const found = network.influenceInSlices(arguments[0], () => [], seen);"
        "for (;;) { const { done, value } = found.next(); if (done) return Array.from(value); }",
        ids[:20],
    )
    assert set(shares[: 20 - saved.history]) == {0} and 0 not in shares[20 - saved.history :]
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("name", [*KINDS, "byte", "word"])
def test_influence_is_the_gradient(name: str, load: Load) -> None:
    saved = two_layers(name)
    packed, vocabulary = pack(saved, 16), saved.vocabulary
    ids = vocabulary.encode("Рыжий кот молчит в старом саду. Ёжик ест.")
    network = NumpyNetwork(saved.config, packed.weights)
    pieces = vocabulary.pieces(ids)
    view = influence_view(network, packed.weights, ids, pieces, vocabulary, by=("gradient",))
    shares = load(packed).execute_script(
        "return Array.from(network.influence(arguments[0]))", ids.tolist()
    )
    shown = [share for share, piece in zip(shares, pieces, strict=True) if piece]
    assert np.abs(np.array(shown) - np.array(view.rows[0].values)).max() < TOLERANCE
    assert all(share == 0 for share, piece in zip(shares, pieces, strict=True) if not piece)


def test_what_is_held_has_no_influence_behind_it(load: Load) -> None:
    """Of a state that is held entirely nothing flows back, nor along a direction."""
    saved = two_layers("lstm")
    packed = pack(saved, 16, targets=[direction(1, saved.config.hidden_size)])
    script = "return Array.from(network.influence([5, 6, 7, 8], arguments[0]))"
    browser = load(packed)
    free, along, held = (
        browser.execute_script(script, holds)
        for holds in (
            [],
            [{"direction": 0, "amount": 1}],
            [
                {"quantity": "hidden", "layer": layer, "unit": None, "value": 0.5}
                for layer in (0, 1)
            ],
        )
    )
    assert sum(free) == pytest.approx(1) == sum(along)
    assert free != pytest.approx(along, abs=1e-4)
    assert held == [0, 0, 0, 0]


EQUATIONS = """
const [ids, layer, unit, holds] = arguments;
const state = network.start();
let before, step;
for (const id of ids) {
  before = state.copy();
  step = network.step(state, id, holds);
}
return network.equations(layer, unit, before, step);
"""


def test_the_equations_have_the_numbers_of_a_unit(load: Load) -> None:
    saved = two_layers("depth-gated")
    packed, ids = pack(saved, 16), [0, 5, 6]
    browser = load(packed)
    rows = read(browser, ids)
    names, hidden = list(packed.description["quantities"]), saved.config.hidden_size
    at = hidden + 2

    def value(row: int, name: str, place: int = at) -> float:
        return float(rows[row][1 + names.index(name)][place])

    lines = {line["name"]: line for line in browser.execute_script(EQUATIONS, ids, 1, 2, [])}
    assert lines["f_t"]["formula"] == "σ(W_f · [h_{t-1}, x_t] + w_f * C_{t-1} + b_f)"
    forget = value(2, "forget-gate")
    assert lines["f_t"]["value"] == pytest.approx(forget)
    assert lines["f_t"]["numbers"] == f"σ({np.log(forget / (1 - forget)):.3f})"
    numbers = [
        (value(2, "depth-gate"), value(2, "cell", 2)),
        (forget, value(1, "cell")),
        (value(2, "input-gate"), value(2, "candidate")),
    ]
    assert sum(a * b for a, b in numbers) == pytest.approx(value(2, "cell"), abs=1e-6)
    shown = " + ".join(
        " * ".join(f"({each:.3f})" if each < 0 else f"{each:.3f}" for each in pair)
        for pair in numbers
    )
    assert lines["C_t"]["formula"] == "d_t * C^b_t + f_t * C_{t-1} + i_t * C̃_t"
    assert lines["C_t"]["numbers"] == shown
    hold = {"quantity": "forget-gate", "layer": 1, "unit": 2, "value": 1}
    held = {line["name"]: line for line in browser.execute_script(EQUATIONS, ids, 1, 2, [hold])}
    assert (held["f_t"]["isHeld"], held["f_t"]["value"], held["f_t"]["numbers"]) == (True, 1, "")
    assert not held["i_t"]["isHeld"]


def test_the_rnn_says_its_function(load: Load) -> None:
    browser = load(pack(two_layers("relu"), 16))
    (line,) = browser.execute_script(EQUATIONS, [0, 5], 0, 1, [])
    assert (line["name"], line["formula"]) == ("h_t", "relu(W · [h_{t-1}, x_t] + b)")


def test_influence_can_begin_in_the_middle_of_a_text(load: Load) -> None:
    """From the state before them, the last symbols have the shares among them that they have in
    the whole text; and what is held may differ from symbol to symbol."""
    script = """
    const [ids, first, hold] = arguments;
    const holdsAt = (number) => (number >= first ? [hold] : []);
    const state = network.start();
    for (const id of [0, ...ids.slice(0, first)]) network.step(state, id, holdsAt(-1));
    const shares = (slices) => {
      let step = slices.next();
      while (!step.done) step = slices.next();
      return Array.from(step.value);
    };
    const whole = shares(network.influenceInSlices(ids, holdsAt));
    const last = ids.slice(first);
    const before = JSON.stringify(state);
    const part = shares(network.influenceInSlices(last, (n) => holdsAt(n + first), state));
    return [whole, part, before === JSON.stringify(state)];
    """
    ids = [token for token in some_ids(two_layers("gru"), 40) if token]
    hold = {"quantity": "update-gate", "layer": 0, "unit": 1, "value": 0.9}
    browser = load(pack(two_layers("gru"), 16))
    whole, part, is_same = browser.execute_script(script, ids, 20, hold)
    last = np.array(whole[20:])
    assert np.array(part) == pytest.approx(last / last.sum(), abs=1e-6)
    assert sum(part) == pytest.approx(1) and is_same


#: What a person may type or paste, and what nobody would.
HOSTILE = (
    "Рыжий кот, it's “quoted” — don’t; 12½ kg ²³ Ⅷ\r\nbare\rend\n\r\n"
    "e\u0301 é й и\u0306 \u1e96 h\u0331 क्षि नमस्ते ΣΟΦΟΣ ΑΣ İı ß ẞ\u00adsoft\ufeffmark "
    "👩\u200d🔬 \U0001f1f2\U0001f1f0 𝒳 \u0000\u001b[31m\u2028</script> a''b ’c’ d'1 _x_ 'ё "
    f"{'ж' * 150} {'é' * 65} {'д' * 64}'т  two  spaces\t가각\u1100\u1161 \u0301alone"
)
LEVELS = ("lstm", "byte", "word", "folded", "words", "words-folded")


@pytest.mark.parametrize("name", LEVELS)
def test_a_text_is_read_as_python_reads_it(name: str, load: Load) -> None:
    saved = model_of(name)
    browser = load(pack(saved, 16))
    rng = np.random.default_rng(4)
    texts = [HOSTILE, "", " ", "'", "Кот", *WORDS]
    texts += ["".join(rng.choice(list(HOSTILE), 40).tolist()) for _ in range(200)]
    found = browser.execute_script("return arguments[0].map((t) => network.encode(t))", texts)
    for text, one in zip(texts, found, strict=True):
        normal = saved.normalization.apply(text)
        assert one["ids"] == saved.vocabulary.encode(normal).tolist(), text
        assert "".join(one["pieces"]) == normal, text
        assert one["unknown"] == [k for k, token in enumerate(one["ids"]) if token == 1]


def test_lone_surrogates_are_read_and_nothing_breaks(load: Load) -> None:
    """No text holds them, but half an emoji can be pasted."""
    for name in LEVELS:
        saved = model_of(name)
        script = "return network.encode('a\\ud83d' + 'b\\udc00').ids"
        expected = saved.vocabulary.encode(saved.normalization.apply("a\ud83db\udc00"))
        assert load(pack(saved, 16)).execute_script(script) == expected.tolist(), name


@pytest.mark.parametrize("name", LEVELS)
def test_what_is_written_reads_as_in_python(name: str, load: Load) -> None:
    saved = model_of(name)
    browser = load(pack(saved, 16))
    assert browser.execute_script("return network.labels") == [
        label_of(saved.vocabulary, token) for token in range(len(saved.vocabulary))
    ]
    for seed in range(20):
        ids = np.random.default_rng(seed).integers(0, len(saved.vocabulary), 40)
        script = "return network.vocabulary.pieces(arguments[0])"
        pieces = browser.execute_script(script, ids.tolist())
        if name == "byte":  # Of bytes that are no text, Python waits for one more.
            assert "".join(pieces) == saved.vocabulary.decode(ids)
        else:
            assert pieces == saved.vocabulary.pieces(ids)
    ids = saved.vocabulary.encode("Ёж é 👩 кот")
    assert browser.execute_script(script, ids.tolist()) == saved.vocabulary.pieces(ids)


def test_words_are_cut_alike_for_all_characters(load: Load) -> None:
    """Of every character that Python knows; a browser may know more."""
    saved = model_of("words")
    script = """
    return arguments[0].filter(([text, count]) => network.encode(text).ids.length !== count);
    """
    known = [
        chr(point)
        for point in [*range(1, 0xD800), *range(0xE000, 0x20000)]
        if unicodedata.category(chr(point)) != "Cn"
    ]
    texts = [f"a{char}a" for char in known]
    keep = Normalization(newlines=False, nfc=False)
    counts = [len(saved.vocabulary.encode(keep.apply(text))) for text in texts]
    browser = load(pack(replace(saved, normalization=keep), 16))
    assert browser.execute_script(script, list(zip(texts, counts, strict=True))) == []


def test_a_draw_keeps_to_its_settings(load: Load) -> None:
    browser = load(pack(model_of("lstm"), 16))
    logits = np.log([0.5, 0.3, 0.15, 0.05]).tolist()
    script = """
    const counts = [0, 0, 0, 0];
    for (let k = 0; k < 1000; k++) {
      const random = () => (k + 0.5) / 1000;
      counts[sample(Float32Array.from(arguments[0]), { ...arguments[1], random })]++;
    }
    return counts;
    """

    def drawn(**settings: float) -> list[int]:
        counts: list[int] = browser.execute_script(script, logits, settings)
        return counts

    assert drawn() == [500, 300, 150, 50]
    assert drawn(topP=0.8) == [625, 375, 0, 0]
    assert drawn(topP=0.81) == pytest.approx([526, 316, 158, 0], abs=1)
    assert drawn(temperature=0) == [1000, 0, 0, 0]
    assert drawn(temperature=0.5) == pytest.approx([685, 247, 62, 7], abs=1)
    assert drawn(temperature=1e-6) == [1000, 0, 0, 0]


def test_what_is_never_written_is_not_drawn(load: Load) -> None:
    script = "return Array.from(network.writable(new Float32Array(arguments[0]), arguments[1]))"
    for name in ("lstm", "documents", "word"):
        saved = model_of(name)
        browser = load(pack(saved, 16))
        size, junctions = len(saved.vocabulary), saved.vocabulary.junctions
        for before in range(0, size, 7):
            allowed = browser.execute_script(script, size, before)
            for token, logit in enumerate(allowed):
                banned = token == 1 or (token == 0 and not saved.writes_documents)
                if junctions:
                    banned |= (junctions[before] >> 4) + (junctions[token] & 15) > 2
                assert (logit is None or logit == -np.inf) == bool(banned), (name, before, token)


def test_a_description_is_plain_data() -> None:
    for name in KINDS:
        json.dumps(pack(two_layers(name), 16).description, allow_nan=False)


GREEDY = """
const [seed, length] = arguments;
const state = network.start();
const { ids } = network.encode(seed);
let { logits } = network.step(state, network.end);
for (const id of ids) ({ logits } = network.step(state, id));
const decoder = new Decoder(network.vocabulary, { isStart: false });
let text = seed;
for (let k = 0; k < length; k++) {
  const id = sample(network.writable(logits, ids.at(-1)), { temperature: 0 });
  if (id === network.end) break;
  text += decoder.feed(id);
  ids.push(id);
  ({ logits } = network.step(state, id));
}
return text;
"""


@pytest.mark.parametrize(
    ("name", "bits", "seed"),
    [
        ("shakespeare", 16, "The king "),
        pytest.param("dostoevsky", 8, "Он вошел в комнату и", marks=pytest.mark.slow),
    ],
)
def test_the_likeliest_text_of_a_shipped_model_is_pythons(
    name: str, bits: int, seed: str, load: Load
) -> None:
    """With as many bits as its page has."""
    model = textgen.load(name)
    browser = load(pack(model.saved, bits))
    browser.set_script_timeout(600)
    text = model.generate(seed, length=1000, temperature=0.0, mix=False)
    assert browser.execute_script(GREEDY, seed, 1000) == text
    assert len(text) == len(seed) + 1000
