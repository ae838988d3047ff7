"""What is said of neurons: figures against plain arrays, planted features found, noise let be."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from textgen.cells import get_cell
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import InspectionError
from textgen.inspection.association import BINS, Association, Scale
from textgen.inspection.features import FEATURES, feature_values
from textgen.inspection.neuron_stats import neuron_stats
from textgen.inspection.neurons import NeuronSurvey, stretch_length, survey_neurons
from textgen.inspection.passages import DISTANCE, Highest
from textgen.inspection.trace import Trace, trace, trace_chunks

LSTM = get_cell("lstm")
Floats = NDArray[np.float32]
#: Values of one layer after each token: `(N,) ids -> (N, units)`.
Plant = Callable[[NDArray[np.integer]], Floats]


def prose(chars: int, seed: int = 1) -> str:
    """Words, quotations, lines: every character drawn anew, so no stretch repeats another."""
    rng = random.Random(seed)
    out: list[str] = []
    while sum(map(len, out)) < chars:
        words = ["".join(rng.choices("абвеиолнст", k=rng.randint(1, 9))) for _ in range(5)]
        words[rng.randrange(5)] = rng.choice(words).capitalize()
        line = " ".join(words)
        out.append(f"«{line}», {rng.choice(words)}.\n" if rng.random() < 0.4 else f"{line}!\n")
    return "".join(out)[:chars]


TEXT = prose(12_000)
VOCABULARY = Vocabulary.from_characters(TEXT)
IDS = VOCABULARY.encode(TEXT)


def chunks_of(
    arrays: dict[int, Floats], ids: NDArray[np.integer], quantity: str, seed: int = 0
) -> Iterator[Trace]:
    """Planted values as a survey gives them: chunks of many stretches, rows in no order."""
    order = np.random.default_rng(seed).permutation(len(ids))
    for start in range(0, len(ids), 1000):
        rows = order[start : start + 1000]
        yield Trace(
            ids=np.asarray(ids)[rows].astype(np.int64),
            places=rows,
            pieces=("",) * len(rows),
            arrays={f"layers.{layer}.{quantity}": v[rows] for layer, v in arrays.items()},
            units={layer: np.arange(v.shape[1]) for layer, v in arrays.items()},
            nats=np.empty(0),
            next_ids=np.empty((0, 0), np.int64),
            next_probabilities=np.empty((0, 0), np.float32),
            final_state=[],
        )


def planted(
    arrays: dict[int, Floats],
    ids: NDArray[np.integer] = IDS,
    vocabulary: Vocabulary = VOCABULARY,
    *,
    quantity: str = "hidden",
    **settings: object,
) -> NeuronSurvey:
    """A survey of a text that fits one block."""
    return survey_neurons(
        lambda part: chunks_of(arrays, part, quantity),
        ids,
        vocabulary,
        LSTM,
        quantity=quantity,
        **settings,  # type: ignore[arg-type]
    )


def noise(units: int, scale: float = 0.1, seed: int = 3) -> Floats:
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal((len(IDS), units))).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("inside-quotes", 1),
        ("inside-quotes", -1),
        ("vowel", 1),
        ("position-in-line", -1),
        ("capital", 1),
        ("position-in-word", 1),
    ],
)
def test_a_planted_feature_is_found_with_its_score(name: str, sign: int) -> None:
    feature = feature_values(name, TEXT).astype(np.float64)
    feature /= feature.max()
    values = noise(1) + 0.5 * sign * feature[:, None].astype(np.float32)
    survey = planted({0: values})
    (profile,) = survey.report([(0, 0)]).profiles
    assert profile.follows is not None
    assert profile.follows.feature == name
    scoring = np.arange(len(IDS)) // survey.stretch % 2 == 1
    expected = np.corrcoef(values[scoring, 0], feature[scoring])[0, 1]
    assert profile.follows.correlation == pytest.approx(expected, abs=1e-5)
    expected = np.corrcoef(values[~scoring, 0], feature[~scoring])[0, 1]
    assert profile.follows.chosen == pytest.approx(expected, abs=1e-5)
    if FEATURES[name].graded:
        assert profile.follows.auc is None
    else:
        true, false = values[scoring & (feature > 0), 0], values[scoring & (feature == 0), 0]
        below = np.searchsorted(np.sort(false), true).mean() / len(false)
        assert profile.follows.auc == pytest.approx(below, abs=0.01)


def test_noise_follows_nothing_and_a_constant_has_no_best() -> None:
    values = noise(40)
    values[:, 7] = 0.25
    survey = planted({0: values})
    for profile in survey.report(survey.neurons).profiles:
        assert profile.follows is None
        assert (profile.best is None) == (profile.stats.unit == 7)


def test_what_held_only_where_it_was_chosen_is_not_followed() -> None:
    """The score is that of the other half: dropping the split would call this one a vowel."""
    stretch = stretch_length(len(IDS))
    choosing = np.arange(len(IDS)) // stretch % 2 == 0
    vowel = feature_values("vowel", TEXT)
    values = noise(2)
    values[choosing & vowel] += 1
    values[~choosing, 1] -= vowel[~choosing]  # and this one turns its sign
    survey = planted({0: values})
    for profile in survey.report(survey.neurons).profiles:
        assert profile.best is not None
        assert (profile.best.feature, profile.follows) == ("vowel", None)
        assert profile.best.chosen == pytest.approx(0.98, abs=0.02)
    assert abs(survey.report([(0, 0)]).profiles[0].best.correlation or 1) < 0.05  # type: ignore[union-attr]


def test_a_feature_that_is_constant_on_a_half_cannot_be_chosen() -> None:
    stretch = stretch_length(4096)
    text = ("абв " * stretch)[:stretch]
    marked = ("а12 " * stretch)[:stretch]
    text = (text + marked) * (4096 // stretch // 2)
    vocabulary = Vocabulary.from_characters(text)
    ids = vocabulary.encode(text)
    digit = feature_values("digit", text)
    (profile,) = (
        planted({0: digit[:, None].astype(np.float32)}, ids, vocabulary).report([(0, 0)]).profiles
    )
    (score,) = [score for score in profile.scores if score.feature == "digit"]
    assert score.chosen is None
    assert score.correlation == pytest.approx(1.0)
    assert profile.best is None or profile.best.feature != "digit"


@pytest.mark.parametrize("quantity", ["cell", "hidden", "forget-gate"])
def test_figures_are_those_of_a_plain_trace(
    make_network: Callable[..., object], quantity: str
) -> None:
    text = prose(2000, seed=4)
    vocabulary = Vocabulary.from_characters(text)
    network = make_network(vocab_size=len(vocabulary))
    ids = np.concatenate([vocabulary.encode(text[:1100]), [END_ID], vocabulary.encode(text[1100:])])
    survey = survey_neurons(
        lambda part: trace_chunks(network, part, quantities=[quantity], chunk=700),
        ids,
        vocabulary,
        LSTM,
        quantity=quantity,
    )
    plain = trace(network, ids, quantities=[quantity])
    profiles = survey.report(survey.neurons).profiles
    for profile, expected in zip(profiles, neuron_stats(plain), strict=True):
        assert profile.stats.neuron == expected.neuron
        for name in ("mean", "sd", "minimum", "maximum", "effect"):
            assert getattr(profile.stats, name) == pytest.approx(
                getattr(expected, name), rel=1e-5, abs=1e-6
            )
        values = plain.values(*expected.neuron)
        if quantity == "forget-gate":
            assert profile.saturation is not None
            assert profile.saturation.closed == (values < 0.1).mean()
            assert profile.saturation.open == (values > 0.9).mean()
        else:
            assert profile.saturation is None
        seen = np.tanh(values) if quantity == "cell" else values
        low = 0.0 if quantity == "forget-gate" else -1.0
        counts, _ = np.histogram(seen, BINS, (low, 1.0))
        # A value on an edge may fall to either side.
        assert np.abs(profile.histogram - counts).sum() <= 4
        inside = np.flatnonzero(ids != END_ID)
        assert profile.highest[0].place == inside[values[inside].argmax()]
        assert profile.lowest[0].place == inside[values[inside].argmin()]
        assert profile.highest[0].value == values[inside].max()
    assert (
        survey.order("effect")[0] == max(neuron_stats(plain), key=lambda stats: stats.effect).neuron
    )


def test_passages_are_the_highest_places_apart_from_each_other() -> None:
    values = noise(1)
    peaks = {3000: 5.0, 3010: 4.9, 700: 4.0, 9000: 3.5, 9100: 3.4, 11_990: 3.0}
    for place, value in peaks.items():
        values[place] = value
    (profile,) = planted({0: values}, passages=4, detail=[(0, 0)]).report([(0, 0)]).profiles
    assert [passage.place for passage in profile.highest] == [3000, 700, 9000, 9100]
    assert [passage.value for passage in profile.highest] == [5.0, 4.0, 3.5, pytest.approx(3.4)]
    for passage in (*profile.highest, *profile.lowest):
        assert passage.at == TEXT[passage.place]
        assert TEXT[: passage.place].endswith(passage.before)
        assert TEXT[passage.place + 1 :].startswith(passage.after)
        first = passage.place - passage.mark
        assert passage.values is not None
        assert np.array_equal(passage.values, values[first : first + len(passage.pieces), 0])
    assert profile.lowest[0].value == values.min()
    (plain,) = planted({0: values}, passages=4).report([(0, 0)]).profiles
    assert plain.highest[0].values is None


def test_the_same_passage_is_shown_once() -> None:
    text = "Начало: " + "одно и то же предложение, длинное. " * 300
    vocabulary = Vocabulary.from_characters(text)
    ids = vocabulary.encode(text)
    values = np.array([[char == "."] for char in text], np.float32)
    (profile,) = planted({0: values}, ids, vocabulary, passages=5).report([(0, 0)]).profiles
    assert [passage.at for passage in profile.highest] == ["."]


def test_a_plateau_gives_passages_apart() -> None:
    values = np.ones((len(IDS), 1), np.float32)
    (profile,) = planted({0: values}, passages=5).report([(0, 0)]).profiles
    assert len(profile.highest) == 5
    assert np.diff(sorted(passage.place for passage in profile.highest)).min() >= DISTANCE


def test_a_feature_that_hardly_occurs_is_not_chosen() -> None:
    text = list(TEXT)
    stretch = stretch_length(len(text))
    places = [half * stretch + 17 * k for half in range(2) for k in range(1, 7)]
    for place in places:
        text[place] = "7"
    vocabulary = Vocabulary.from_characters(text)
    values = noise(1)
    values[places] = 40
    ids = vocabulary.encode("".join(text))
    (profile,) = planted({0: values}, ids, vocabulary).report([(0, 0)]).profiles
    assert profile.best is not None
    assert profile.best.feature != "digit"


def test_highest_of_many_chunks_in_any_order_is_that_of_all() -> None:
    rng = np.random.default_rng(2)
    values = rng.standard_normal((5000, 9)).astype(np.float32)
    places = rng.permutation(5000)
    for lowest in (False, True):
        highest = Highest(9, 2, lowest=lowest)
        for start in range(0, 5000, 333):
            highest.add(values[start : start + 333], places[start : start + 333])
        for unit in range(9):
            column = values[:, unit]
            best = column.argmin() if lowest else column.argmax()
            assert highest.found(unit)[0] == (places[best], column[best])


def test_passages_of_bytes_and_documents() -> None:
    text = "Ёжик€ шёл по лесу 日本"
    vocabulary = Vocabulary.utf8()
    ids = np.concatenate([vocabulary.encode("до"), [END_ID], vocabulary.encode(text * 9), [END_ID]])
    values = np.zeros((len(ids), 2), np.float32)
    values[4] = 9  # the end mark itself is no passage
    values[5 + 10, 0] = 2  # the last byte of the euro sign, and its first
    values[5 + 8, 1] = 2
    values[5, 1] = -1
    first, second = planted({0: values}, ids, vocabulary).report([(0, 0), (0, 1)]).profiles
    for profile in (first, second):
        assert (profile.highest[0].before, profile.highest[0].at) == ("Ёжик", "€")
        assert text.startswith("Ёжик€" + profile.highest[0].after[:10])
    assert (second.lowest[0].before, second.lowest[0].at) == ("", "Ё")
    for passage in (*first.highest, *first.lowest):
        assert "\ufffd" not in "".join(passage.pieces)


def test_words_as_tokens() -> None:
    text = TEXT[:4000]
    words = {f" {word}": 1 for word in text.replace("\n", " ").split(" ") if word.isalpha()}
    vocabulary = Vocabulary.from_words(set(text), words)
    ids = vocabulary.encode(text)
    pieces = vocabulary.pieces(ids)
    assert max(map(len, pieces)) > 2
    length = np.array([float(len(piece) > 1) for piece in pieces], np.float32)
    (profile,) = planted({0: length[:, None]}, ids, vocabulary).report([(0, 0)]).profiles
    assert profile.follows is not None
    assert profile.follows.feature in ("position-in-word", "word-end", "word-length")
    assert profile.highest[0].at == pieces[profile.highest[0].place]


def test_blocks_give_what_one_block_gives() -> None:
    values = noise(3)
    values[:, 1] += feature_values("inside-quotes", TEXT)

    def survey(part: NDArray[np.integer]) -> Iterator[Trace]:
        start = next(s for s in range(len(IDS)) if np.array_equal(IDS[s : s + len(part)], part))
        return chunks_of({0: values[start : start + len(part)]}, part, "hidden")

    whole = planted({0: values}, detail=[(0, 1)]).report([(0, 1), (0, 2)])
    cut = survey_neurons(
        survey, IDS, VOCABULARY, LSTM, quantity="hidden", block=2500, detail=[(0, 1)]
    ).report([(0, 1), (0, 2)])
    for one, other in zip(whole.profiles, cut.profiles, strict=True):
        assert one.stats.mean == pytest.approx(other.stats.mean, abs=1e-6)
        assert one.best is not None and other.best is not None
        assert one.best.feature == other.best.feature
        assert one.best.correlation == pytest.approx(other.best.correlation, abs=0.01)
        assert [p.place for p in one.highest] == [p.place for p in other.highest]
        assert np.array_equal(one.histogram, other.histogram)
    (first, *_) = cut.profiles[0].highest
    assert first.values is not None
    assert first.values[first.mark] == np.float32(first.value)


def test_memory_does_not_grow_with_the_text() -> None:
    def peak(times: int) -> int:
        ids = np.tile(IDS, times)

        def survey(part: NDArray[np.integer]) -> Iterator[Trace]:
            for start in range(0, len(part), 1000):
                rows = np.arange(start, min(start + 1000, len(part)))
                values = np.sin(rows[:, None] * np.arange(1.0, 12.0)).astype(np.float32)
                chunk = next(chunks_of({0: values}, part[rows], "hidden"))
                yield Trace(**{**vars(chunk), "places": chunk.places + start})

        tracemalloc.start()
        try:
            survey_neurons(survey, ids, VOCABULARY, LSTM, quantity="hidden", block=4000)
            return tracemalloc.get_traced_memory()[1] - ids.nbytes
        finally:
            tracemalloc.stop()

    assert peak(9) < 1.1 * peak(3)


def test_association_against_plain_arithmetic() -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((3000, 4)) * [1, 5, 0.01, 1] + [0, 900, 3, 0]).astype(np.float32)
    graded = np.array([True, False])
    features = np.stack([np.arange(3000.0) * 100, rng.random(3000) < 0.3], 1).astype(np.float32)
    scoring = rng.random(3000) < 0.5
    association = Association(4, graded, Scale(-1, 1, squeezed=True))
    for rows in np.array_split(rng.permutation(3000), 7):
        association.add(values[rows], features[rows], scoring[rows])
    for half in (0, 1):
        rows = scoring == bool(half)
        expected = np.corrcoef(values[rows].T, features[rows].T)[:4, 4:]
        np.testing.assert_allclose(association.correlations(half), expected, atol=2e-4)
    np.testing.assert_allclose(association.spreads(), values.std(axis=0), rtol=1e-3)
    assert association.counts() == ((~scoring).sum(), scoring.sum())
    assert association.histograms().sum(axis=1).tolist() == [3000] * 4
    edges = Scale(-1, 1, squeezed=True).edges()
    assert (edges[0], edges[BINS // 2], edges[-1]) == (-np.inf, 0, np.inf)
    counts, _ = np.histogram(values[:, 0], edges[1:-1])
    assert np.array_equal(association.histograms()[0, 1:-1], counts)


def test_the_report_in_every_form() -> None:
    values = noise(3)
    values[:, 1] += feature_values("vowel", TEXT)
    survey = planted({0: values, 1: noise(3, seed=8)}, detail=[(0, 1)])
    report = survey.report(survey.order()[:4])
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert (data["tokens"], data["total"], len(data["neurons"])) == (len(IDS), 6, 4)
    first = data["neurons"][0]
    assert (first["layer"], first["unit"], first["follows"]) == (0, 1, "vowel")
    assert first["saturation"] is None
    assert len(first["highest"][0]["values"]) == len(first["highest"][0]["tokens"])
    assert report.table().records()[0]["follows"] == "vowel"
    arrays = report.to_arrays()
    assert all(array.dtype != object for array in arrays.values())
    assert arrays["correlation"].shape == (4, len(FEATURES))
    assert arrays["features"].tolist() == list(FEATURES)
    assert arrays["highest_place"][0, 0] == report.profiles[0].highest[0].place


def test_orders() -> None:
    values = noise(4)
    values[:, 2] += feature_values("vowel", TEXT)
    values[:, 3] += 7
    survey = planted({0: values})
    assert survey.order()[0] == survey.order("sd")[0] == survey.order("feature-score")[0] == (0, 2)
    assert survey.order("mean")[0] == survey.order("max")[0] == survey.order("min")[0] == (0, 3)
    assert survey.order("place") == [(0, 0), (0, 1), (0, 2), (0, 3)]
    gates = planted(
        {0: np.tile(np.array([0.05, 0.5, 0.95], np.float32), (len(IDS), 1))}, quantity="forget-gate"
    )
    assert gates.order("saturation") == [(0, 0), (0, 2), (0, 1)]
    with pytest.raises(InspectionError, match="has no saturation, only gates"):
        survey.order("saturation")
    with pytest.raises(InspectionError, match="no order 'size'; choose one of: effect"):
        survey.order("size")
    with pytest.raises(InspectionError, match="9:0 is not in this survey, which has layers 0"):
        survey.report([(9, 0)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": [2]}, "no neuron 2:0"),
        ({"detail": [(0, 99)]}, "no neuron 0:99"),
        ({"quantity": "reset-gate"}, "no 'reset-gate'"),
    ],
)
def test_what_is_not_there(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        planted({0: noise(2)}, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 5, 300])
def test_a_short_text(count: int) -> None:
    values = noise(2)[:count]
    (profile, _) = planted({0: values}, IDS[:count]).report([(0, 0), (0, 1)]).profiles
    assert profile.highest[0].value == values[:, 0].max()
    with pytest.raises(InspectionError, match="the text is empty"):
        planted({0: values}, IDS[:0])


def test_many_blocks(make_network: Callable[..., object]) -> None:
    """Through a real network's arithmetic, in many blocks' worth of text."""
    ids = np.tile(IDS, 84)[:300_000]
    weights = np.random.default_rng(1).standard_normal((len(VOCABULARY), 6)).astype(np.float32)

    def survey(part: NDArray[np.integer]) -> Iterator[Trace]:
        """A network without memory: a value for each symbol."""
        for start in range(0, len(part), 50_000):
            stretch = part[start : start + 50_000]
            yield Trace(
                ids=stretch.astype(np.int64),
                places=np.arange(start, start + len(stretch)),
                pieces=(),
                arrays={"layers.0.hidden": np.tanh(weights[stretch])},
                units={0: np.arange(6)},
                nats=np.empty(0),
                next_ids=np.empty((0, 0), np.int64),
                next_probabilities=np.empty((0, 0), np.float32),
                final_state=[],
            )

    found = survey_neurons(survey, ids, VOCABULARY, LSTM, quantity="hidden")
    report = found.report(found.neurons)
    assert report.tokens == report.chosen_on + report.scored_on == 300_000
    for profile in report.profiles:
        values = np.tanh(weights[ids, profile.stats.unit])
        assert profile.stats.mean == pytest.approx(values.mean(dtype=np.float64), abs=1e-6)
        assert profile.histogram.sum() == 300_000


@pytest.mark.parametrize("count", [299, 300])
def test_below_so_many_tokens_nothing_is_followed(count: int) -> None:
    own = feature_values("vowel", TEXT[:count]).astype(np.float32)[:, None]
    report = planted({0: own}, IDS[:count]).report([(0, 0)])
    (profile,) = report.profiles
    assert profile.best is not None and profile.best.holds(report.threshold)
    assert report.too_short == (count < 300) == (profile.follows is None)
