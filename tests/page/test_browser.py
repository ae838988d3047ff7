"""The page in a real Chromium: what it shows, what its keys do, and that it asks nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.html_page import network_of, page_data

from textgen.corpus.vocabulary import Vocabulary
from textgen.inspection.trace import Trace, trace
from textgen.inspection.view import token_bits
from textgen.page.render import render

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from support.browser import chromium, found  # noqa: E402
from support.shown_page import Shown, number  # noqa: E402

pytestmark = [
    pytest.mark.skipif(found() is None, reason="no Chromium with chromedriver on the path"),
]

TEXT = "Дом у реки.\nДым над домом, и дом как дым.\n\tКонец.\n" * 6
CHARS = Vocabulary.from_characters(TEXT)
HOSTILE = (
    "</script ><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\n"
    "<!-- &lt; ]]> \u2028 \x00 \x1b[31m \u202e {{data}}\te\u0301 👩\u200d🔬\u0301\nя\udc80"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One for all tests of this file."""
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def whole() -> Trace:
    """What the page must show."""
    return trace(network_of(CHARS), CHARS.encode(TEXT), vocabulary=CHARS, top=5)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `TEXT`."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    page = page_data(network_of(CHARS), CHARS, TEXT, title="Дом", name="small")
    file.write_text(render(page), encoding="utf-8")
    return file


@pytest.fixture
def shown(browser: Chrome, path: Path) -> Iterator[Shown]:
    """The page of `TEXT`; whatever a test does with it, the browser has nothing to complain of."""
    page = Shown(browser, path)
    yield page
    assert page.complaints() == []


def test_the_page_shows_the_text_and_asks_for_nothing(shown: Shown) -> None:
    assert shown.text_of("text") == TEXT
    assert shown.run("document.title") == "Дом"
    assert shown.text_of("count") == "12"
    requests = [
        message["params"]
        for entry in shown.browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    # The browser's own first tab may ask for something, too.
    page = shown.browser.current_url
    assert {each["request"]["url"] for each in requests if each["documentURL"] == page} == {page}
    assert shown.run("performance.getEntriesByType('resource').length") == 0


def test_the_policy_holds(browser: Chrome, path: Path) -> None:
    page = Shown(browser, path)
    page.browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s);"
        "const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(i)"
    )
    assert page.run("window.ran") is None
    complaints = " ".join(page.complaints())
    assert "script-src" in complaints and "example.org" in complaints


def test_a_click_on_a_neuron_recolors_the_text(shown: Shown, whole: Trace) -> None:
    name = shown.listed()[4]
    before = shown.colors()
    shown.click(name)
    after = shown.colors()
    assert shown.text_of("name") == f"{name} cell"
    assert before != after
    values = whole.values(*map(int, name.split(":")))
    high = float(np.quantile(np.abs(values), 0.99))
    steps = np.rint(np.clip((values + high) / (2 * high), 0, 1) * 64)
    classes = shown.run("Array.from(document.querySelectorAll('#text > span'), e => e.className)")
    drawn = np.array([int(re.findall(r"\bd(\d+)$", name)[0]) for name in classes])
    assert np.abs(drawn - steps).max() <= 1  # the 8 bits may be half a step off
    assert np.ptp(drawn) > 20
    # Blue stands below zero, orange above.
    for value, color in zip(values, after, strict=True):
        red, _, blue = map(int, re.findall(r"\d+", color)[:3])
        if abs(value) > high / 8:
            assert (red > blue) == (value > 0), (value, color)
    assert number(shown.text_of("high")) == pytest.approx(high, rel=0.005)


def test_hovering_shows_what_the_trace_has(shown: Shown, whole: Trace) -> None:
    name = shown.listed()[2]
    shown.click(name)
    exact = whole.values(*map(int, name.split(":")))
    step = float(exact.max() - exact.min()) / 255
    for place in (0, 7, 30):
        shown.hover(place)
        value = float(exact[place])
        assert number(shown.text_of("value")) == pytest.approx(value, abs=step, rel=0.005)
        assert shown.text_of("where") == f"character {place + 1} of {len(TEXT)}"
        assert shown.text_of("glyph") == TEXT[place].replace("\n", "\\n").replace(" ", "␣")
        assert number(shown.text_of("cost")) == pytest.approx(token_bits(whole)[place], abs=0.006)
        symbols = [
            {"\n": "\\n", "\t": "\\t", " ": "space"}.get(symbol, symbol)
            for symbol in (
                ["‹end›", "‹unknown›", *CHARS.symbols[2:]][i] for i in whole.next_ids[place]
            )
        ]
        lines = shown.browser.find_elements(By.CSS_SELECTOR, "#next li")
        assert [line.find_element(By.CLASS_NAME, "symbol").text for line in lines] == symbols
        for line, share in zip(lines, whole.next_probabilities[place], strict=True):
            percent = number(line.find_element(By.CLASS_NAME, "percent").text)
            assert percent == pytest.approx(100 * share, abs=0.51 if share > 0.09 else 0.06)
            track, fill = (line.find_element(By.CLASS_NAME, part) for part in ("track", "fill"))
            assert fill.rect["width"] == pytest.approx(share * track.rect["width"], abs=1.0)


def test_the_furthest_from_their_means_lead_to_their_neurons(shown: Shown, whole: Trace) -> None:
    shown.hover(5)
    array = np.concatenate([whole.arrays[f"layers.{layer}.cell"] for layer in (0, 1)], axis=1)
    away = np.abs(array[5] - array.mean(axis=0)) / array.std(axis=0)
    order = np.argsort(-away)[:5]
    links = shown.browser.find_elements(By.CSS_SELECTOR, "#furthest button")
    assert [link.text for link in links] == [f"{i // 6}:{i % 6}" for i in order]
    links[1].click()
    assert shown.text_of("name") == f"{order[1] // 6}:{order[1] % 6} cell"


def test_the_search_filters(shown: Shown) -> None:
    search = shown.browser.find_element(By.ID, "search")
    search.send_keys("1:3")
    assert shown.listed() == ["1:3"]
    assert shown.text_of("count") == "1 of 12"
    search.clear()
    search.send_keys("surp")
    assert shown.listed() == ["surprise"]
    search.clear()
    search.send_keys("neuron 0:")
    assert {name[0] for name in shown.listed()} == {"0"} and len(shown.listed()) == 6
    search.clear()
    search.send_keys("nobody")
    assert shown.listed() == []
    assert "Nothing" in shown.text_of("list")
    search.send_keys(Keys.ESCAPE)
    assert len(shown.listed()) == 13


def test_the_list_can_be_sorted(shown: Shown, whole: Trace) -> None:
    values = {f"{layer}:{unit}": whole.values(layer, unit) for layer in (0, 1) for unit in range(6)}
    orders = {
        "spread": lambda name: -np.tanh(values[name]).std(),
        "-spread": lambda name: np.tanh(values[name]).std(),
        "mean": lambda name: -values[name].mean(),
        "-mean": lambda name: values[name].mean(),
        "name": lambda name: tuple(map(int, name.split(":"))),
    }
    for key, order in orders.items():
        option = shown.browser.find_element(By.CSS_SELECTOR, f"#sort option[value='{key}']")
        option.click()
        assert shown.listed() == ["surprise", *sorted(values, key=order)], key


def test_the_keyboard_does_it_all(shown: Shown) -> None:
    shown.press("/")
    assert shown.focus() == "search"
    shown.press("cell", Keys.ARROW_DOWN)
    assert shown.focus() == "list"
    assert shown.text_of("search") == ""
    names = shown.listed()
    shown.press("j", "j", Keys.ARROW_DOWN, "k", Keys.ENTER)
    assert shown.text_of("name") == f"{names[2]} cell"
    chosen = shown.browser.find_element(By.CSS_SELECTOR, "#list [aria-selected='true']")
    assert shown.run("document.getElementById('list').getAttribute('aria-activedescendant')") == (
        chosen.get_attribute("id")
    )
    assert f"{names[2]} cell" in shown.text_of("status")
    shown.press("n")
    assert shown.text_of("name") == f"{names[3]} cell"
    shown.press("p", "p")
    assert shown.text_of("name") == f"{names[1]} cell"
    shown.press(Keys.TAB)
    assert shown.focus() == "text"
    assert shown.text_of("where").startswith("character 1 of ")
    shown.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    assert shown.text_of("where").startswith("character 3 of ")
    assert shown.text_of("status").startswith("м, character 3; ")
    shown.press(Keys.ARROW_DOWN)
    assert shown.text_of("where").startswith(f"character {TEXT.index(chr(10)) + 4} of ")
    shown.press(Keys.ARROW_UP)
    assert shown.text_of("where").startswith("character 3 of ")
    shown.press(Keys.END)
    assert shown.text_of("where").startswith(f"character {TEXT.index(chr(10)) + 1} of ")
    shown.press(Keys.HOME)
    assert shown.text_of("where").startswith("character 1 of ")
    # Focus can be seen.
    assert shown.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.press(Keys.ESCAPE)
    assert shown.focus() == "list"


def test_everything_has_a_name(shown: Shown) -> None:
    shown.hover(3)
    tree = shown.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "textbox", "searchbox", "combobox", "listbox", "option", "application"}
    nameless = [
        node["role"]["value"]
        for node in tree
        if node.get("role", {}).get("value") in roles and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]  # fmt: skip
    assert nameless == []
    assert {node.get("role", {}).get("value") for node in tree} >= {"listbox", "option", "main"}


def test_light_and_dark_follow_the_system_and_the_button(browser: Chrome, path: Path) -> None:
    def paper(page: Shown) -> int:
        color = page.run("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color)))

    light, dark = (Shown(browser, path, scheme="light"), 0)
    assert paper(light) > 700
    first = light.colors()
    light.browser.find_element(By.ID, "theme").click()
    assert paper(light) < 100
    assert light.colors() != first
    shown = Shown(browser, path, scheme="dark")
    dark = paper(shown)
    assert dark < 100
    button = shown.browser.find_element(By.ID, "theme")
    assert button.text == "Light"
    button.click()
    assert paper(shown) > 700
    assert button.text == "Dark"
    assert shown.complaints() == []


def test_the_language_can_be_changed_and_letters_made_large(shown: Shown) -> None:
    shown.hover(3)
    size = "parseFloat(getComputedStyle(document.getElementById('text')).fontSize)"
    small = shown.run(size)
    for code, panel in (("ru", "символ 4 из"), ("mk", "знак 4 од"), ("en", "character 4 of")):
        shown.browser.find_element(By.CSS_SELECTOR, f"#language option[value='{code}']").click()
        assert shown.run("document.documentElement.lang") == code
        assert shown.text_of("where") == f"{panel} {len(TEXT)}"
        assert ("cell" in shown.text_of("name")) == (code == "en")
    button = shown.browser.find_element(By.ID, "large")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert shown.run(size) > 1.5 * small
    button.click()
    assert shown.run(size) == small


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_every_width_will_do(browser: Chrome, path: Path, width: int) -> None:
    page = Shown(browser, path, width=width)
    page.hover(3)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    first = page.run("document.querySelector('#text > span').getBoundingClientRect().top")
    assert 0 < first < 300
    panel = page.run("document.getElementById('panel').getBoundingClientRect().bottom")
    assert panel <= 740 + 300
    if width == 360:
        assert not page.browser.find_element(By.ID, "neurons").is_displayed()
        page.browser.find_element(By.ID, "open").click()
        name = page.listed()[5]
        page.click(name)
        assert not page.browser.find_element(By.ID, "neurons").is_displayed()
        assert page.text_of("name") == f"{name} cell"
    assert page.complaints() == []


def test_hostile_texts_are_only_shown(browser: Chrome, tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_characters(set(HOSTILE) - set("\0\udc80"))
    page = page_data(network_of(vocabulary), vocabulary, HOSTILE, title=HOSTILE, name=HOSTILE)
    noted = tuple(replace(row, note=HOSTILE) for row in page.rows)
    page = replace(page, rows=noted, notice=HOSTILE, labels=(HOSTILE,) * len(page.labels))
    file = tmp_path / "page.html"
    file.write_text(render(page), encoding="utf-8")
    shown = Shown(browser, file)
    assert shown.run("window.hacked") is None
    assert shown.run("document.images.length") == 0
    expected = HOSTILE
    for char, sign in (
        *(("\u2028", "\\u2028"), ("\0", "\\x00"), ("\x1b", "\\x1b")),
        *(("\u202e", "\\u202e"), ("\udc80", "\\udc80")),
    ):
        expected = expected.replace(char, sign)
    assert shown.text_of("text") == expected
    # Marks, joiners and their bases are drawn in one place; each is still a character.
    spans = shown.run("Array.from(document.querySelectorAll('#text > span'), e => e.textContent)")
    assert "e\u0301" in spans and "👩\u200d🔬\u0301" in spans
    place = HOSTILE.index("\u0301")
    shown.browser.execute_script(
        "document.querySelectorAll('#text > span')[arguments[0]].click()", spans.index("e\u0301")
    )
    assert shown.text_of("where").startswith(f"character {place} of")
    shown.press(Keys.ARROW_RIGHT)
    assert shown.text_of("where").startswith(f"character {place + 1} of")
    assert shown.text_of("glyph") == "◌\u0301"
    for _ in range(len(HOSTILE)):
        shown.press(Keys.ARROW_LEFT)
    assert shown.complaints() == []


def test_a_text_of_one_line_of_one_character_works(browser: Chrome, tmp_path: Path) -> None:
    page = page_data(network_of(CHARS), CHARS, "Д", show="surprise")
    file = tmp_path / "page.html"
    file.write_text(render(page), encoding="utf-8")
    shown = Shown(browser, file)
    assert shown.text_of("name") == "surprise"
    shown.hover(0)
    shown.browser.find_element(By.CSS_SELECTOR, "#text > span").click()
    shown.press(Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.END)
    assert shown.text_of("where") == "character 1 of 1"
    assert shown.complaints() == []


@pytest.mark.slow
def test_without_scripts_the_text_can_be_read(path: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile", scripts=False) as driver:
        driver.get(path.as_uri())
        assert driver.find_element(By.ID, "text").text.split() == TEXT.replace("\t", "\\t").split()
        assert "JavaScript" in driver.find_element(By.CSS_SELECTOR, "noscript").text
        assert not driver.find_element(By.ID, "panel").is_displayed()
