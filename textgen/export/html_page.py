"""A page in which a model runs: one HTML file, opened from the disk, that needs no network.

Each weight takes 16 bits, or 8 where the file would be too large otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from textgen.checkpoint import SavedModel
from textgen.export.exported import Exported, logits_of, refuse_existing, trial, write_all
from textgen.export.packed import PackedModel, described, pack
from textgen.inspection.neuron_report import FeatureScore
from textgen.inspection.trace import Neuron
from textgen.model.label_vectors import with_label
from textgen.model.numpy_network import NumpyNetwork
from textgen.page.render import LiveModel, render_live
from textgen.progress import task
from textgen.steering import Target

#: A file of more bytes takes 8 bits a weight.
LARGEST = 4_000_000


@dataclass(frozen=True, kw_only=True)
class ShownModel:
    """A model for a page.

    Args:
        saved: The model, with the vectors of its labels.
        name: What the page calls it.
        targets: What was saved to be steered, in the order of the page's sliders.
        notes: Of a quantity what its neurons follow; None: it is not known.
    """

    saved: SavedModel
    name: str
    targets: Sequence[Target] = ()
    notes: tuple[str, Mapping[Neuron, FeatureScore]] | None = None

    @property
    def shape(self) -> str:
        """Its cell and its size in a few words."""
        config = self.saved.config
        return f"{config.cell.upper()} {config.num_layers} × {config.hidden_size}"


def write_html(models: Sequence[ShownModel], path: Path, *, force: bool = False) -> Exported:
    """Write a page in which models run.

    Args:
        models: The first one writes; each other one reads the same text beside it.
        path: The file.
        force: Replace it if it exists.
    Returns:
        What was written; `difference` is what a logit loses by the rounding of the weights.
    Raises:
        ConfigError: It exists, or the page cannot show one of the models.
        StorageError: It cannot be written.
    """
    refuse_existing([path], force=force)
    with task("packing the weights"):
        packed, html = _page(models, 16)
        notices: tuple[str, ...] = ()
        if len(html) > LARGEST:
            large = len(html)
            packed, html = _page(models, 8)
            notices = (
                f"a weight takes 8 bits: with 16 the file would have {large:,} bytes, more than "
                f"{LARGEST:,}",
            )
    with task("comparing the page with the model"):
        differences = []
        for model, own in zip(models, packed, strict=True):
            config = model.saved.config
            # Without a label, and under one.
            for shares in ({}, *({name: 1.0} for name in config.labels[:1])):
                ids_TB, expected = trial(model.saved.labelled(shares))
                network = NumpyNetwork(*with_label(config, own.weights, shares))
                found = logits_of(network, ids_TB)
                differences.append(float(np.abs(found - expected).max()))
    files = write_all(path.parent, {path.name: html})
    return Exported(path, files, len(ids_TB), max(differences), notices)


def _page(models: Sequence[ShownModel], bits: int) -> tuple[list[PackedModel], bytes]:
    packed = [pack(each.saved, bits, targets=each.targets) for each in models]
    html = render_live(
        [_live(each, own.description, own.data) for each, own in zip(models, packed, strict=True)],
        title=", ".join(dict.fromkeys(each.name for each in models)),
        # The name of one model is the title.
        facts=[f"{each.name}: {each.shape}" if len(models) > 1 else each.shape for each in models],
    )
    return packed, html.encode()


def served_page(model: ShownModel, most_tokens: int, most_read: int) -> bytes:
    """A page that asks the server it comes from for the steps of a model.

    Args:
        model: The model.
        most_tokens: That the server writes at a request.
        most_read: Symbols that it reads at a request.
    Raises:
        ConfigError: The page cannot show the model.
    """
    description = described(model.saved, name=model.name, targets=model.targets)
    # The gradient is torch's.
    limits = {
        "tokens": most_tokens,
        "read": most_read,
        "influence": find_spec("torch") is not None,
    }
    facts = (model.shape, "computed by the server")
    shown = [_live(model, description)]
    return render_live(shown, title=model.name, facts=facts, served=limits).encode()


def _live(model: ShownModel, description: dict[str, Any], weights: bytes = b"") -> LiveModel:
    if model.notes is not None:
        quantity, found = model.notes
        followed = {
            f"{layer}:{unit}": (score.feature, round(score.correlation or 0.0, 2))
            for (layer, unit), score in found.items()
        }
        description = {**description, "notes": {"quantity": quantity, "followed": followed}}
    return LiveModel(name=model.name, description=description, weights=weights)
