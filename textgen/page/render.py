"""A page: its data, and the HTML that becomes of it, one file that asks nothing of any network.

Its values are recorded (`render`), or the models stand in it and compute them (`render_live`).
Nothing of the data is ever read as markup or as code: numbers travel in base64, texts as JSON in
which `<`, `>` and `&` are escaped, and the scripts write texts only as texts. A policy in the
page's head allows its own script and style, by their hashes, and no request at all, or requests to
the server that the page comes from where that computes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.heat import HeatRow
from textgen.terminal.palette import RGB, Palette
from textgen.terminal.text import visible

_COMMON = ("words.js", "data.js", "text.js", "neurons.js", "panel.js", "page.js")
#: A text that models read, whoever computes; and what is done with it.
_READ = ("vocabulary.js", "equations.js", "so_far.js")
_USED = ("live_reading.js", "holds.js", "writing.js", "looking.js", "live.js")
#: The programs of each kind of page, in the order in which they are read: values are recorded, the
#: page computes, or it asks a server.
RECORDED = (*_COMMON, "recorded.js")
LIVE = (*_COMMON, *_READ, "cells.js", "network.js", "windows.js", "source.js", *_USED)
SERVED = (*_COMMON, *_READ, "served.js", *_USED)

#: A probability of 1 is stored as this.
PROBABILITY_ONE = 65_535


#: Values are kept as whole numbers from 0 to this.
STEPS = 255


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """A page before it is drawn.

    Args:
        title: What the text is, such as a file's name.
        facts: Short facts on model and text, shown below the title.
        noun: What a piece is: "character" or "token".
        pieces: The text piece by piece, `T` of them.
        rows: What can colour it, at least one. The first that is a neuron (else the first) colours
            it when the page is opened.
        spreads: How much each row varies, `(rows,)`; the list begins with the highest.
        bits: What each piece cost, `(T,)`, in bits.
        labels: The names of the tokens that `next_labels` means.
        next_labels: The most likely next tokens after each piece, best first, as numbers of
            `labels`, `(T, top)`.
        next_probabilities: Their probabilities, `(T, top)`.
        neurons_in_all: How many neurons there were to choose from.
        notice: Something to know of the page as a whole, such as what was left out; "" for none.
    Raises:
        ValueError: The sizes do not fit each other, or a scale has no extent.
    """

    title: str
    facts: tuple[str, ...]
    noun: str = "character"
    pieces: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    spreads: tuple[float, ...]
    bits: NDArray[np.floating]
    labels: tuple[str, ...]
    next_labels: NDArray[np.integer]
    next_probabilities: NDArray[np.floating]
    neurons_in_all: int
    notice: str = ""

    def __post_init__(self) -> None:
        count = len(self.pieces)
        sizes = {len(row.values) for row in self.rows}
        if sizes != {count} or len(self.spreads) != len(self.rows):
            raise ValueError(f"{len(self.rows)} rows and {count} pieces, but {sizes} values")
        if self.bits.shape != (count,):
            raise ValueError(f"{count} pieces, but costs {self.bits.shape}")
        shape = self.next_labels.shape
        if shape != self.next_probabilities.shape or shape[:1] != (count,):
            raise ValueError(
                f"{count} pieces, but next tokens {shape} and their probabilities "
                f"{self.next_probabilities.shape}"
            )
        for row in self.rows:
            if not row.low < row.high:
                raise ValueError(f"the scale {row.low}..{row.high} of {row.name} has no extent")

    @property
    def neurons(self) -> int:
        """How many neurons it shows."""
        return sum(row.layer is not None for row in self.rows)


def quantise(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """One row of values in 8 bits: 0 is the lowest of them, `STEPS` the highest.

    Read back as `minimum + number * (maximum - minimum) / STEPS`, a value is at most half a step
    off.
    """
    wide = np.asarray(values, np.float64)
    if not wide.size:
        return np.empty(0, np.uint8)
    low, high = wide.min(), wide.max()
    if not low < high:
        return np.zeros(wide.shape, np.uint8)
    result: NDArray[np.uint8] = np.rint((wide - low) * (STEPS / (high - low))).astype(np.uint8)
    return result


def render(page: Page) -> str:
    """The page as HTML, to be written as UTF-8.

    Args:
        page: Its texts may hold anything, markup and lone surrogates included.
    """
    wide = len(page.labels) > 0x10000
    data = {
        "noun": page.noun,
        "pieces": page.pieces,
        "rows": list(map(_row, page.rows, page.spreads)),
        "labels": page.labels,
        "top": int(page.next_labels.shape[1]),
        "labelBytes": 4 if wide else 2,
        "probabilityOne": PROBABILITY_ONE,
        "steps": STEPS,
        "neurons": page.neurons,
    }
    shares = np.rint(np.asarray(page.next_probabilities, np.float64) * PROBABILITY_ONE)
    return _file(
        RECORDED,
        data,
        {
            "values": np.stack([quantise(row.values) for row in page.rows]),
            "bits": page.bits.astype("<f4"),
            "next-labels": page.next_labels.astype("<u4" if wide else "<u2"),
            "next-probabilities": shares.astype("<u2"),
        },
        kind="recorded",
        without_scripts="The colours need JavaScript, which is switched off here. The text:",
        title=page.title,
        facts=page.facts,
        notice=page.notice,
        text="".join(page.pieces),
    )


@dataclass(frozen=True, kw_only=True)
class LiveModel:
    """A model that stands in a page and runs there.

    Args:
        name: What the page calls it.
        description: What network.js must know of it, as plain data.
        weights: Its weights, as the description says how they are to be read; none where a server
            computes.
    """

    name: str
    description: Mapping[str, Any]
    weights: bytes = b""


def render_live(
    models: Sequence[LiveModel],
    *,
    title: str,
    facts: Sequence[str] = (),
    served: Mapping[str, Any] | None = None,
) -> str:
    """A page in which models run: one types, they read and write on. HTML, to be written as UTF-8.

    Args:
        models: The first one writes; each more reads the same text beside it.
        title: The heading.
        facts: Short facts on the models, shown below it.
        served: What the server that the page comes from allows, as served.js reads it: it
            computes, and the page may ask it. None: the page computes, and may ask nobody.
    """
    data: dict[str, Any] = {
        "models": [{"name": each.name, "description": each.description} for each in models],
        "top": 5,
    }
    weights = {}
    if served is None:
        for number, each in enumerate(models):
            weights[f"weights-{number}"] = np.frombuffer(each.weights, np.uint8)
    else:
        data["served"] = served
    return _file(
        LIVE if served is None else SERVED,
        data,
        weights,
        kind="live",
        asks="'none'" if served is None else "'self'",
        without_scripts="The model runs in JavaScript, which is switched off here.",
        title=title,
        facts=facts,
    )


def _file(
    scripts: Sequence[str],
    data: Mapping[str, Any],
    numbers: Mapping[str, NDArray[np.generic]],
    *,
    kind: str,
    asks: str = "'none'",
    without_scripts: str,
    title: str,
    facts: Sequence[str],
    notice: str = "",
    text: str = "",
) -> str:
    """The HTML: the program, its data as JSON, and each array of `numbers` under its name."""
    style = f"{_resource('page.css')}\n{color_rules()}\n"
    script = "\n".join(map(_resource, scripts))
    sources = [_source("application/json", "data", _json({**data, "colors": COLORS}))]
    sources += [_source("text/plain", name, _base64(array)) for name, array in numbers.items()]
    parts = {
        "kind": kind,
        "asks": asks,
        "without_scripts": without_scripts,
        "title": html.escape(visible(title)),
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "facts": "".join(f"<li>{html.escape(visible(fact))}</li>" for fact in facts),
        "notice": html.escape(visible(notice)),
        "text": html.escape(visible(text, keep_newlines=True)),
        "sources": "".join(sources),
    }
    # In one pass: what stands in for one place is never searched for another.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _resource("page.html"))


def _source(kind: str, name: str, content: str) -> str:
    return f'<script type="{kind}" id="{name}">{content}</script>\n'


def _row(row: HeatRow, spread: float) -> dict[str, Any]:
    """What the page knows of a row apart from its values; `name` is what is typed to find it."""
    is_neuron = row.layer is not None
    return {
        "name": f"{row.layer}:{row.unit}" if is_neuron else row.name,
        "title": row.title,
        "layer": row.layer,
        "unit": row.unit,
        "quantity": row.quantity if is_neuron else "what each character cost",
        "measure": row.measure,
        "mean": row.mean,
        "sd": row.sd,
        "minimum": row.minimum,
        "maximum": row.maximum,
        "spread": spread,
        "low": row.low,
        "high": row.high,
        "note": row.note,
    }


def _resource(name: str) -> str:
    return files("textgen.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _base64(array: NDArray[np.generic]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


#: What could end the script element, or be no text: lone surrogates have no UTF-8.
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def _json(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # These stand within strings only, where JSON takes any character by its number.
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


# The hues are those of the terminal. The middle, or the low end, is the page itself, and the far
# ends are only as dark (on a dark page: as light) as lets one ink be read on all of them.
#: Each palette is cut into this many colours; odd, so that the middle is one of them.
COLORS = 65


@dataclass(frozen=True)
class Theme:
    """The colours of one theme: diverging where the sign of the values matters, else sequential."""

    ink: RGB
    diverging: Palette
    sequential: Palette


def _palette(name: str, *anchors: tuple[float, float, float]) -> Palette:
    return Palette(name, anchors, eight_bit=(), standard=())  # a browser has all colours


_PAPER = (0.99, 0.003, 90.0)
_NIGHT = (0.205, 0.006, 270.0)

LIGHT = Theme(
    ink=(0x1D, 0x1D, 0x1F),
    diverging=_palette(
        "light diverging",
        (0.67, 0.145, 256.0), (0.83, 0.085, 250.0), _PAPER, (0.86, 0.095, 62.0),
        (0.70, 0.175, 45.0),
    ),
    sequential=_palette(
        "light sequential",
        _PAPER, (0.95, 0.06, 95.0), (0.88, 0.11, 78.0), (0.79, 0.14, 56.0), (0.69, 0.16, 36.0),
    ),
)  # fmt: skip
DARK = Theme(
    ink=(0xEC, 0xEB, 0xE8),
    diverging=_palette(
        "dark diverging",
        (0.52, 0.155, 256.0), (0.37, 0.09, 256.0), _NIGHT, (0.37, 0.085, 50.0),
        (0.51, 0.145, 42.0),
    ),
    sequential=_palette(
        "dark sequential",
        _NIGHT, (0.29, 0.08, 305.0), (0.38, 0.13, 345.0), (0.455, 0.15, 15.0), (0.51, 0.145, 40.0),
    ),
)  # fmt: skip


def color_rules() -> str:
    """The style of the classes `d0` to `d64` (diverging) and `q0` to `q64` (sequential)."""
    return "\n".join(
        [
            f":root{{--ink:light-dark({_hex(LIGHT.ink)},{_hex(DARK.ink)});"
            f"--paper:light-dark({_hex(LIGHT.diverging.rgb(0.5))},{_hex(DARK.diverging.rgb(0.5))})}}",
            *(
                f".{letter}{step}{{background:light-dark({_hex(light.rgb(step / (COLORS - 1)))},"
                f"{_hex(dark.rgb(step / (COLORS - 1)))})}}"
                for letter, light, dark in (
                    ("d", LIGHT.diverging, DARK.diverging),
                    ("q", LIGHT.sequential, DARK.sequential),
                )
                for step in range(COLORS)
            ),
        ]
    )


def _hex(color: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
