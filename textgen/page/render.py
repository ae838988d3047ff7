"""A page's data becomes HTML: one file that asks nothing of any network.

Nothing of the data is ever read as markup or as code: numbers travel in base64, texts as JSON in
which `<`, `>` and `&` are escaped, what stands in the HTML itself is escaped for it, and the
scripts write texts only as texts. A policy in the page's head allows its own script and style, by
their hashes, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import asdict
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from textgen.page.colors import COLORS, color_rules
from textgen.page.page import STEPS, Page
from textgen.terminal.text import visible

#: The page's program, in the order in which it is read.
SCRIPTS = ("data.js", "text.js", "neurons.js", "panel.js", "page.js")

#: A probability of 1 is stored as this.
PROBABILITY_ONE = 65_535


def render(page: Page) -> str:
    """The page as HTML, to be written as UTF-8.

    Args:
        page: Its texts may hold anything, markup and lone surrogates included.
    """
    style = f"{_resource('page.css')}\n{color_rules()}\n"
    script = "\n".join(map(_resource, SCRIPTS))
    wide = len(page.labels) > 0x10000
    parts = {
        "title": html.escape(visible(page.title)),
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "facts": "".join(f"<li>{html.escape(visible(fact))}</li>" for fact in page.facts),
        "notice": html.escape(visible(page.notice)),
        "text": html.escape(visible("".join(page.pieces), keep_newlines=True)),
        "data": _json(
            {
                "noun": page.noun,
                "pieces": page.pieces,
                "rows": [asdict(row) for row in page.rows],
                "labels": page.labels,
                "top": int(page.next_labels.shape[1]),
                "labelBytes": 4 if wide else 2,
                "probabilityOne": PROBABILITY_ONE,
                "steps": STEPS,
                "colors": COLORS,
                "neurons": page.neurons,
                "neuronsInAll": page.neurons_in_all,
            }
        ),
        "values": _base64(page.values),
        "bits": _base64(page.bits.astype("<f4")),
        "next_labels": _base64(page.next_labels.astype("<u4" if wide else "<u2")),
        "next_probabilities": _base64(
            np.rint(np.asarray(page.next_probabilities, np.float64) * PROBABILITY_ONE).astype("<u2")
        ),
    }
    # In one pass: what stands in for one place is never searched for another.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _resource("page.html"))


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
