"""A dictionary of a layer's states: many directions, of which few act at a time.

A state is read by an encoder and put together again by a decoder:

    a_k = e_k . x + b_k where that is above the threshold, else 0        (a latent)
    x'  = center + sum of a_k d_k, each d_k of length 1                  (the reconstruction)

The threshold is one number for all latents. It takes the place of "the k largest", by which the
dictionary was learned: so a latent can be read alone, by one product, wherever a neuron can.
Source: Bussmann, Leask and Nanda 2024, arXiv:2412.06410 (BatchTopK), section 3.

The file lies beside the model, in the folder of what was saved by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint.format import (
    Layout,
    naming,
    read_file,
    require_finite,
    require_tensors,
    write_file,
)
from textgen.errors import (
    CheckpointCorruptError,
    CheckpointFormatError,
    ConfigError,
    InspectionError,
    StorageError,
)
from textgen.files import make_folder
from textgen.heat import LATENT
from textgen.messages import call
from textgen.model.config import ModelConfig
from textgen.model.edit import StateName
from textgen.notebook import Part, Shown
from textgen.steering import Target, targets_folder
from textgen.steering.target import QUANTITY_OF
from textgen.table import Table

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

KIND = "dictionary"
#: A dictionary has at most so many latents.
MOST_LATENTS = 65_536
#: A latent whose encoder hardly sees its own direction cannot be moved along it.
_LEAST_GAIN = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Dictionary(Shown):
    """Directions in one layer's state, of which few act at a time.

    Args:
        layer: The layer, from 0.
        state: `h` or `c`.
        center_H: What every reconstruction begins with.
        encoder_KH: What each latent reads of a state.
        bias_K: What is added to that.
        decoder_KH: What each latent adds to a reconstruction; of length 1.
        threshold: Up to this value a latent reads 0; minus infinity where all of them always act,
            as principal components do.
        mean_K: Mean of `encoder . x` over text.
        sd_K: Its standard deviation: the unit of a dose.
        model: Checksum of the weights of its model; "" is not known.
        info: How it was learned, for people: plain data.
    """

    layer: int
    state: StateName
    center_H: Floats
    encoder_KH: Floats
    bias_K: Floats
    decoder_KH: Floats
    threshold: float
    mean_K: Floats
    sd_K: Floats
    model: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """How many latents, of what."""
        return f"{self.size:,} latents of layer {self.layer}, {self.source} state"

    def parts(self) -> Iterable[Part]:
        """How it was learned."""
        rows = [
            (str(key), value if isinstance(value, int | float) else str(value))
            for key, value in self.info.items()
        ]
        yield Table(("key", "value"), rows)

    @property
    def name(self) -> str:
        """What its latents are as a quantity."""
        return LATENT

    @property
    def source(self) -> str:
        """The quantity that it reads: `hidden` or `cell`."""
        return QUANTITY_OF[self.state]

    @property
    def size(self) -> int:
        """How many latents it has."""
        return len(self.bias_K)

    def encode(self, x_TH: Floats, columns: Sequence[int] | Ints | None = None) -> Floats:
        """The activations of the latents in some states, `(T, K)`; of `columns` alone, if given."""
        encoder_KH, bias_K = self.encoder_KH, self.bias_K
        if columns is not None:
            encoder_KH, bias_K = encoder_KH[columns], bias_K[columns]
        a_TK: Floats = x_TH @ encoder_KH.T
        a_TK += bias_K
        if self.threshold > -np.inf:
            a_TK[a_TK <= self.threshold] = 0.0
        return a_TK

    def decode(self, a_TK: Floats) -> Floats:
        """The states that some activations stand for, `(T, H)`."""
        x_TH: Floats = a_TK @ self.decoder_KH
        x_TH += self.center_H
        return x_TH

    @cached_property
    def movable_K(self) -> NDArray[np.bool_]:
        """Which latents read their own direction, and can be moved along it."""
        gain_K, square_K = (
            np.einsum("kh,kh->k", self.encoder_KH, other_KH, dtype=np.float64)
            for other_KH in (self.decoder_KH, self.encoder_KH)
        )
        movable: NDArray[np.bool_] = (gain_K >= _LEAST_GAIN * np.sqrt(square_K)) & (gain_K != 0.0)
        return movable

    def check_latent(self, number: int) -> int:
        """`number`, if there is such a latent.

        Raises:
            InspectionError: There is none.
        """
        if not 0 <= number < self.size:
            raise InspectionError(
                f"there is no {LATENT}:{number}; the dictionary has {LATENT}:0 to "
                f"{LATENT}:{self.size - 1}"
            )
        return number

    def target(self, number: int) -> Target:
        """A latent as what is read and steered.

        Its coordinate is what the encoder reads; the state moves along the decoder, so far that the
        coordinate moves as much as it should.

        Raises:
            ConfigError: Its encoder does not see its own direction, as that of many dead latents.
        """
        self.check_latent(number)
        read_H, write_H = self.encoder_KH[number], self.decoder_KH[number]
        gain = float(read_H.astype(np.float64) @ write_H.astype(np.float64))
        if not self.movable_K[number]:
            raise ConfigError(
                f"{LATENT}:{number} does not read its own direction, as is usual of a dead latent, "
                "so nothing can be said or moved by it; choose another one"
            )
        return Target(
            name=f"{LATENT}:{number}",
            layer=self.layer,
            state=self.state,
            mean=float(self.mean_K[number]),
            sd=float(self.sd_K[number]),
            read=read_H,
            write=write_H / np.float32(gain),
            bias=float(self.bias_K[number]),
            threshold=self.threshold,
            model=self.model,
            info={"kind": LATENT, LATENT: number},
        )

    def save(self, model: Path) -> Path:
        """Save it beside a model's file, in place of one that is there.

        Raises:
            StorageError: It could not be written.
        """
        path = dictionary_path(model)
        make_folder(path.parent, within=path.parent.parent)
        header = {
            "layer": self.layer,
            "state": self.state,
            "threshold": self.threshold,
            "model": self.model,
            "info": dict(self.info),
        }
        tensors = {name: getattr(self, name) for name in _shapes(0, 0)}
        write_file(path, kind=KIND, header=header, tensors=tensors)
        return path


def _shapes(latents: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a dictionary's file."""
    own, wide = (latents,), (latents, hidden_size)
    return {
        "center_H": (hidden_size,),
        "encoder_KH": wide,
        "bias_K": own,
        "decoder_KH": wide,
        "mean_K": own,
        "sd_K": own,
    }


def dictionary_path(model: Path) -> Path:
    """Where the dictionary of a model's file lies."""
    return targets_folder(model) / "dictionary.safetensors"


def load_dictionary(model: Path, digest: str, config: ModelConfig) -> Dictionary:
    """The dictionary beside a model's file.

    Args:
        model: The model's file.
        digest: The checksum of its weights.
        config: Its shape.
    Raises:
        ConfigError: There is none, or it is of other weights or another shape.
        CheckpointError: The file is damaged, or by a newer version.
        StorageError: It cannot be read, or is a link.
    """
    path = dictionary_path(model)
    if not path.exists():
        raise ConfigError(
            f"no dictionary of latents was learned for {model}; learn one: "
            f"{call('inspect features', 'corpus.txt')}"
        )
    for place in (path, path.parent):
        if place.is_symlink():
            raise StorageError(
                f"cannot read {path}: {place} is a link, and none is followed there; copy what it "
                "leads to in its place"
            )
    header, tensors = read_file(path, kind=KIND, check=lambda layout: _check(layout, config))
    with naming(path):
        require_finite(tensors)
        if (tensors["sd_K"] < 0.0).any():
            raise CheckpointCorruptError("a standard deviation in it is below 0")
        if not np.allclose(np.linalg.norm(tensors["decoder_KH"], axis=1), 1.0, atol=1e-3):
            raise CheckpointCorruptError("a direction in its decoder has another length than 1")
    found = Dictionary(
        layer=header["layer"],
        state=cast(StateName, header["state"]),
        threshold=float(header["threshold"]),
        model=header["model"],
        info=header["info"],
        **cast(dict[str, Any], tensors),
    )
    if found.model != digest:
        raise ConfigError(
            f"{path} was learned from other weights than those of {model}, which were trained "
            f"since; learn it again: {call('inspect features', 'corpus.txt', force=True)}"
        )
    return found


def _check(layout: Layout, config: ModelConfig) -> None:
    """Refuse a file that holds no dictionary of such a model, before its tensors are read."""
    header = layout.header
    kinds = {"layer": int, "state": str, "threshold": float, "model": str, "info": dict}
    for key, kind in kinds.items():
        if type(header.get(key)) is not kind:
            raise CheckpointCorruptError(f"its header has no proper '{key}'")
    if header["state"] not in QUANTITY_OF or header["layer"] < 0:
        raise CheckpointFormatError("is a dictionary of a layer or state that there is not")
    if not isfinite(header["threshold"]):
        raise CheckpointCorruptError("its threshold is not finite")
    wide = layout.tensors.get("encoder_KH")
    if wide is None or len(wide.shape) != 2:
        raise CheckpointCorruptError("tensor 'encoder_KH' is missing, or no matrix")
    latents, width = wide.shape
    if not 1 <= latents <= MOST_LATENTS:
        raise CheckpointFormatError(f"holds {latents:,} latents; {MOST_LATENTS:,} are the most")
    if (
        header["layer"] >= config.num_layers
        or header["state"] not in config.cell_spec.state_names
        or width != config.hidden_size
    ):
        raise ConfigError(
            f"the dictionary is of layer {header['layer']}, state {header['state']}, {width} "
            "neurons, which the model does not have; learn another one: "
            f"{call('inspect features', 'corpus.txt', force=True)}"
        )
    require_tensors(layout.tensors, _shapes(*wide.shape), "float32")
