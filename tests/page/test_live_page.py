"""The page in which a model runs, in a real Chromium: what a person does there, and sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textgen.checkpoint import SavedModel
from textgen.corpus.normalization import Normalization
from textgen.corpus.vocabulary import Vocabulary
from textgen.export.html_page import ShownModel, write_html
from textgen.export.packed import PackedModel, pack
from textgen.inspection.influence import influence_view
from textgen.inspection.neuron_report import FeatureScore
from textgen.inspection.trace import Trace, trace
from textgen.inspection.view import token_bits
from textgen.model.config import ModelConfig
from textgen.model.label_vectors import with_label
from textgen.model.numpy_network import NumpyNetwork
from textgen.page.render import LiveModel, render_live
from textgen.steering import Target

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from support.browser import chromium, found  # noqa: E402
from support.live_page import Live  # noqa: E402
from support.shown_page import number  # noqa: E402

pytestmark = [
    pytest.mark.skipif(found() is None, reason="no Chromium with chromedriver on the path"),
]

CHARS = Vocabulary.from_characters("Дом у реки.\nДым над домом, и дом как дым.")
TEXT = "Дом у реки, дым над домом."
HOSTILE = (
    "</script ><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    "<!-- &lt; ]]> \u2028 {{data}} {0}"
)


def saved_model(cell: str = "lstm", vocabulary: Vocabulary = CHARS, layers: int = 2) -> SavedModel:
    """A model with weights drawn at random, the same ones each time."""
    config = ModelConfig(
        cell=cell,
        vocab_size=len(vocabulary),
        embedding_size=4,
        hidden_size=6,
        num_layers=layers,
    )
    rng = np.random.default_rng(5)
    weights = {
        name: rng.normal(0.0, 0.6, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    return SavedModel(
        config=config, vocabulary=vocabulary, normalization=Normalization(), weights=weights
    )


def direction_named(name: str) -> Target:
    """A direction that is no more than neuron 0:2."""
    along = np.eye(6, dtype=np.float32)[2]
    return Target(name=name, layer=0, state="c", mean=0.5, sd=2.0, read=along, write=along)


@cache
def packed(cell: str = "lstm") -> PackedModel:
    target = direction_named("mood")
    return pack(saved_model(cell), 16, targets=() if cell == "rnn" else [target])


def live_model(name: str, model: PackedModel) -> LiveModel:
    return LiveModel(name=name, description=model.description, weights=model.data)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One for all tests of this file."""
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one model."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    html = render_live([live_model("small", packed())], title="small", facts=("LSTM 2 × 6",))
    file.write_text(html, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two models."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    models = [live_model("long", packed()), live_model("short", packed("rnn"))]
    file.write_text(render_live(models, title="two"), encoding="utf-8")
    return file


@pytest.fixture
def live(browser: Chrome, alone: Path) -> Iterator[Live]:
    """The page of one model; whatever a test does with it, the browser has no complaint."""
    page = Live(browser, alone)
    yield page
    assert page.complaints() == []


def traced(text: str, cell: str = "lstm", **settings: Any) -> Trace:
    """What Python computes of a text, with the weights as the page has them."""
    network = NumpyNetwork(saved_model(cell).config, packed(cell).weights)
    return trace(network, CHARS.encode(text), vocabulary=CHARS, top=5, **settings)


def steps_of(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The numbers of the 65 colours of values on a scale."""
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 64)


def drawn(live: Live, reading: int = 0) -> np.ndarray:
    return np.array([int(name[1:]) for name in live.classes(reading)])


def choose(live: Live, quantity: str, name: str) -> None:
    """Colour the text by a quantity of a neuron."""
    live.element(f"#quantity option[value='{quantity}']").click()
    live.settle()
    live.click(name)
    live.settle()


def slide(live: Live, line: str, value: float) -> None:
    """Move the slider of a hold."""
    live.browser.execute_script(
        "const slider = document.querySelector(`.hold.${arguments[0]} input[type=range]`);"
        "slider.value = arguments[1]; slider.dispatchEvent(new Event('input'))",
        line,
        value,
    )
    live.settle()


@pytest.mark.parametrize("quantity", ["cell", "hidden", "forget-gate", "candidate"])
def test_typing_colours_as_python_computes(live: Live, quantity: str) -> None:
    live.type(TEXT)
    choose(live, quantity, "1:4")
    values = traced(TEXT, quantities=[quantity]).values(1, 4, quantity)
    high = float(np.quantile(np.abs(values), 0.99))
    low, high = {"forget-gate": (0.0, 1.0), "candidate": (-1.0, 1.0)}.get(quantity, (-high, high))
    assert np.abs(drawn(live) - steps_of(values, low, high)).max() <= 1
    assert np.ptp(drawn(live)) > 5
    assert number(live.text_of("high")) == pytest.approx(high, rel=0.005)


def test_every_key_is_a_step(live: Live) -> None:
    live.type("Дом")
    whole = traced("Дом у")
    for count, key in ((4, " "), (5, "у")):
        live.element("#given").send_keys(key)
        live.settle()
        assert live.text_of("where") == f"character {count} of {count}"
        symbols = [
            {"\n": "\\n", " ": "space"}.get(symbol, symbol)
            for symbol in (
                ["‹end›", "‹unknown›", *CHARS.symbols[2:]][i] for i in whole.next_ids[count - 1]
            )
        ]
        lines = live.browser.find_elements(By.CSS_SELECTOR, "#next .symbol")
        assert [line.text for line in lines] == symbols
        assert number(live.text_of("cost")) == pytest.approx(token_bits(whole)[count - 1], abs=0.01)
    live.element("#given").send_keys(Keys.BACKSPACE)
    live.settle()
    assert live.text_of("where") == "character 4 of 4"
    live.element("#given").send_keys(Keys.CONTROL, "a")
    live.element("#given").send_keys(Keys.BACKSPACE)
    live.until(lambda: live.text_of("text") == "")
    live.until(lambda: live.element("#hint").is_displayed())


def test_a_long_text_comes_in_parts(live: Live) -> None:
    text = (TEXT + " ") * 30
    live.paste(text)
    live.settle()
    assert live.text_of("text") == text
    choose(live, "cell", "1:4")
    values = traced(text).values(1, 4)
    high = float(np.quantile(np.abs(values), 0.99))
    assert np.abs(drawn(live) - steps_of(values, -high, high)).max() <= 1


def test_surprise_and_influence_colour_the_text(live: Live) -> None:
    live.type(TEXT)
    live.click("surprise")
    bits = token_bits(traced(TEXT))
    high = float(np.quantile(bits, 0.99))
    assert np.abs(drawn(live) - steps_of(bits, 0.0, high)).max() <= 1
    live.hover(9)
    live.element("#moved").click()
    live.settle()
    assert live.text_of("name") == "influence"
    saved = saved_model()
    network = NumpyNetwork(saved.config, packed().weights)
    view = influence_view(
        network, packed().weights, CHARS.encode(TEXT[:10]), tuple(TEXT[:10]), CHARS, by=["gradient"]
    )
    (row,) = view.rows
    # On the scale of the whole text, where what comes later has moved nothing.
    values = np.concatenate([row.values, np.zeros(len(TEXT) - 10)])
    high = float(np.quantile(values, 0.99))
    assert number(live.text_of("high")) == pytest.approx(high, rel=0.005)
    assert np.abs(drawn(live) - steps_of(values, 0.0, high)).max() <= 1
    assert drawn(live).max() > 40 and set(drawn(live)[10:]) == {0}


def test_the_equations_have_the_numbers_of_the_step(live: Live) -> None:
    live.type(TEXT)
    choose(live, "cell", "0:3")
    live.hover(4)
    live.settle()
    shown = {
        line.find_element(By.TAG_NAME, "dt").text[0]: number(
            line.find_element(By.TAG_NAME, "strong").text
        )
        for line in live.browser.find_elements(By.CSS_SELECTOR, "#equations div")
    }
    names = {"f": "forget-gate", "i": "input-gate", "o": "output-gate", "h": "hidden", "C": "cell"}
    for letter, quantity in names.items():
        value = traced(TEXT, quantities=[quantity]).values(0, 3, quantity)[4]
        if letter != "C":  # C is the candidate, too, by its sign
            assert shown[letter] == pytest.approx(value, abs=6e-4), letter
    chosen = live.element("#equations .chosen").text
    value = traced(TEXT).values(0, 3)[4]
    assert number(chosen.rsplit("=", 1)[1]) == pytest.approx(value, abs=6e-4)


def test_the_model_writes_on_stops_and_goes_on(live: Live) -> None:
    live.type("Дом ")
    live.write()
    first = live.text_of("text")
    assert first.startswith("Дом ") and len(first) == 204
    assert "Written: " in live.text_of("status")
    live.write()
    assert live.text_of("text").startswith(first) and len(live.text_of("text")) == 404
    # The same seed writes the same text, another one another.
    live.type("Дом ")
    live.write()
    assert live.text_of("text") == first
    live.element("#again").click()
    live.wait_for_the_end()
    assert live.text_of("text") != first
    # At the pace of a reader it can be stopped, and goes on.
    seed = live.element("#seed")
    live.browser.execute_script("document.querySelector('.more').open = true")
    seed.clear()
    seed.send_keys("1")
    live.type("Дом ")
    live.begin_slowly()
    assert live.text_of("write") == "Stop"
    live.until(lambda: len(live.text_of("text")) > 8)
    live.element("#write").click()
    live.settle()
    part = live.text_of("text")
    assert len(part) < 204 and first.startswith(part)
    live.browser.execute_script("document.getElementById('speed').value = 'fast'")
    live.write()
    assert live.text_of("text").startswith(first)
    live.element("#take").click()
    live.settle()
    assert live.run("document.getElementById('given').value") == live.text_of("text")


def test_another_quantity_is_shown_while_it_writes(live: Live) -> None:
    live.type("Дом ")
    live.write()
    text = live.text_of("text")
    live.type("Дом ")
    live.begin_slowly()
    live.until(lambda: len(live.text_of("text")) > 8)
    live.browser.execute_script(
        "document.getElementById('speed').value = 'fast';"
        "const choice = document.getElementById('quantity');"
        "for (const name of ['hidden', 'candidate', 'forget-gate']) {"
        "choice.value = name; choice.dispatchEvent(new Event('change')); }"
    )
    live.wait_for_the_end()
    assert live.text_of("text") == text
    live.click("1:4")
    live.settle()
    values = traced(text, quantities=["forget-gate"]).values(1, 4, "forget-gate")
    assert np.abs(drawn(live) - steps_of(values, 0.0, 1.0)).max() <= 1


def test_without_luck_it_writes_the_likeliest(live: Live) -> None:
    live.browser.execute_script("document.querySelector('.more').open = true")
    live.element("#temperature").send_keys(Keys.HOME)
    assert live.text_of("temperature-value") == "0.00"
    live.type("Дом ")
    live.write()
    text = live.text_of("text")
    network = NumpyNetwork(saved_model().config, packed().weights)
    ids = CHARS.encode(text)
    _, state = network.step(np.array([0]), network.zero_state())
    for place, token in enumerate(ids[:-1]):
        logits, state = network.step(np.array([token]), state)
        logits[:, :2] = -np.inf
        if place >= 3:
            assert ids[place + 1] == logits[0].argmax()


def test_a_held_gate_changes_the_text_and_the_equations(live: Live) -> None:
    live.type("Дом ")
    live.write()
    free = live.text_of("text")
    live.type("Дом ")
    choose(live, "cell", "1:2")
    live.element(".gate button").click()  # shut
    live.settle()
    assert headings(live) == ["With the hold", "Without the hold"]
    live.write()
    held, beside = live.texts()
    assert live.element(".gate input[type=checkbox]").is_selected()
    assert held != free.strip() and held.startswith("Дом ")
    assert beside == free.strip()
    assert headings(live) == ["With the hold", "Without the hold"]
    tops = live.run("Array.from(document.querySelectorAll('.text'), e => e.offsetTop)")
    assert tops[0] == tops[1]
    live.hover(6)
    live.settle()
    line = next(
        line
        for line in live.browser.find_elements(By.CSS_SELECTOR, "#equations div")
        if line.text.startswith("f")
    )
    assert "= 0.000 held by hand" in line.text
    # A text that was only typed is as it was when the hold is let go.
    live.type("Дом ")
    live.element(".gate input[type=checkbox]").click()
    live.settle()
    assert live.texts() == ["Дом "]
    live.write()
    assert live.text_of("text") == free


def headings(live: Live) -> list[str]:
    """What stands above the texts that are compared."""
    return [e.text for e in live.browser.find_elements(By.CSS_SELECTOR, ".which") if e.text]


def test_a_hold_never_writes_by_itself_and_takes_nothing_away(live: Live) -> None:
    live.type("Дом ")
    live.write()
    written = live.text_of("text")
    live.shut()
    live.settle()
    assert live.text_of("write") == "Write on"
    assert live.texts() == [written.strip()] * 2
    assert "press Write on" in live.text_of("advice")
    # It acts from there on.
    live.write()
    assert live.text_of("advice") == ""
    held, free = live.texts()
    assert held != free and held[:204] == free[:204] == written
    choose(live, "forget-gate", "1:4")
    assert live.text_of("write") == "Write on"
    assert live.texts() == [held, free]
    (places,) = np.nonzero(drawn(live) == 0)
    assert places[0] == 204 and places[-1] == 403
    # Nor is anything lost when it is moved or let go.
    slide(live, "gate", 0.7)
    assert live.texts() == [held, free]
    live.element(".gate input[type=checkbox]").click()
    live.settle()
    assert live.text_of("write") == "Write on"
    assert live.texts() == [held, free]
    assert headings(live) == ["The hold is let go", "Without the hold"]


def test_what_was_written_stays_until_a_button_is_pressed(live: Live) -> None:
    live.type("Дом ")
    live.write()
    written = live.text_of("text")
    live.element("#given").send_keys(Keys.CONTROL, "a")
    live.element("#given").send_keys("Дым ")
    live.settle()
    assert live.text_of("text") == written
    assert "stays until" in live.text_of("advice")
    live.write()
    assert live.text_of("text").startswith("Дым ") and len(live.text_of("text")) == 204
    assert live.text_of("advice") == ""
    # While it writes, too.
    live.begin_slowly()
    live.element("#given").send_keys("у")
    assert live.text_of("write") == "Stop"
    live.until(lambda: len(live.text_of("text")) > 210)
    live.element("#write").click()
    live.settle()
    assert live.text_of("text").startswith("Дым ") and len(live.text_of("text")) > 210
    assert "stays until" in live.text_of("advice")


def test_the_chosen_neuron_and_the_end_of_the_text_stay_in_sight(live: Live) -> None:
    live.type(TEXT)
    live.click("1:4")
    live.settle()
    for quantity in ("hidden", "forget-gate", "candidate", "cell"):
        live.element(f"#quantity option[value='{quantity}']").click()
        live.settle()
        assert in_sight(live, "#list [aria-selected=true]", "#list")
    live.paste((TEXT + "\n") * 30)
    live.browser.execute_script("document.getElementById('take').click()")
    live.settle()
    assert in_sight(live, "#text > span:last-child", ".readings")
    live.write()
    assert in_sight(live, "#text > span:last-child", ".readings")
    live.browser.execute_script("document.querySelector('.readings').scrollTop = 0")
    live.settle()
    live.shut()
    live.settle()
    assert live.run("document.querySelector('.readings').scrollTop") == 0


def in_sight(live: Live, selector: str, scroller: str) -> bool:
    """Whether an element can be seen in what scrolls it."""
    return bool(
        live.run(
            "((a, b) => a.top >= b.top - 1 && a.bottom <= b.bottom + 1)(...Array.from(arguments,"
            "s => document.querySelector(s).getBoundingClientRect()))",
            selector,
            scroller,
        )
    )


def test_a_letter_that_the_network_does_not_know_is_marked(live: Live) -> None:
    live.type("Дом Q")
    assert live.element("#unknown").text == "the network does not know this letter"
    marked = live.browser.find_elements(By.CSS_SELECTOR, "#text .unknown")
    assert [(e.text, e.get_attribute("title")) for e in marked] == [
        ("Q", "the network does not know this letter")
    ]
    live.hover(1)
    assert not live.element("#unknown").is_displayed()


def test_settings_can_be_seen_and_what_is_blank_says_why(live: Live) -> None:
    live.type(TEXT)
    live.element(".more summary").click()
    live.settle()
    for dial in live.browser.find_elements(By.CSS_SELECTOR, ".dials label"):
        assert live.run(
            "((a, b) => a.top >= b.top && a.bottom <= b.bottom)"
            "(arguments[0].getBoundingClientRect(),"
            "document.querySelector('.making').getBoundingClientRect())",
            dial,
        )
    live.click("influence")
    live.begin_slowly()
    live.until(lambda: live.run("document.querySelector('.note').textContent") == "after Stop")
    live.click("1:4")
    assert live.text_of("no-equations") == "after Stop"
    live.element("#write").click()
    live.settle()
    assert live.text_of("no-equations") == ""


def test_a_neuron_and_a_direction_can_be_held(live: Live) -> None:
    live.type(TEXT)
    choose(live, "cell", "0:2")
    high = live.element(".hold.unit button:last-of-type")
    high.click()
    live.settle()
    assert live.element(".hold.unit .held").text == "Hold neuron 0:2 (cell)"
    limit = float(high.text)
    live.hover(3)
    assert number(live.text_of("value")) == pytest.approx(limit)
    assert set(live.classes()) == {"d64"}
    assert live.texts() == [TEXT, TEXT]  # the same text, coloured without the hold below
    assert len(set(live.classes(1))) > 3
    # At 0 it has no scale of its own: both texts have that of the free one.
    slide(live, "unit", 0)
    values = traced(TEXT).values(0, 2)
    high = float(np.quantile(np.abs([*values, *np.zeros(len(TEXT))]), 0.99))
    assert number(live.text_of("high")) == pytest.approx(high, rel=0.005)
    live.element(".hold.unit input[type=checkbox]").click()
    live.settle()
    # A direction along one neuron: two standard deviations of 2 above its mean of 0.5.
    line = live.element(".hold.direction")
    assert line.find_element(By.CLASS_NAME, "held").text == "mood"
    slide(live, "direction", 2)
    live.hover(3)
    assert number(live.text_of("value")) == pytest.approx(4.5)


def test_a_hold_in_mid_text_acts_where_it_was_on(live: Live) -> None:
    live.type("Дом ")
    live.write()
    free = live.text_of("text")
    live.type("Дом ")
    live.begin_slowly()
    live.until(lambda: len(live.text_of("text")) > 9)
    live.element(".gate button:last-of-type").click()  # open
    begin = len(live.text_of("text"))
    live.until(lambda: len(live.text_of("text")) > begin + 20)
    live.element(".gate input[type=checkbox]").click()  # let go
    end = len(live.text_of("text"))
    live.until(lambda: len(live.text_of("text")) > end + 10)
    live.element("#write").click()
    live.settle()
    held = live.text_of("text")
    assert held[:9] == free[:9]
    assert held != free[: len(held)]
    assert free.startswith(live.texts()[1])
    choose(live, "forget-gate", "1:4")
    steps = drawn(live)
    (held_places,) = np.nonzero(steps == 64)
    first, last = held_places[0], held_places[-1]
    assert 9 <= first <= begin + 1 and begin + 19 <= last < len(held) - 1
    assert np.all(steps[first : last + 1] == 64)


def test_a_text_is_written_under_a_label(browser: Chrome, tmp_path: Path) -> None:
    """From its beginning, or from where it was chosen; what stands without a hold has it, too."""
    odd = HOSTILE.replace(" \u2028", "")  # a label is one line
    config = replace(saved_model().config, labels=("Austen", odd))
    rng = np.random.default_rng(6)
    labels = rng.normal(0.0, 0.4, config.tensor_shapes()["labels.weight"]).astype(np.float32)
    saved = replace(
        saved_model(),
        config=config,
        weights={**saved_model().weights, "labels.weight": labels},
    )
    write_html([ShownModel(saved=saved, name="voices")], tmp_path / "page.html")
    live = Live(browser, tmp_path / "page.html")

    def bits(shares: dict[str, float]) -> np.ndarray:
        """What each character costs, with the weights as the page has them."""
        under = with_label(config, pack(saved, 16).weights, shares)
        return token_bits(trace(NumpyNetwork(*under), CHARS.encode(TEXT), vocabulary=CHARS))

    def select(name: str) -> None:
        live.browser.execute_script(
            "const choice = document.getElementById('voice');"
            "choice.value = Array.from(choice.options).find(e => e.text === arguments[0]).value;"
            "choice.dispatchEvent(new Event('change'))",
            name,
        )
        live.settle()

    def costs() -> list[float]:
        found = []
        for place in range(len(TEXT)):
            live.hover(place)
            found.append(number(live.text_of("cost")))
        return found

    assert live.element(".voice").text.split("\n") == ["Label", "none", "Austen", odd]
    live.type(TEXT)
    for name, shares in (("Austen", {"Austen": 1.0}), (odd, {odd: 1.0}), ("none", {})):
        select(name)
        assert live.texts() == [TEXT]  # a label is no hold
        assert costs() == pytest.approx(bits(shares), abs=0.01)
    assert np.abs(bits({}) - bits({"Austen": 1.0})).max() > 0.1
    live.type("Дом ")
    live.write()
    free = live.text_of("text")
    select("Austen")
    assert live.text_of("text") == free and "press Write on" in live.text_of("advice")
    live.write()
    under = live.text_of("text")
    live.type("Дом ")
    live.write()
    austen = live.text_of("text")
    assert under.startswith(free) and not austen.startswith(free[:40])
    # A hold beside it: the text without the hold is the one under the label.
    live.type("Дом ")
    live.shut()
    live.settle()
    live.write()
    held, without = live.texts()
    assert without == austen.strip() != held
    for code, words in (("ru", ["Метка", "никакая"]), ("mk", ["Ознака", "ниедна"])):
        live.element(f"#language option[value='{code}']").click()
        live.settle()
        assert live.element(".voice").text.split("\n")[:2] == words
        assert live.violations() == []
    live.element("#language option[value='en']").click()
    live.see(360, "light")
    assert live.element(".voice").is_displayed()
    assert live.run("document.documentElement.scrollWidth <= innerWidth")
    assert live.run("window.hacked") is None
    assert live.complaints() == []


def test_a_model_without_labels_offers_none(live: Live) -> None:
    assert not live.element(".voice").is_displayed()


def test_two_models_read_the_same_text(browser: Chrome, beside: Path) -> None:
    live = Live(browser, beside)
    live.type(TEXT)
    assert live.texts() == [TEXT, TEXT]
    live.click("surprise")
    for reading, cell in enumerate(("lstm", "rnn")):
        reading = 2 * reading  # between them stands the text without a hold
        bits = token_bits(traced(TEXT, cell))
        steps = steps_of(bits, 0.0, float(np.quantile(bits, 0.99)))
        assert np.abs(drawn(live, reading) - steps).max() <= 1
    # Each model has neurons of its own.
    live.element("#quantity option[value='hidden']").click()
    live.settle()
    live.element("#model option[value='1']").click()
    live.click("1:1")
    live.settle()
    values = traced(TEXT, "rnn").values(1, 1, "hidden")
    high = float(np.quantile(np.abs(values), 0.99))
    assert np.abs(drawn(live, 2) - steps_of(values, -high, high)).max() <= 1
    live.write()
    first, second = live.texts()
    assert first == second and len(first) > len(TEXT) + 100
    assert live.complaints() == []


def test_two_models_are_compared_by_what_each_word_moved(browser: Chrome, beside: Path) -> None:
    """They open so; the shares are those of Python's gradient, word by word."""
    live = Live(browser, beside)
    live.type(TEXT)
    assert live.text_of("name") == "influence"
    assert "see which words fade" in live.text_of("lead")
    ends = [place + 1 for place, piece in enumerate(TEXT) if piece == " "]
    for reading, cell in ((0, "lstm"), (2, "rnn")):
        network = NumpyNetwork(saved_model(cell).config, packed(cell).weights)
        view = influence_view(
            network, packed(cell).weights, CHARS.encode(TEXT), tuple(TEXT), CHARS, by=["gradient"]
        )
        (row,) = view.rows
        shares = [float(part.sum()) for part in np.split(row.values, ends)]
        section = live.browser.find_elements(By.CSS_SELECTOR, ".shares")[reading]
        assert section.is_displayed()
        words = section.find_elements(By.TAG_NAME, "li")
        assert [word.text.split("\n")[0] for word in words] == TEXT.split()
        told = [float(word.text.split("\n")[1].removesuffix(" %")) for word in words]
        assert told == pytest.approx([100 * share for share in shares], abs=0.51)
        steps = [int(str(word.get_attribute("class"))[1:]) for word in words]
        assert steps == pytest.approx([64 * share for share in shares], abs=0.51)
        reach = int(np.searchsorted(np.cumsum(row.values[::-1]), 0.5)) + 1
        assert f"the last {reach} of {len(TEXT)}" in section.text
    live.paste((TEXT + " ") * 3)
    live.settle()
    words = live.browser.find_elements(By.CSS_SELECTOR, ".shares li")
    assert words[0].text.startswith("… before")
    live.click("surprise")
    live.settle()
    assert not any(
        each.is_displayed() for each in live.browser.find_elements(By.CSS_SELECTOR, ".shares")
    )
    assert live.complaints() == []


def test_a_neuron_says_what_it_follows(browser: Chrome, tmp_path: Path) -> None:
    score = FeatureScore("inside-quotes", False, 0.7, 0.61, 0.9)
    notes = ("cell", {(1, 4): score, (0, 3): replace(score, feature="space", correlation=-0.4)})
    model = ShownModel(saved=saved_model(), name="small", notes=notes)
    write_html([model], tmp_path / "page.html")
    live = Live(browser, tmp_path / "page.html")
    live.type(TEXT)
    choose(live, "forget-gate", "1:4")
    told = "cell: higher inside quotation marks; r = 0.61 on new text"
    assert live.element(".legend .note").text == told
    live.see(360, "dark")
    assert live.element(".legend .note").is_displayed()
    assert live.violations() == []
    live.see(1280, "light")
    live.element("#search").send_keys("quotation")
    live.until(lambda: live.listed() == ["1:4"])
    assert live.element(".remark").text == told
    live.browser.execute_script("document.getElementById('search').value = ''")
    live.element("#language option[value='ru']").click()
    assert live.element(".legend .note").text.endswith("кавычки открыты; r = 0.61 на новом тексте")
    live.click("0:3")
    live.settle()
    assert "ниже, когда стоит пробел; r = −0.40" in live.element(".legend .note").text
    live.click("0:1")
    live.settle()
    assert live.element(".legend .note").text == ""
    live.element("#language option[value='en']").click()
    assert live.complaints() == []


def test_the_languages_change_all_words(live: Live) -> None:
    live.type(TEXT)
    english = live.run("document.body.innerText")
    for code, words in (("ru", "Писать дальше"), ("mk", "Пиши понатаму")):
        live.element(f"#language option[value='{code}']").click()
        live.settle()
        assert live.text_of("write") == words
        shown = live.run("document.body.innerText").replace(TEXT, "")
        left = set(re.findall(r"[A-Za-z]{4,}", shown)) & set(re.findall(r"[A-Za-z]{4,}", english))
        assert left <= {"English", "Enter", "LSTM", "small", "temperature", "mood", "tanh", "seed"}
    live.element("#language option[value='en']").click()


def test_the_keyboard_does_it_all_here_too(live: Live) -> None:
    live.element("#given").send_keys(Keys.CONTROL, "a")
    live.press("Дом ", Keys.TAB)
    live.settle()
    assert live.focus() == "write"
    live.press(Keys.ENTER)
    live.wait_for_the_end()
    before = live.text_of("text")
    assert len(before) == 204
    live.press(*[Keys.TAB] * 4)
    assert live.focus() == "text"
    live.press(Keys.TAB)
    assert live.run("document.activeElement.type") == "checkbox"
    live.press(" ")
    live.settle()
    assert live.texts() == [before.strip()] * 2
    live.press(*[Keys.TAB] * 4)
    assert live.run("document.activeElement.type") == "range"
    live.press(Keys.END)
    live.wait_for_the_end()
    assert live.run("document.activeElement.value") == "1"
    assert live.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(
    "width", [360, 1280, *(pytest.param(width, marks=pytest.mark.slow) for width in (720, 1920))]
)
def test_every_width_will_do(browser: Chrome, alone: Path, width: int) -> None:
    live = Live(browser, alone, width=width)
    live.type(TEXT)
    live.write()
    live.shut()
    live.wait_for_the_end()
    assert live.run("document.documentElement.scrollWidth <= innerWidth")
    size = live.run("parseFloat(getComputedStyle(document.getElementById('text')).fontSize)")
    assert size >= (22 if width >= 1280 else 18)
    assert live.complaints() == []


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (360, "light"),
        (1280, "dark"),
        pytest.param(360, "dark", marks=pytest.mark.slow),
        pytest.param(1280, "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing(browser: Chrome, beside: Path, width: int, scheme: str) -> None:
    live = Live(browser, beside, width=width, scheme=scheme)
    live.type(TEXT)
    live.shut()
    live.settle()
    live.browser.execute_script("document.querySelector('.more').open = true")
    live.hover(3)
    live.settle()
    for code in ("en", "ru", "mk"):
        live.browser.execute_script(
            "const choice = document.getElementById('language'); choice.value = arguments[0];"
            "choice.dispatchEvent(new Event('change'))", code
        )  # fmt: skip
        live.settle()
        assert live.violations() == [], (code, width, scheme)


def test_the_page_asks_for_nothing(live: Live) -> None:
    assert live.run("performance.getEntriesByType('resource').length") == 0
    live.browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s)"
    )
    assert live.run("window.ran") is None
    assert "script-src" in " ".join(live.complaints())


def test_hostile_texts_stay_texts(browser: Chrome, tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_characters(HOSTILE)
    target = direction_named(HOSTILE)
    model = pack(saved_model(vocabulary=vocabulary), 16, targets=[target])
    labels = [HOSTILE] * len(vocabulary)
    model = replace(model, description={**model.description, "labels": labels})
    file = tmp_path / "page.html"
    models = [live_model(HOSTILE, model)] * 2
    file.write_text(render_live(models, title=HOSTILE, facts=(HOSTILE,)), encoding="utf-8")
    live = Live(browser, file)
    live.paste(HOSTILE + "\0\x1b\u202e")
    live.settle()
    live.write()
    live.element(".direction button").click()
    live.wait_for_the_end()
    live.element("#moved").click()
    live.settle()
    live.browser.execute_script("document.querySelector('.text > span').click()")
    assert live.text_of("text").startswith(
        HOSTILE.replace("\u2028", "\\u2028") + "\\x00\\x1b\\u202e"
    )
    assert live.run("document.querySelector('.direction .held').textContent") == HOSTILE
    assert live.run("window.hacked") is None
    assert live.run("document.images.length") == 0
    assert live.complaints() == []


@pytest.mark.slow
def test_without_scripts_the_page_says_so(alone: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile", scripts=False) as driver:
        driver.get(alone.as_uri())
        assert "JavaScript" in driver.find_element(By.CSS_SELECTOR, "noscript").text
        assert not driver.find_element(By.ID, "given").is_displayed()
