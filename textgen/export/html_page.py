"""A page in which a model runs: one HTML file, opened from the disk, that needs no network.

Each weight takes 16 bits, or 8 where the file would be too large otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textgen.checkpoint import SavedModel
from textgen.export.exported import Exported, logits_of, refuse_existing, trial, write_all
from textgen.export.packed import PackedModel, pack
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
        saved: The model.
        name: What the page calls it.
        targets: What was saved to be steered, in the order of the page's sliders.
    """

    saved: SavedModel
    name: str
    targets: Sequence[Target] = ()

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
            ids_TB, expected = trial(model.saved)
            found = logits_of(NumpyNetwork(model.saved.config, own.weights), ids_TB)
            differences.append(float(np.abs(found - expected).max()))
    files = write_all(path.parent, {path.name: html})
    return Exported(path, files, len(ids_TB), max(differences), notices)


def _page(models: Sequence[ShownModel], bits: int) -> tuple[list[PackedModel], bytes]:
    packed = [pack(each.saved, bits, targets=each.targets) for each in models]
    html = render_live(
        [
            LiveModel(name=each.name, description=own.description, weights=own.data)
            for each, own in zip(models, packed, strict=True)
        ],
        title=", ".join(dict.fromkeys(each.name for each in models)),
        # The name of one model is the title.
        facts=[f"{each.name}: {each.shape}" if len(models) > 1 else each.shape for each in models],
    )
    return packed, html.encode()
