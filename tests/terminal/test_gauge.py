"""The gauge beneath a steered text, as a line of signs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.terminal.console import ColorDepth
from textgen.terminal.gauge import GaugeReading, gauge_line


def reading(**parts: object) -> GaugeReading:
    values = {"name": "mood", "dose": 1.5, "value": 1.2134, "speed": 30.0}
    return GaugeReading(**{**values, **parts})  # type: ignore[arg-type]


def plain(width: int, **parts: object) -> str:
    return gauge_line(reading(**parts), width).plain.rstrip()


def test_the_wider_the_more_it_says() -> None:
    assert plain(12) == "mood  +1.5 ─"
    assert plain(20) == "mood  +1.5 ───┼◆──"
    assert plain(24) == "mood  +1.5 ──────┼━●◇───"
    assert plain(30) == "mood  +1.5 -3 ──────┼━●◇─── +3"
    assert plain(32) == "mood  +1.5 ──────┼━●◇───  +1.21"
    assert plain(40) == "mood  +1.5 ──────┼━●◇───  +1.21  30/s"
    assert plain(80) == (
        "mood  +1.5 -3 ──────┼━●◇─── +3  +1.21  30/s    ↑↓ dose  0 mean  r free  q end"
    )
    assert plain(200) == (
        "mood  +1.5 -3 ───────────────┼━━━━━●◇──────── +3  +1.21  30/s    "
        "↑↓ dose  0 mean  r free  space pause  [ ] speed  q end"
    )


def test_nothing_holds_it_and_nothing_is_known() -> None:
    assert plain(40, dose=None, value=-2.0) == "mood  free ──●━━━┼──────  -2.00  30/s"
    assert plain(40, dose=None, value=math.nan) == "mood  free ──────┼──────      ?  30/s"


def test_at_the_mean_and_beyond_the_ends() -> None:
    assert plain(40, dose=0.0, value=0.0) == "mood    +0 ──────◆──────  +0.00  30/s"
    assert plain(40, dose=None, value=4.0) == "mood  free ──────┼━━━━━▶  +4.00  30/s"
    assert plain(40, dose=-8.0, value=-3.9) == "mood    -8 ◆━━━━━┼──────  -3.90  30/s"
    assert plain(40, dose=8.0, value=-3.9) == "mood    +8 ◀━━━━━┼─────◇  -3.90  30/s"


def test_a_rounded_value_stands_where_its_dose_does() -> None:
    """Between two columns too."""
    for value in (1.4999999, 1.5000001):
        for width in range(60, 200, 10):
            assert "◆" in plain(width, value=value) and "◇" not in plain(width, value=value)


def test_waiting_is_seen_at_every_width_that_has_figures() -> None:
    for width in (32, 40, 60, 80, 120):
        assert "paused" in plain(width, paused=True)
        assert "paused" not in plain(width)
    assert "space go on" in plain(200, paused=True)
    assert "full" in plain(40, speed=0.0)


def test_a_long_name_is_cut_and_a_foreign_sign_shown() -> None:
    assert plain(40, name="настроение_рецензии").startswith("настрое…  +1.5 ───")
    assert plain(120, name="настроение_рецензии").startswith("настроение_рецензии  +1.5 -3")
    assert "\x1b" not in plain(120, name="a\x1b[2Jb")


def test_plain_signs_where_the_stream_lacks_others() -> None:
    line = gauge_line(reading(), 80, encoding="ascii").plain
    assert line.isascii()
    assert line.startswith("mood  +1.5 -3 ------|=o^--- +3  +1.21  30/s    +- dose")


def test_colours_where_they_are_allowed() -> None:
    assert gauge_line(reading(), 80).spans == [] or not any(
        span.style for span in gauge_line(reading(), 80).spans
    )
    above = gauge_line(reading(), 80, ColorDepth.EIGHT_BIT)
    below = gauge_line(reading(dose=-1.5, value=-1.2), 80, ColorDepth.EIGHT_BIT)
    assert above.plain == gauge_line(reading(), 80).plain
    colours = [{str(span.style) for span in line.spans} for line in (above, below)]
    assert all(any("color(" in style for style in styles) for styles in colours)
    assert colours[0] != colours[1]


@given(
    width=st.integers(1, 250),
    dose=st.none() | st.floats(-10, 10),
    value=st.floats(-1e6, 1e6) | st.just(math.nan),
    speed=st.floats(0, 500),
    paused=st.booleans(),
    name=st.text(min_size=1, max_size=70),
    depth=st.sampled_from(ColorDepth),
)
def test_it_fits(width: int, name: str, depth: ColorDepth, **parts: object) -> None:
    line = gauge_line(reading(name=name, **parts), width, depth)
    assert line.cell_len <= width
    assert "\n" not in line.plain


@pytest.mark.parametrize("width", range(1, 200, 7))
def test_what_it_says_does_not_jump_with_what_it_shows(width: int) -> None:
    """The parts stand at the same columns whatever is held and whether it waits."""
    lengths = {
        gauge_line(reading(dose=dose, value=value, paused=paused), width).cell_len
        for dose in (None, 0.0, -10.0)
        for value in (math.nan, 0.0, -12.34)
        for paused in (False, True)
    }
    assert len(lengths) == 1
