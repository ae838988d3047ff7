"""A text steered by hand is the text that its schedule writes, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import islice

import numpy as np
import pytest
from support.form_checks import keeps
from test_native_step import BYTES, CHARS, StepByStep, config_of, ids_of, native, weights_of

from textgen.corpus.vocabulary import Vocabulary
from textgen.model.numpy_network import NumpyNetwork
from textgen.native.library import supported_isas
from textgen.sampling import Generation, LiveSymbol, SampleOptions, generate_live, stream_text
from textgen.sampling.forms import form_of
from textgen.steering import LiveSteering, SteeringPlan, Target, parse_specs

WORDS = Vocabulary.from_words("абвг .\n", {" абв": 9, " где": 5, "аб": 3, " аааа": 2})
FOLDED = Vocabulary.from_words("абвг ", {" абв": 9, " где": 5, " аб": 3}, folded=True)
LEVELS = {"char": CHARS, "byte": BYTES, "word": WORDS, "folded": FOLDED}


def target(name: str) -> Target:
    """A neuron by `layer:unit.state`, or a direction of the second layer."""
    if name == "mood":
        read = np.random.default_rng(4).normal(size=20).astype(np.float32)
        read /= np.linalg.norm(read)
        vectors = {"read": read, "write": read.copy(), "sign": -1}
        return Target(name=name, layer=1, state="c", mean=0.1, sd=0.7, **vectors)  # type: ignore[arg-type]
    place, state = name.split(".")
    layer, unit = map(int, place.split(":"))
    return Target(name=name, layer=layer, state=state, mean=0.2, sd=1.5, unit=unit)  # type: ignore[arg-type]


def plan(*specs: str) -> SteeringPlan:
    return SteeringPlan(parse_specs(specs, target))


def network_of(vocabulary: Vocabulary, cell: str = "lstm") -> object:
    if supported_isas():
        return native(vocabulary, cell)
    config = config_of(vocabulary, cell)
    return NumpyNetwork(config, weights_of(config))


def write(
    steering: LiveSteering,
    keys: Mapping[int, Callable[[LiveSteering], object]],
    *,
    vocabulary: Vocabulary = CHARS,
    network: object = None,
    options: SampleOptions | None = None,
    seed: str = "аб",
    symbols: int | None = None,
) -> list[LiveSymbol]:
    """Let a hand press keys: each after the symbol of that number."""
    made = []
    stream = generate_live(
        network or network_of(vocabulary),  # type: ignore[arg-type]
        vocabulary,
        options or SampleOptions(length=90, rng=5, temperature=1.0),
        steering,
        seed_ids=ids_of(seed, vocabulary),
    )
    for number, symbol in enumerate(islice(stream, symbols)):
        made.append(symbol)
        keys.get(number, lambda _: None)(steering)
    return made


def replay(
    spec: list[str],
    length: int,
    *,
    vocabulary: Vocabulary = CHARS,
    network: object = None,
    seed: str = "аб",
    **settings: object,
) -> Generation:
    options = SampleOptions(**{"rng": 5, "temperature": 1.0, **settings}, length=length)  # type: ignore[arg-type]
    return Generation.from_symbols(
        stream_text(
            network or network_of(vocabulary),  # type: ignore[arg-type]
            vocabulary,
            options,
            seed_ids=ids_of(seed, vocabulary),
            steering=plan(*spec),
        )
    )


def hand(number: int) -> dict[int, Callable[[LiveSteering], object]]:
    """Some seventy key presses at chance moments."""
    rng = random.Random(number)
    moves = [LiveSteering.raise_, LiveSteering.lower, LiveSteering.zero, LiveSteering.release]
    keys: dict[int, Callable[[LiveSteering], object]] = {}
    for symbol in rng.sample(range(100), 35):
        pressed = [rng.choice(moves) for _ in range(rng.randint(1, 3))]
        keys[symbol] = lambda steering, pressed=pressed: [press(steering) for press in pressed]
    return keys


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["0:3.c", "1:4.h", "mood"])
def test_replay_is_exact(level: str, name: str) -> None:
    vocabulary = LEVELS[level]
    network = network_of(vocabulary)
    both = {"vocabulary": vocabulary, "network": network, "seed": "аб"}
    plain = replay([], 90, **both)
    for number in range(4, 6):
        steering = LiveSteering(target(name), base=plan("1:1.h=+1:add@s1", "0:7.c=off@20..30"))
        symbols = write(steering, hand(number), **both)  # type: ignore[arg-type]
        chars = sum(symbol.chars for symbol in symbols)
        spec = steering.spec(chars)
        assert spec is not None and spec.count("@") > 5
        specs = ["1:1.h=+1:add@s1", "0:7.c=off@20..30", spec]
        again = replay(specs, 90, **both)
        assert again.ids == tuple(symbol.id for symbol in symbols)
        assert again.text == "".join(symbol.text for symbol in symbols)
        assert again.ids != plain.ids
        single = replay(specs, 90, **{**both, "network": StepByStep(network)})  # type: ignore[arg-type]
        assert single.ids == again.ids


@pytest.mark.parametrize("level", LEVELS)
def test_replay_of_one_document_after_another_is_exact(level: str) -> None:
    vocabulary = LEVELS[level]
    settings = {"keep_going": True, "temperature": 1.4, "rng": 5}
    options = SampleOptions(length=90, **settings)  # type: ignore[arg-type]
    for number in range(3):
        steering = LiveSteering(target("0:3.c"))
        symbols = write(steering, hand(number), vocabulary=vocabulary, options=options)
        text = "".join(symbol.text for symbol in symbols)
        chars = sum(symbol.chars for symbol in symbols)
        assert chars == len(text)
        again = replay([steering.spec(chars) or ""], 90, vocabulary=vocabulary, **settings)
        assert again.ids == tuple(symbol.id for symbol in symbols)
        assert again.text == text
        if level == "char":
            assert "\n\n" in text


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_replay_is_exact_in_other_cells(cell: str) -> None:
    network = network_of(CHARS, cell)
    steering = LiveSteering(target("0:3.h"))
    symbols = write(steering, hand(1), network=network)
    spec = steering.spec(len(symbols))
    assert replay([spec or ""], 90, network=network).ids == tuple(s.id for s in symbols)


def test_every_change_of_the_schedule_matters() -> None:
    """A border a character off writes another text: the test above would see it.

    Not each text shows it, and which do depends on the CPU's rounding.
    """
    network, borders, seen = network_of(CHARS), range(16, 29), set()
    for rng in range(8):
        steering = LiveSteering(target("0:3.c"))
        options = SampleOptions(length=90, rng=rng, temperature=1.0)
        press = {20: lambda s: setattr(s, "dose", 6.0)}
        symbols = write(steering, press, network=network, options=options)
        assert steering.spec(90) == "0:3.c=+6@22..90"
        texts = {
            border: replay([f"0:3.c=+6@{border}..90"], 90, network=network, rng=rng).ids
            for border in borders
        }
        assert texts[22] == tuple(symbol.id for symbol in symbols)
        seen |= {border for border in borders if texts[border] != texts[22]}
    assert seen == set(borders) - {22}


@pytest.mark.parametrize("number", [20, 21])
@pytest.mark.parametrize("level", LEVELS)
def test_a_key_acts_on_the_token_after_the_next(level: str, number: int) -> None:
    """The next one was chosen when the last one was shown."""
    steering = LiveSteering(target("0:3.c"))
    press = {number: lambda s: setattr(s, "dose", 6.0)}
    symbols = write(steering, press, vocabulary=LEVELS[level])
    first, *_ = steering.schedule(90)
    assert first.span.start == sum(symbol.chars for symbol in symbols[: number + 2])


@pytest.mark.parametrize("level", LEVELS)
def test_a_text_that_is_ended_by_hand_is_replayed_by_its_length(level: str) -> None:
    """Within a character of several bytes too: what is not complete is not part of it."""
    vocabulary = LEVELS[level]
    for symbols in (1, 7, 20, 21, 22, 23):
        steering = LiveSteering(target("0:3.c"), 2.0)
        made = write(
            steering,
            {4: LiveSteering.lower, 9: LiveSteering.release},
            vocabulary=vocabulary,
            symbols=symbols,
        )
        chars = sum(symbol.chars for symbol in made)
        text = "".join(symbol.text for symbol in made) + made[-1].held
        spec = steering.spec(chars)
        again = replay([] if spec is None else [spec], chars, vocabulary=vocabulary)
        assert again.text == text


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_held_back_for_a_stop_text_belongs_to_a_text_ended_by_hand(level: str) -> None:
    vocabulary = LEVELS[level]
    stops = {"byte": ("\ufffd" * 5,), "folded": (" аббгг",)}
    settings = {"stop": stops.get(level, ("абаб", "гггг", " ..")), "temperature": 1.0, "rng": 5}
    options = SampleOptions(length=90, **settings)  # type: ignore[arg-type]
    both = {"vocabulary": vocabulary, "options": options}
    whole = write(LiveSteering(target("0:3.c"), 1.0), {}, **both)  # type: ignore[arg-type]
    assert whole[-1].held == ""
    assert any(symbol.held for symbol in whole)
    for count in range(1, len(whole), 2):
        steering = LiveSteering(target("0:3.c"), 1.0)
        made = write(steering, {}, symbols=count, **both)  # type: ignore[arg-type]
        text = "".join(symbol.text for symbol in made) + made[-1].held
        chars = sum(symbol.chars for symbol in made)
        specs = [spec] if (spec := steering.spec(chars)) else []
        assert replay(specs, chars, vocabulary=vocabulary, **settings).text == text


def test_what_is_told_of_a_symbol() -> None:
    """Its characters, the dose it was chosen under, and what the target does after it."""
    network = network_of(CHARS)
    for name in ("0:3.c", "mood"):
        steering = LiveSteering(target(name))
        made = write(
            steering,
            {9: lambda s: setattr(s, "dose", -1.5), 19: LiveSteering.release},
            network=network,
        )
        assert [symbol.char for symbol in made] == list(range(90))
        doses = [symbol.dose for symbol in made]
        assert doses == [None] * 11 + [-1.5] * 10 + [None] * 69
        # The state after a symbol is the one that the next is chosen from.
        for symbol, following in zip(made, doses[1:], strict=False):
            if following is not None:
                assert symbol.value == pytest.approx(following, abs=1e-4)
        free = [symbol.value for symbol in made[25:]]
        assert len(set(free)) > 10


def test_characters_are_counted_at_every_level() -> None:
    for vocabulary in LEVELS.values():
        made = write(LiveSteering(target("0:3.c")), {}, vocabulary=vocabulary)
        text = ""
        for symbol in made:
            assert symbol.char == len(text)
            text += symbol.text
            assert symbol.chars == len(text) - symbol.char


def test_no_symbol_is_thought_of_before_it_is_asked_for() -> None:
    """However long one waits, what is set then acts on the second symbol after it."""
    steering = LiveSteering(target("0:3.c"))
    write(steering, {60: lambda s: setattr(s, "dose", 1.0)})
    assert steering.spec(90) == "0:3.c=+1@62..90"


def test_a_target_that_never_varies_has_no_deviation() -> None:
    still = Target(name="still", layer=0, state="c", mean=0.0, sd=0.0, unit=1)
    made = write(LiveSteering(still), {}, symbols=3)
    assert all(symbol.value != symbol.value for symbol in made)


def test_nothing_is_written_of_no_length() -> None:
    assert write(LiveSteering(target("0:3.c"), 1.0), {}, options=SampleOptions(length=0)) == []


def test_a_form_is_kept_under_a_hand() -> None:
    vocabulary = CHARS
    settings = {"lines": 3, "line_chars": "9..14", "without": "а", "rng": 5, "temperature": 1.0}
    options = SampleOptions(length=90, **settings)  # type: ignore[arg-type]
    form = form_of(options, vocabulary)
    network = network_of(vocabulary)
    for number in range(3):
        steering = LiveSteering(target("0:3.c"))
        keys = hand(number)
        symbols = []
        for place, symbol in enumerate(
            generate_live(network, vocabulary, options, steering, form=form)  # type: ignore[arg-type]
        ):
            symbols.append(symbol)
            keys.get(place, lambda _: None)(steering)
        text = "".join(symbol.text for symbol in symbols)
        assert keeps(text, lines=3, line_chars="9..14", without="а")
        spec = steering.spec(sum(symbol.chars for symbol in symbols))
        assert spec is not None
        again = Generation.from_symbols(
            stream_text(network, vocabulary, options, steering=plan(spec), form=form)  # type: ignore[arg-type]
        )
        assert again.text == text
        assert again.form_bits == pytest.approx(sum(symbol.price for symbol in symbols), rel=1e-4)
        assert again.form_bits > 0
