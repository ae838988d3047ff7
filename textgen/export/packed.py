"""A model packed for the live page: its weights in 16 or 8 bits, and what the page must know.

The page reads it with `unpacked` of textgen/page/network.js. Between the members of a model
(`textgen.model.members`) lie zeros, which are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textgen.cells import BUILT_IN
from textgen.checkpoint import SavedModel
from textgen.errors import ConfigError, named
from textgen.inspection.anatomy import equations_of, symbol_of
from textgen.inspection.page_data import label_of
from textgen.inspection.trace import own_name, quantities
from textgen.model.config import ModelConfig
from textgen.model.label_vectors import LABEL_INPUT
from textgen.model.members import join, member_config, split
from textgen.model.network import Floats
from textgen.steering import Target

#: Of whole numbers of 8 bits so many in a row have one scale.
GROUP = 32
#: With 8 bits a weight, matrices with less than this share of all weights keep 16: they are read
#: with the most exact numbers, and hardly make the file larger.
SMALL = 0.1
#: More networks side by side than training ever makes of itself.
_MOST_MEMBERS = 16


@dataclass(frozen=True)
class PackedModel:
    """A model as the page reads it.

    Args:
        description: Plain data.
        data: The weights.
        weights: What the page computes with: the weights as they are rounded.
    """

    description: dict[str, Any]
    data: bytes
    weights: dict[str, Floats]


def pack(
    saved: SavedModel, bits: int, *, name: str = "", targets: Sequence[Target] = ()
) -> PackedModel:
    """Pack a model.

    Args:
        saved: The model.
        bits: Of a weight, 16 or 8; vectors, such as biases, keep all of theirs, and small
            matrices at least 16.
        name: What the page calls it.
        targets: What was saved to be steered.
    Raises:
        ConfigError: The page cannot show such a model; the message says why.
    """
    told = described(saved, name=name, targets=targets)
    config = saved.config
    members = members_of(config, saved.weights)
    in_all = sum(weight.size for weight in saved.weights.values())
    weights: dict[str, Floats] = {}
    tensors: list[dict[str, Any]] = []
    parts: list[bytes] = []

    def add(name: str, kind: str, data: bytes, **told: Any) -> None:
        tensors.append({"name": name, "kind": kind, "offset": sum(map(len, parts)), **told})
        parts.append(data)

    for key, weight in saved.weights.items():
        if weight.ndim == 1:
            weights[key] = weight
            add(key, "float32", weight.astype("<f4").tobytes(), count=weight.size)
            continue
        apart = members if key.startswith("layers.") else 1
        own = _own_columns(weight, config.hidden_size, apart)
        own_bits = 16 if weight.size < SMALL * in_all else bits
        kind, group, data, rounded = _rounded(own, own_bits)
        weights[key] = _all_columns(rounded, config.hidden_size, apart)
        matrix = {
            "rows": own.shape[0],
            "width": own.shape[1],
            "block": config.hidden_size,
            "members": apart,
        }
        add(key, kind, data, count=own.size, group=group, matrix=matrix)
    for number, target in enumerate(targets):
        for key, vector in (("read", target.read), ("write", target.write)):
            if vector is not None:
                data = vector.astype("<f4").tobytes()
                add(f"directions.{number}.{key}", "float32", data, count=vector.size)
    return PackedModel({**told, "tensors": tensors}, b"".join(parts), weights)


def refuse_unknown(saved: SavedModel) -> None:
    """Refuse a model that the page cannot compute.

    Raises:
        ConfigError: Its cell is one of a user, or its output is a vector.
    """
    config = saved.config
    onnx = "a file for ONNX can hold any model: textgen export onnx FILE"
    if config.cell not in BUILT_IN:
        raise ConfigError(
            f"the cell '{config.cell}' is one of your own, and the page has the equations of "
            f"{', '.join(BUILT_IN)} alone; {onnx}"
        )
    if config.has_vector_output:
        raise ConfigError(
            f"the output of this model is a vector ({named('loss')} {config.head}), and the page "
            f"shows a score for each symbol; {onnx}"
        )


def members_of(config: ModelConfig, weights: dict[str, Floats]) -> int:
    """How many networks side by side a model is: the most between which all weights are zero."""
    layers = {name for name in weights if name.startswith("layers.")}
    for members in range(_MOST_MEMBERS, 1, -1):
        try:
            member_config(config, members)
        except ConfigError:
            continue
        again = join(split(weights, config, members), config)
        if all(np.array_equal(again[name], weights[name]) for name in layers):
            return members
    return 1


def _own_columns(weight: Floats, block: int, members: int) -> Floats:
    """The columns of each row's member: of `(rows, columns)` the part `(rows, columns / M)`."""
    rows, columns = weight.shape
    size, width = block // members, columns // members
    if members == 1:
        return weight
    blocks = weight.reshape(-1, members, size, members, width)
    own = np.stack([blocks[:, member, :, member] for member in range(members)], axis=1)
    return own.reshape(rows, width)


def _all_columns(own: Floats, block: int, members: int) -> Floats:
    """The whole weight again, with zeros between the members."""
    rows, width = own.shape
    size = block // members
    if members == 1:
        return own
    whole = np.zeros((rows // block, members, size, members, width), np.float32)
    parts = own.reshape(-1, members, size, width)
    for member in range(members):
        whole[:, member, :, member] = parts[:, member]
    return whole.reshape(rows, members * width)


def _rounded(weight: Floats, bits: int) -> tuple[str, int, bytes, Floats]:
    """The kind, the group, the bytes and the rounded numbers of a matrix.

    Of 16 bits there are two kinds, half precision and whole numbers with a scale for each row; the
    one that is nearer to the weights is taken. A model that was saved in half precision keeps
    every number.
    """
    if bits == 8:
        return _whole_numbers(weight, 8, GROUP)
    with np.errstate(over="ignore"):
        half = weight.astype("<f2")
    rounded = half.astype(np.float32)
    whole = _whole_numbers(weight, 16, weight.shape[1])
    if np.square(rounded - weight).sum() <= np.square(whole[3] - weight).sum():
        return "half", 1, half.tobytes(), rounded
    return whole


def _whole_numbers(weight: Floats, bits: int, group: int) -> tuple[str, int, bytes, Floats]:
    """Whole numbers, and for each group of columns of a row the scale that they are multiplied
    by."""
    rows, columns = weight.shape
    most = 2 ** (bits - 1) - 1
    padded = np.pad(weight, ((0, 0), (0, -columns % group))).reshape(rows, -1, group)
    scales = np.abs(padded).max(axis=2, keepdims=True) / np.float32(most)
    scales[scales == 0.0] = 1.0
    numbers = np.rint(padded / scales)
    rounded = (numbers * scales).reshape(rows, -1)[:, :columns]
    kept = numbers.reshape(rows, -1)[:, :columns].astype(f"<i{bits // 8}")
    return f"int{bits}", group, scales.astype("<f4").tobytes() + kept.tobytes(), rounded


def described(
    saved: SavedModel, *, name: str = "", targets: Sequence[Target] = ()
) -> dict[str, Any]:
    """What the page must know of a model besides its weights; the arguments are those of `pack`.

    Raises:
        ConfigError: The page cannot show such a model; the message says why.
    """
    refuse_unknown(saved)
    config, vocabulary, cell = saved.config, saved.vocabulary, saved.config.cell_spec
    return {
        "name": name,
        "cell": config.cell,
        "nonlinearity": config.nonlinearity,
        "layers": config.num_layers,
        "hidden": config.hidden_size,
        "residual": config.residual,
        "states": list(cell.state_names),
        "products": [product.name for product in cell.products],
        "vectors": list(cell.vector_names),
        "quantities": {quantity: own_name(quantity) for quantity in quantities(cell)},
        "equations": _equations(config),
        "level": vocabulary.level,
        "symbols": list(vocabulary.symbols),
        "folded": vocabulary.folded,
        "spelled": vocabulary.spelled,
        "junctions": list(vocabulary.junctions),
        "normalization": saved.normalization.to_dict(),
        "labels": [label_of(vocabulary, token) for token in range(len(vocabulary))],
        "primer": list(saved.primer),
        "mayEnd": saved.writes_documents or saved.reads_pairs,
        "history": saved.history or 0,
        "directions": [_direction(target) for target in targets],
        "voices": list(config.labels),
        "labelInput": float(LABEL_INPUT),
    }


def _equations(config: ModelConfig) -> list[dict[str, Any]]:
    """The lines of the cell, in the letters of the lectures."""
    cell = config.cell_spec
    by_symbol = {symbol_of(quantity, cell): quantity for quantity in quantities(cell)}
    lines = []
    for each in equations_of(cell):
        # The letter f stands for the function that an rnn was given.
        name, formula = re.sub(r"\bf\(", f"{config.nonlinearity}(", each.joined).split(" = ", 1)
        function = {"f": config.nonlinearity, "×": ""}.get(each.function, each.function)
        lines.append(
            {
                "symbol": each.symbol,
                "name": name,
                "formula": formula,
                "right": each.right,
                "action": function if each.is_layer else "",
                "quantity": by_symbol.get(each.symbol),
            }
        )
    return lines


def _direction(target: Target) -> dict[str, Any]:
    """What was saved to be steered, but for its vectors."""
    return {
        "name": target.name,
        "layer": target.layer,
        "quantity": target.quantity,
        "unit": target.unit,
        "mean": target.mean,
        "sd": target.sd,
        "sign": target.sign,
    }
