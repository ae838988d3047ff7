"""The page as a file: its size, its numbers, and that no text can become anything but text."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.html_page import HTMLPage

from textgen.heat import HeatRow
from textgen.page.render import (
    COLORS,
    DARK,
    LIGHT,
    LIVE,
    RECORDED,
    STEPS,
    Page,
    Theme,
    color_rules,
    quantise,
    render,
)
from textgen.terminal.palette import contrast

HOSTILE = (
    "</script ><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    "<!-- \"&lt; &amp; ]]> ' \u2028 \u2029 \x00 \x1b[31m \u202e \ud800 {{data}} {{values}}"
)


def row(unit: int = 1, values: object = (-1.0, 0.5, 1.0), **changes: Any) -> HeatRow:
    """A neuron of little interest."""
    numbers = np.asarray(values, np.float32)
    settings: dict[str, Any] = {
        "layer": 0,
        "unit": unit,
        "quantity": "cell",
        "mean": 0.0,
        "sd": 1.0,
        "minimum": float(numbers.min()),
        "maximum": float(numbers.max()),
        "low": -1.0,
        "high": 1.0,
    }
    return HeatRow(name=f"layers.0.cell[{unit}]", values=numbers, **{**settings, **changes})


def page(text: str, neurons: int = 1, **changes: Any) -> Page:
    """A page of a text with made-up values."""
    count = len(text)
    rng = np.random.default_rng(0)
    settings: dict[str, Any] = {
        "title": "a text",
        "facts": ("small",),
        "pieces": tuple(text),
        "rows": tuple(row(unit, rng.uniform(-1, 1, count)) for unit in range(neurons)),
        "spreads": (1.0,) * neurons,
        "bits": rng.random(count),
        "labels": ("а", "б", "в", "г", "‹end›"),
        "next_labels": rng.integers(0, 5, (count, 5)),
        "next_probabilities": rng.random((count, 5)),
        "neurons_in_all": neurons,
    }
    return Page(**{**settings, **changes})


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1))
def test_a_value_in_8_bits_is_at_most_half_a_step_off(values: list[float]) -> None:
    array = np.array(values)
    low, high = array.min(), array.max()
    read = low + quantise(array).astype(float) * ((high - low) / STEPS)
    assert np.abs(read - array).max() <= (high - low) / STEPS / 2 * (1 + 1e-9)
    assert read[array.argmin()] == low
    assert read[array.argmax()] == pytest.approx(high, abs=1e-9 * (high - low))


def test_numbers_survive_the_page() -> None:
    source = page("дом", 3)
    read = HTMLPage(render(source))
    for one, values in zip(source.rows, read.values, strict=True):
        half_step = (one.maximum - one.minimum) / 255 / 2
        assert np.abs(values - one.values).max() <= half_step * 1.001
    np.testing.assert_allclose(read.bits, source.bits, rtol=1e-6)
    np.testing.assert_array_equal(read.next_symbols, np.array(source.labels)[source.next_labels])
    error = np.abs(read.next_probabilities - source.next_probabilities)
    assert error.max() <= 0.5001 / 65_535


def test_more_symbols_than_two_bytes_count_keep_apart() -> None:
    labels = tuple(f"w{number}" for number in range(70_000))
    source = page("дом", labels=labels, next_labels=np.array([[0], [65_536], [69_999]]),
                  next_probabilities=np.ones((3, 1)))  # fmt: skip
    assert HTMLPage(render(source)).next_symbols[:, 0].tolist() == ["w0", "w65536", "w69999"]


def test_hostile_texts_stay_texts() -> None:
    plain = HTMLPage(render(page("дом")))
    hostile = HTMLPage(
        render(
            page(
                HOSTILE,
                title=HOSTILE,
                facts=(HOSTILE,),
                notice=HOSTILE,
                labels=(HOSTILE,) * 5,
                rows=(row(values=np.arange(len(HOSTILE)), note=HOSTILE, quantity=HOSTILE),),
            )
        )
    )
    # Not an element and not an attribute more than for a harmless text.
    assert hostile.elements.counts == plain.elements.counts
    assert [(tag, name) for tag, name, _ in hostile.elements.attributes] == [
        (tag, name) for tag, name, _ in plain.elements.attributes
    ]
    assert "".join(hostile.data["pieces"]) == HOSTILE
    assert hostile.data["rows"][0]["note"] == hostile.data["labels"][0] == HOSTILE
    hostile.html.encode("utf-8")  # raises for a lone surrogate
    # Browsers end a script at "</script" and more than ">" after it, so no "<" at all is left.
    raw = hostile.html.split('id="data">')[1].split('<script type="text/plain" id="values"')[0]
    assert raw.count("<") == 1 and raw.endswith("</script>\n")
    assert not re.search("[\u2028\u2029\x00\x1b]", hostile.html)


@given(st.text(st.characters(), min_size=1))
def test_any_text_can_be_read_back(text: str) -> None:
    html = render(page(text))
    assert "".join(HTMLPage(html).data["pieces"]) == text
    html.encode("utf-8")


def test_a_page_asks_for_nothing() -> None:
    found = HTMLPage(render(page("дом")))
    for tag, name, value in found.elements.attributes:
        assert name not in ("src", "href", "srcset", "action", "style", "data"), (tag, name)
        assert not name.startswith("on"), (tag, name)
        assert "//" not in (value or ""), (tag, name)
    (policy,) = [v for _, n, v in found.elements.attributes if n == "content" and "src" in str(v)]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", found.html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1] and "@import" not in style[1]


def test_the_scripts_make_no_markup_and_no_requests() -> None:
    for name in {*RECORDED, *LIVE}:
        script = files("textgen.page").joinpath(name).read_text(encoding="utf-8")
        for word in (
            *(
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
            ),
            *("fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon", "import(", "localStorage"),
            *("</script", "<!--", "http"),
        ):
            assert word not in script, f"{name}: {word}"


def test_the_text_stands_in_the_page_without_scripts() -> None:
    found = HTMLPage(render(page("Дом.\n<b>\tх\x1b")))
    assert found.elements.texts["text"] == "Дом.\n<b>\\tх\\x1b"


def test_20000_characters_and_500_neurons_are_below_15_mb() -> None:
    text = "Ж\n\x00<𝕏" * 4000
    values, note = np.random.default_rng(0).normal(size=len(text)), "seems to follow words"
    rows = tuple(row(unit, values, note=note) for unit in range(500))
    html = render(page(text, 500, rows=rows))
    assert 13.3e6 < len(html.encode()) < 15e6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": (row(values=(0.0, 1.0)),)}, "1 rows and 3 pieces"),
        ({"rows": ()}, "0 rows"),
        ({"spreads": ()}, "1 rows"),
        ({"bits": np.zeros(2)}, "costs"),
        ({"next_probabilities": np.zeros((3, 4))}, "next tokens"),
        ({"rows": (row(low=1.0),)}, "no extent"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        page("дом", **changes)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_ink_can_be_read_on_every_color(theme: Theme) -> None:
    for palette, step in product((theme.diverging, theme.sequential), range(COLORS)):
        assert contrast(theme.ink, palette.rgb(step / (COLORS - 1))) >= 4.5, (palette.name, step)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_palettes_begin_at_the_paper_and_part_without_red_and_green(theme: Theme) -> None:
    paper = theme.diverging.rgb(0.5)
    assert theme.sequential.rgb(0.0) == paper
    cold, warm = theme.diverging.rgb(0.0), theme.diverging.rgb(1.0)
    # Blue alone tells the two ends apart, whatever becomes of red and green.
    assert abs(cold[2] - warm[2]) > 70
    distances = [
        contrast(theme.sequential.rgb(step / (COLORS - 1)), paper) for step in range(COLORS)
    ]
    assert distances == sorted(distances)  # reads in grey, too


def test_every_color_has_its_class() -> None:
    rules = color_rules()
    for letter, step in product("dq", range(COLORS)):
        assert f".{letter}{step}{{background:light-dark(#" in rules


def test_a_wheel_and_a_source_archive_carry_the_page(repository: Path) -> None:
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    names = ("page.html", "page.css", *RECORDED, *LIVE)
    for builder in (WheelBuilder(str(repository)), SdistBuilder(str(repository))):
        packed = {file.distribution_path for file in builder.recurse_included_files()}
        assert {f"textgen/page/{name}" for name in names} <= packed
    for name in names:
        assert files("textgen.page").joinpath(name).is_file()
