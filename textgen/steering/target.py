"""What is steered: a neuron or a direction, with the scale on which a dose is measured.

A named target is a JSON file in the folder `neurons` next to its model: `checkpoints/mine/neurons/
sentiment.json`. Numbers in it are repeated exactly, nothing in it is code.

The calibration of a model is kept there too: how every neuron is distributed over text, which is
what a dose of a bare neuron means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from textgen.errors import CheckpointCorruptError, CheckpointFormatError, ConfigError, StorageError
from textgen.files import (
    atomic_write_text,
    make_folder,
    name_fault,
    os_reason,
    read_plain,
    remove_leftovers,
)
from textgen.messages import call
from textgen.model.config import ModelConfig
from textgen.model.edit import Edit, StateName, neuron_guess
from textgen.notebook import Part, Shown
from textgen.table import Column, Entry, Table
from textgen.terminal.humanize import plural
from textgen.version import UPGRADE

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

#: Of the files of targets and of the calibration.
FORMAT = 1
#: Letters of any alphabet, digits, hyphen and underscore: what can be typed before a `=`.
_NAME = re.compile(r"[^\W\d_][\w-]{0,63}")
#: The quantity of a trace that each state is.
QUANTITY_OF: Mapping[StateName, str] = {"h": "hidden", "c": "cell"}
#: A file of this size holds directions of some 100,000 neurons; nothing larger is read.
_LARGEST_FILE = 8 << 20


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Target(Shown):
    """A coordinate of a layer's state, and how it is distributed where nobody steers.

    Args:
        name: As it is typed: `sentiment`, or `0:137`.
        layer: Layer, from 0.
        state: `h`, the output, or `c`, the cell state.
        mean: Mean of the coordinate over text.
        sd: Its standard deviation there: the unit of a dose.
        sign: -1 where a lower value means more of what the name says, as for a neuron that falls
            with praise; a dose of +1 then lowers it.
        unit: The neuron; None for a direction.
        read: Of a direction: what the state is projected on, `(H,)`.
        write: What it moves along, `(H,)`, with `read . write = 1`.
        bias: Of a latent: what is added to its projection where it is read.
        threshold: Of a latent of a dictionary: up to this sum it reads 0. None: it is no latent.
        model: Checksum of the weights of the model it was found in; "" is not known.
        info: Where it comes from, for people: as plain data.
    Raises:
        ConfigError: A number is out of range, or the parts contradict each other.
    """

    name: str
    layer: int
    state: StateName
    mean: float
    sd: float
    sign: int = 1
    unit: int | None = None
    read: Floats | None = None
    write: Floats | None = None
    bias: float = 0.0
    threshold: float | None = None
    model: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.state not in QUANTITY_OF:
            raise ConfigError(f"state '{self.state}' cannot be steered; choose h or c")
        if self.sign not in (-1, 1):
            raise ConfigError(f"the sign of '{self.name}' is {self.sign}; it must be 1 or -1")
        if not (isfinite(self.mean) and isfinite(self.sd) and self.sd >= 0.0):
            raise ConfigError(
                f"'{self.name}' has mean {self.mean} and standard deviation {self.sd}; both must "
                "be finite, and the second not negative"
            )
        if self.threshold is not None and not (isfinite(self.threshold) and isfinite(self.bias)):
            raise ConfigError(
                f"'{self.name}' has bias {self.bias} and threshold {self.threshold}; both must be "
                "finite"
            )
        if self.read is not None and self.write is not None:
            product = float(self.read.astype(np.float64) @ self.write.astype(np.float64))
            # Both are rounded to float32, and a product of H terms with them.
            if not abs(product - 1.0) < 1e-3:
                raise ConfigError(f"read . write of '{self.name}' is {product}; it must be 1")
        self.edit(1.0, 0.0)

    @property
    def headline(self) -> str:
        """What it is called, and what it is."""
        return f"{self.name}: {self.what} of layer {self.layer}, {self.quantity} state"

    @property
    def what(self) -> str:
        """What it is: a neuron, a direction or a latent."""
        if self.unit is not None:
            return f"neuron {self.layer}:{self.unit}"
        return "a direction" if self.threshold is None else "a latent"

    @property
    def usual_mode(self) -> Literal["clamp", "add"]:
        """What a dose does to it where nothing else is said.

        A latent is silent at most places, so holding it at its mean says nothing: its direction is
        added.
        """
        return "clamp" if self.threshold is None else "add"

    def parts(self) -> Iterable[Part]:
        """Its scale, and where it comes from."""
        yield f"mean {self.mean:.3g}, standard deviation {self.sd:.3g}: a dose of 1"
        columns = (Column("key", ""), Column("value", ""))
        rows: list[tuple[str, Entry]] = [
            (str(key), value if isinstance(value, int | float) else str(value))
            for key, value in self.info.items()
        ]
        if rows:
            yield Table(columns, rows)

    @property
    def quantity(self) -> str:
        """The state as `inspect` calls it: `hidden` or `cell`."""
        return QUANTITY_OF[self.state]

    def edit(self, scale: float, shift: float) -> Edit:
        """The edit by which the coordinate becomes `scale` times itself plus `shift`."""
        return Edit(
            layer=self.layer,
            state=self.state,
            scale=scale,
            shift=shift,
            unit=self.unit,
            read=self.read,
            write=self.write,
        )

    def value(self, state: Mapping[str, Floats], row: int = 0) -> float:
        """The coordinate in a state of its layer, each array `(B, H)`."""
        return float(self.values({self.state: state[self.state][row]}))

    def values(self, states: Mapping[str, Floats]) -> Floats:
        """The coordinate in states of its layer: arrays `(..., H)` become one `(...)`."""
        if self.unit is not None:
            return states[self.state][..., self.unit]
        assert self.read is not None
        result: Floats = states[self.state] @ self.read
        return result

    def readings(self, x_H: Floats) -> Floats:
        """What it reads in states of its layer: an array `(..., H)` becomes one `(...)`.

        That is its coordinate; of a latent the activation, 0 up to its threshold.
        """
        read = self.values({self.state: x_H})
        if self.threshold is None:
            return read
        read = read + np.float32(self.bias)
        return np.where(read > self.threshold, read, np.float32(0.0))

    def check(self, config: ModelConfig) -> None:
        """Check that a model has it.

        Raises:
            ConfigError: It has no such layer, state or neuron, or another width.
        """
        self.edit(1.0, 0.0).check(config)

    def to_dict(self) -> dict[str, Any]:
        """As plain data; vectors as lists."""
        vectors = {
            key: vector.astype(float).tolist()
            for key, vector in (("read", self.read), ("write", self.write))
            if vector is not None
        }
        latent = {} if self.threshold is None else {"bias": self.bias, "threshold": self.threshold}
        return {
            "format": FORMAT,
            "name": self.name,
            "layer": self.layer,
            "state": self.state,
            "unit": self.unit,
            "mean": self.mean,
            "sd": self.sd,
            "sign": self.sign,
            "model": self.model,
            "info": dict(self.info),
            **latent,
            **vectors,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Target:
        """From plain data.

        Raises:
            ConfigError, KeyError, TypeError, ValueError: It is not a target.
        """

        def vector(key: str) -> Floats | None:
            return None if data.get(key) is None else np.array(data[key], np.float32)

        numbers = [data["layer"], data["sign"]]
        if data["unit"] is not None:  # A direction has none.
            numbers.append(data["unit"])
        if any(type(number) is not int for number in numbers):
            raise TypeError("layer, unit and sign must be whole numbers")
        return cls(
            name=str(data["name"]),
            layer=data["layer"],
            state=data["state"],
            mean=float(data["mean"]),
            sd=float(data["sd"]),
            sign=data["sign"],
            unit=data["unit"],
            read=vector("read"),
            write=vector("write"),
            bias=float(data.get("bias", 0.0)),
            threshold=None if data.get("threshold") is None else float(data["threshold"]),
            model=str(data["model"]),
            info=dict(data["info"]),
        )


def check_name(name: str) -> str:
    """Return `name`, if it can be the name of a target.

    Raises:
        ConfigError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' cannot be the name of a neuron or direction; begin with a letter and go on "
            "with letters, digits, - and _, at most 64 in all, for example: sentiment"
        )
    if fault := name_fault(name):
        raise ConfigError(f"'{name}' cannot be the name of a neuron or direction: {fault}")
    return name


def targets_folder(model: Path) -> Path:
    """Where the named targets of a model file lie: `neurons` in a run's folder."""
    return model.with_name("neurons" if model.stem == "model" else f"{model.stem}.neurons")


def save_target(model: Path, target: Target) -> Path:
    """Save a target next to its model, in place of one of the same name.

    Args:
        model: The model's file.
        target: Its name is checked.
    Returns:
        The file.
    Raises:
        ConfigError: Its name cannot be one.
        StorageError: It could not be written; one that was there is untouched.
    """
    path = targets_folder(model) / f"{check_name(target.name)}.json"
    _write(path, json.dumps(target.to_dict(), ensure_ascii=False, indent=1) + "\n")
    return path


def target_names(model: Path) -> list[str]:
    """The names of the targets kept next to a model, sorted."""
    stems = (path.stem for path in targets_folder(model).glob("*.json"))
    return sorted(stem for stem in stems if _NAME.fullmatch(stem))


def load_target(model: Path, name: str) -> Target:
    """The target called `name` of a model file.

    Raises:
        ConfigError: There is none; the message lists those there are.
        CheckpointFormatError: It was written by a newer version.
        CheckpointCorruptError: The file is damaged.
        StorageError: It cannot be read.
    """
    if not _NAME.fullmatch(name) and (example := neuron_guess(name)):
        raise ConfigError(
            f"'{name}' is not a neuron; write LAYER:UNIT, both counted from 0, for example "
            f"{example}"
        )
    if not _NAME.fullmatch(name) or name not in target_names(model):
        known = target_names(model)
        there = f"known are: {', '.join(known)}" if known else "none was saved yet"
        raise ConfigError(
            f"the model has no neuron or direction called '{name}'; {there}. Write LAYER:UNIT, "
            f"such as 0:137, or find one: {call('inspect find', labels='FILE', save='NAME')}"
        )
    path = targets_folder(model) / f"{name}.json"
    data = read_json(path)
    if isinstance(data, dict) and isinstance(found := data.get("format"), int) and found > FORMAT:
        raise CheckpointFormatError(
            f"{path} has format {found}, this version knows {FORMAT}: {UPGRADE}"
        )
    try:
        return Target.from_dict(data)
    except (ConfigError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointCorruptError(
            f"{path} is damaged ({error!s:.200}); find it again and save it under that name"
        ) from error


def read_json(path: Path) -> Any:
    """Read a small JSON file beside a model; no link is followed, not even its folder.

    Raises:
        StorageError: It cannot be read.
        CheckpointCorruptError: It is not JSON, or too large.
    """
    try:
        raw = read_plain(path, _LARGEST_FILE + 1, within=path.parent.parent)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error
    try:
        if len(raw) > _LARGEST_FILE:
            raise ValueError(f"it has more than {_LARGEST_FILE:,} bytes")
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointCorruptError(f"{path} is damaged: {error!s:.200}") from error


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Calibration(Shown):
    """Mean and standard deviation of every neuron over a text.

    Args:
        mean: By layer and state, `(H,)`.
        sd: The same.
        model: Checksum of the weights of the model.
        source: What text it was, for people.
        tokens: How many.
    """

    mean: Mapping[tuple[int, StateName], Doubles]
    sd: Mapping[tuple[int, StateName], Doubles]
    model: str
    source: str
    tokens: int

    @property
    def headline(self) -> str:
        """What was measured on which text."""
        states = plural(len(self.mean), "state")
        return f"{states} over {plural(self.tokens, 'token')} of {self.source}"

    def parts(self) -> Iterable[Part]:
        """The range of the means and of the spreads of each state."""
        rows = [
            (layer, QUANTITY_OF[state], *_ends(means), *_ends(sds))
            for ((layer, state), means), sds in zip(
                self.mean.items(), self.sd.values(), strict=True
            )
        ]
        columns = ("lowest_mean", "highest_mean", "lowest_sd", "highest_sd")
        yield Table(("layer", "state", *columns), rows)

    def target(self, layer: int, unit: int, state: StateName) -> Target:
        """One neuron as a target; the model must have it."""
        return Target(
            name=f"{layer}:{unit}.{state}",
            layer=layer,
            state=state,
            mean=float(self.mean[layer, state][unit]),
            sd=float(self.sd[layer, state][unit]),
            unit=unit,
            model=self.model,
            info={"calibrated_on": self.source, "tokens": self.tokens},
        )

    def save(self, model: Path) -> None:
        """Save it next to a model file.

        Raises:
            StorageError: It could not be written.
        """
        record = {
            "format": FORMAT,
            "model": self.model,
            "source": self.source,
            "tokens": self.tokens,
            "units": [
                {
                    "layer": layer,
                    "state": state,
                    "mean": self.mean[layer, state].tolist(),
                    "sd": self.sd[layer, state].tolist(),
                }
                for layer, state in self.mean
            ],
        }
        _write(_path(model), json.dumps(record, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, model: Path, digest: str) -> Calibration | None:
        """The calibration of a model file; None where there is none of these weights.

        A file that cannot be read counts as none: it is made again.

        Args:
            model: The model's file.
            digest: Checksum of its weights.
        """
        try:
            record = read_json(_path(model))
            if record["format"] != FORMAT or record["model"] != digest:
                return None
            return cls(
                mean=_units(record, "mean"),
                sd=_units(record, "sd"),
                model=digest,
                source=str(record["source"]),
                tokens=int(record["tokens"]),
            )
        except (CheckpointCorruptError, StorageError, KeyError, TypeError, ValueError):
            return None


def _write(path: Path, text: str) -> None:
    """Write a file into the folder of targets, which is made; a link is not followed there."""
    above = path.parent.parent
    make_folder(path.parent, within=above)
    remove_leftovers(path.parent, within=above)
    atomic_write_text(path, text, within=above)


def _path(model: Path) -> Path:
    # No name of a target begins so.
    return targets_folder(model) / "_calibration.json"


def _units(record: dict[str, Any], key: str) -> dict[tuple[int, StateName], Doubles]:
    return {
        (int(part["layer"]), part["state"]): np.array(part[key], np.float64)
        for part in record["units"]
    }


def _ends(values: Doubles) -> tuple[float, float]:
    return float(values.min()), float(values.max())
