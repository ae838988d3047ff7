"""The page of a server that computes: it shows what the page does that computes itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import textgen
from textgen.steering import Target
from textgen.steering.target import save_target

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
pytest.importorskip("starlette", reason="starlette is not installed")

from selenium.webdriver import Chrome  # noqa: E402
from support.browser import chromium, found  # noqa: E402
from support.every_kind import model_of  # noqa: E402
from support.live_page import Live  # noqa: E402
from support.models import random_weights  # noqa: E402
from support.serving import Served, serving  # noqa: E402
from support.shown_page import Shown  # noqa: E402

pytestmark = [
    pytest.mark.skipif(found() is None, reason="no Chromium with chromedriver on the path"),
]

TEXT = "Рыжий кот молчит. Ёжик"
#: What is held, by hand, as the page calls it.
HOLDS = {
    "gate": {"quantity": "forget-gate", "layer": 1, "unit": None, "value": 0},
    "unit": {"quantity": "input-gate", "layer": 0, "unit": 1, "value": 0.25},
    "direction": {"direction": 0, "amount": 2},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, textgen.Model]:
    """Two layers of letters with a direction, bytes, a fixed history, and two labels."""
    folder = tmp_path_factory.mktemp("models")
    saved = model_of("lstm")
    config = replace(saved.config, num_layers=2, residual=True)
    voiced = replace(config, labels=("A", "B"))
    made = {
        "lstm": replace(saved, config=config, weights=random_weights(config)),
        "byte": model_of("byte"),
        "history": model_of("history"),
        "voices": replace(saved, config=voiced, weights=random_weights(voiced)),
    }
    for name, model in made.items():
        model.save(folder / f"{name}.safetensors")
    along = np.eye(config.hidden_size, dtype=np.float32)[2]
    mood = Target(name="mood", layer=0, state="c", mean=0.1, sd=0.5, read=along, write=along)
    save_target(folder / "lstm.safetensors", mood)
    return {name: textgen.load(folder / f"{name}.safetensors") for name in made}


@pytest.fixture(scope="module")
def served(models: dict[str, textgen.Model]) -> Iterator[Served]:
    """A server of all of them that writes no more than 70 symbols at a request, and reads 22."""
    limits = {"max_tokens": 70, "max_prompt": len(TEXT)}
    with pytest.MonkeyPatch.context() as patch, serving(list(models.values()), **limits) as on:
        patch.setattr("textgen.serving.offered_model.MOST_SENT", 10)
        yield on


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.set_script_timeout(120)  # The first gradient loads torch.
        yield driver


#: The part of a page's program that computes or asks: its own cannot be called from outside.
COMMON = ("words.js", "data.js", "vocabulary.js", "equations.js", "so_far.js")
IN_THE_PAGE = (*COMMON, "cells.js", "network.js", "windows.js", "source.js")
#: All that a source says: of two texts, one under holds from its middle on.
ASK = """
const [text, holds, place, unit, done] = arguments;
(async () => {
  const source = openSource(page.models[0], 0);
  const plain = (places) => places.map((each) => ({ ...each, values: Array.from(each.values) }));
  const told = {};
  const [quantity] = source.quantities;
  told.read = plain(await source.read(text, { quantity }));
  told.held = plain(await source.read(text, { quantity: source.quantities.at(-1), holds }));
  told.equations = await source.equations(text, place, ...unit, { holds });
  told.first = await source.equations(text, 0, 0, 0, {});
  told.greedy = [];
  const settings = { quantity, temperature: 0, topP: 1, seed: 1, length: 100 };
  for await (const each of source.write(text, settings)) told.greedy.push(each);
  told.greedy = plain(told.greedy);
  if (source.canTellInfluence) {
    told.influence = Array.from(await source.influence(text, text.length - 1, {}));
  }
  return told;
})().then(done, (mistake) => done(String(mistake)));
"""


def asked(
    browser: Chrome, address: str, holds: list[dict[str, Any]], unit: tuple[int, int] = (1, 1)
) -> Any:
    browser.get(address)
    is_file = address.startswith("file:")
    program = "\n".join(
        files("textgen.page").joinpath(name).read_text(encoding="utf-8")
        for name in (IN_THE_PAGE if is_file else (*COMMON, "served.js"))
    )
    told = browser.execute_async_script(program + ASK, TEXT, holds, len(TEXT) - 2, unit)
    assert isinstance(told, dict), told
    return told


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """That plain data are the same but for rounding."""
    if isinstance(one, float | int) and not isinstance(one, bool):
        assert one == pytest.approx(other, abs=2e-4, rel=1e-3), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            if key != "numbers":
                assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}[{number}]")
    else:
        assert one == other, where


def test_the_server_says_what_the_page_computes(
    browser: Chrome, served: Served, models: dict[str, textgen.Model], tmp_path: Path
) -> None:
    """The same steps, equations, texts and influence, free and with every kind of hold."""
    models["lstm"].export_html(tmp_path / "page.html")
    holds = [{**hold, "from": 9} for hold in HOLDS.values()]
    own = asked(browser, (tmp_path / "page.html").as_uri(), holds)
    assert_same(own, asked(browser, served.address, holds))
    assert {line["isHeld"] for line in own["equations"]} == {True, False}
    assert any(line["numbers"] for line in own["first"])


def test_it_says_the_same_under_labels(
    browser: Chrome, served: Served, models: dict[str, textgen.Model], tmp_path: Path
) -> None:
    """One from the beginning, another from the middle on, beside a hold."""
    models["voices"].export_html(tmp_path / "page.html")
    holds = [{"label": 0, "to": 9}, {"label": 1, "from": 9}, {**HOLDS["gate"], "from": 12}]
    told = {}
    for key, held in (("held", holds), ("free", [])):
        own = asked(browser, (tmp_path / "page.html").as_uri(), held)
        assert_same(own, asked(browser, f"{served.address}/?model=voices", held))
        told[key] = [place["bits"] for place in own["held"]]
    apart = np.abs(np.subtract(told["held"], told["free"]))
    assert apart[1:9].max() > 0.05 and apart[10:].max() > 0.05


@pytest.fixture
def live(browser: Chrome, served: Served) -> Iterator[Live]:
    page = Live(browser, served.address)
    yield page
    assert page.complaints() == []


def test_the_page_is_used_as_the_other(live: Live) -> None:
    live.type(TEXT)
    live.write()
    written = live.text_of("text")
    assert written.startswith(TEXT) and len(written) == len(TEXT) + 200
    # A gate that is held acts on, and the text without it goes on as before.
    live.type(TEXT)
    live.shut()
    live.settle()
    live.write()
    held, free = live.texts()
    assert free.strip() == written.strip() and held != free
    # Stopped in the middle.
    live.type(TEXT)
    live.begin_slowly()
    live.until(lambda: len(live.text_of("text")) > len(TEXT) + 4)
    live.element("#write").click()
    live.settle()
    assert written.startswith(live.texts()[1])
    live.element(".gate input[type=checkbox]").click()
    live.settle()
    # Backwards, and influence.
    live.type(TEXT)
    live.element("#moved").click()
    live.settle()
    assert live.text_of("name") == "influence"
    assert "d0" not in live.classes() and len(set(live.classes())) > 3


def test_a_server_that_refuses_is_heard(
    browser: Chrome, models: dict[str, textgen.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.serving.offered_model.MOST_SENT", 10)
    with serving([models["byte"]], max_bytes=60) as strict:
        page = Shown(browser, strict.address)
        page.element("#given").send_keys("К")
        page.until(lambda: "more than 60 bytes" in page.text_of("advice"))
        page.element("#write").click()
        page.until(lambda: page.text_of("write") == "Write on")
        assert "The server did not do it" in page.text_of("advice")
        assert all("413" in each for each in page.complaints())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["byte", "history"])
def test_other_models(
    browser: Chrome, served: Served, models: dict[str, textgen.Model], tmp_path: Path, name: str
) -> None:
    models[name].export_html(tmp_path / "page.html")
    own = asked(browser, (tmp_path / "page.html").as_uri(), [], (0, 1))
    told = asked(browser, f"{served.address}/?model={name}", [], (0, 1))
    assert ("influence" in told) == (name == "byte")
    assert_same({key: own[key] for key in told}, told)
    assert len(own["greedy"]) > 0


@pytest.mark.slow
def test_axe_finds_nothing(browser: Chrome, served: Served) -> None:
    for width, scheme in ((360, "dark"), (1280, "light")):
        live = Live(browser, served.address, width=width, scheme=scheme)
        live.type(TEXT)
        assert live.violations() == []
        assert live.run("document.documentElement.scrollWidth <= innerWidth")
