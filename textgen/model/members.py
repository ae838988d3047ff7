"""Several networks as one, whose logits are the mean of theirs: an ensemble.

Networks that were drawn and trained apart are wrong in different places, and the mean of their
predictions is better than each (Hansen and Salamon 1990). Networks of one shape are one wider
network whose matrices are block-diagonal: each member has neurons, and a part of the symbols'
vectors, of its own. So a file needs no new format, and all that reads a model reads this one.

`M` members, `H` neurons and an embedding of `E` in all, `h` and `e` of a member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from textgen.errors import ConfigError, named
from textgen.model.config import ModelConfig

Floats = NDArray[np.float32]


def member_config(config: ModelConfig, members: int) -> ModelConfig:
    """The shape of one of `members` equal networks that make up a model of shape `config`.

    Raises:
        ConfigError: The neurons or the embedding cannot be shared out, or the output is not a mean.
    """
    if members == 1:
        return config
    if config.tie or config.has_vector_output or config.frozen_embedding:
        raise ConfigError(
            f"{named('members', members)}: the networks need an output and symbols' vectors of "
            f"their own, so leave out {named('tie')}, {named('freeze_embedding')} and "
            f"{named('loss')}"
        )
    for name in ("hidden_size", "embedding_size"):
        size = getattr(config, name)
        if size % members:
            raise ConfigError(
                f"{named(name, size)} cannot be shared out among {members} networks "
                f"({named('members')}); give a multiple of {members}, such as "
                f"{-(-size // members) * members}"
            )
    return replace(
        config,
        hidden_size=config.hidden_size // members,
        embedding_size=config.embedding_size // members,
    )


def join(weights_M: Sequence[Mapping[str, Floats]], config: ModelConfig) -> dict[str, Floats]:
    """The weights of members as those of one network of shape `config`."""
    members = len(weights_M)
    if members == 1:
        return dict(weights_M[0])
    joined: dict[str, Floats] = {}
    for name, shape in config.tensor_shapes().items():
        own = [weights[name] for weights in weights_M]
        weight: Floats
        if name == "embedding.weight":
            weight = np.concatenate(own, axis=1)
        elif name == "labels.weight":
            blocks = [part.reshape(len(part), -1, 1, _size(config, members)) for part in own]
            weight = np.concatenate(blocks, axis=2).reshape(shape)
        elif name == "head.weight":
            weight = np.concatenate(own, axis=1) / np.float32(members)
        elif name == "head.bias":
            weight = np.stack(own).mean(axis=0, dtype=np.float32)
        else:
            weight = np.zeros(shape, np.float32)
            for part, member in zip(_parts(weight, config, members), own, strict=True):
                part[...] = member.reshape(part.shape)
        joined[name] = weight
    return joined


def split(
    weights: Mapping[str, Floats], config: ModelConfig, members: int
) -> list[dict[str, Floats]]:
    """The members' weights: the inverse of `join`, but that all have the mean of their biases of
    the output.

    What lies between the members is left out.
    """
    if members == 1:
        return [dict(weights)]
    shapes = member_config(config, members).tensor_shapes()
    apart: list[dict[str, Floats]] = [{} for _ in range(members)]
    for name, shape in shapes.items():
        weight = weights[name]
        if name == "embedding.weight":
            own = np.split(weight, members, axis=1)
        elif name == "labels.weight":
            blocks = weight.reshape(len(weight), -1, members, _size(config, members))
            own = np.split(blocks, members, axis=2)
        elif name == "head.weight":
            own = np.split(weight * np.float32(members), members, axis=1)
        elif name == "head.bias":
            own = [weight] * members
        else:
            own = _parts(weight, config, members)
        for member, part in zip(apart, own, strict=True):
            member[name] = np.ascontiguousarray(part, np.float32).reshape(shape)
    return apart


def _size(config: ModelConfig, members: int) -> int:
    """Neurons of a member."""
    return config.hidden_size // members


def _parts(weight: Floats, config: ModelConfig, members: int) -> list[Floats]:
    """Views of a layer's weight, one for each member: of its rows, a block for each gate, and of
    its columns."""
    size = _size(config, members)
    rows = weight.reshape(-1, members, size, *weight.shape[1:])
    if weight.ndim == 1:
        return [rows[:, member] for member in range(members)]
    width = weight.shape[1] // members
    return [rows[:, member, :, member * width : (member + 1) * width] for member in range(members)]
