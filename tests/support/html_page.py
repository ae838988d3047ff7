"""A small network with weights drawn at random, and what an HTML page holds, read back."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np

from textgen.corpus.vocabulary import Vocabulary
from textgen.inspection.page_data import page_of
from textgen.inspection.trace import Trace, trace_chunks
from textgen.model.config import ModelConfig
from textgen.model.numpy_network import NumpyNetwork
from textgen.page.render import Page


def network_of(vocabulary: Vocabulary, *, hidden_size: int = 6, layers: int = 2) -> NumpyNetwork:
    """The same one each time."""
    rng = np.random.default_rng(5)
    config = ModelConfig(
        vocab_size=len(vocabulary),
        embedding_size=4,
        hidden_size=hidden_size,
        num_layers=layers,
    )
    return NumpyNetwork(
        config,
        {
            name: rng.normal(0.0, 0.6, shape).astype(np.float32)
            for name, shape in config.tensor_shapes().items()
        },
    )


def page_data(network: NumpyNetwork, vocabulary: Vocabulary, text: str, **settings: Any) -> Page:
    """The page of a text by a network alone; `survey` and `name` are those of its model."""

    def survey(ids: np.ndarray, quantities: list[str]) -> Iterator[Trace]:
        return trace_chunks(network, ids, quantities=quantities)

    model: Any = SimpleNamespace(
        name=settings.pop("name", "a model"),
        network=network,
        saved_names=(),
        survey=settings.pop("survey", survey),
        saved=SimpleNamespace(
            config=network.config,
            vocabulary=vocabulary,
            normalization=SimpleNamespace(apply=str),
        ),
    )
    return page_of(model, text, **settings)


class HTMLPage:
    """A page's HTML and the data in it.

    Args:
        html: The page.
    """

    def __init__(self, html: str) -> None:
        self.html = html
        self.elements = _Elements(html)
        self.data: dict[str, Any] = json.loads(self.elements.texts["data"])
        self.count = len(self.data["pieces"])

    def _numbers(self, name: str, kind: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(self.elements.texts[name]), kind)

    @property
    def values(self) -> np.ndarray:
        """`(rows, T)`, as the page reads them."""
        rows = self.data["rows"]
        low = np.array([[row["minimum"]] for row in rows])
        high = np.array([[row["maximum"]] for row in rows])
        numbers = self._numbers("values", "u1").reshape(len(rows), self.count)
        return low + numbers * ((high - low) / self.data["steps"])

    @property
    def bits(self) -> np.ndarray:
        """`(T,)`."""
        return self._numbers("bits", "<f4")

    @property
    def next_symbols(self) -> np.ndarray:
        """`(T, top)`."""
        numbers = self._numbers("next-labels", f"<u{self.data['labelBytes']}")
        return np.array(self.data["labels"])[numbers].reshape(self.count, -1)

    @property
    def next_probabilities(self) -> np.ndarray:
        """`(T, top)`."""
        numbers = self._numbers("next-probabilities", "<u2")
        return numbers.reshape(self.count, -1) / self.data["probabilityOne"]


class _Elements(HTMLParser):
    """The elements of a page: how many of each, and the text in those that have an id."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.counts: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "input", "br", "link", "img"):
            self._open.append(dict(attrs).get("id") or "")

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1]:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data
