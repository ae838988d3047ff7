"""What is asked for steps: symbols to read from a place in a text, what is held, what is written.

The place is what the last answer gave: the server keeps nothing of anybody's text.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from textgen.errors import SamplingError
from textgen.model.network import Floats
from textgen.options import SampleOptions
from textgen.sampling.choice import DRAW_LIMIT
from textgen.serving.json_fields import JsonFields
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions

#: A gate, a neuron, a direction or a label has one hold; more than this is no page's.
_MOST_HOLDS = 64
#: Of a whole number that names a layer, a neuron or a direction.
_LAST = 2**24
#: The largest number that a state is held at: float32 has its square.
_LARGEST_HOLD = 1e6


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What is held at a value: a quantity of a layer or of one of its neurons, or a direction.

    Args:
        value: A number, or of a direction standard deviations from its mean.
        quantity: As a trace calls it; None: it is a direction.
        layer: From 0.
        unit: The neuron; None: all of the layer.
        direction: The number of the direction.
    """

    value: float
    quantity: str | None = None
    layer: int = 0
    unit: int | None = None
    direction: int = 0


@dataclass(frozen=True, kw_only=True)
class StepsRequest:
    """A request for steps.

    Args:
        model: Its name; None: the usual one.
        after: Where it stands, as an answer told it; None: at the beginning of a text.
        ids: What is read from there.
        tokens: How many are written after it.
        previous: The symbol before `ids`; None: there is none.
        draw: The number of the first random draw.
        settings: Those of `SampleOptions`, `rng` among them.
        quantity: What is told of all neurons after each step; None: nothing.
        inside: Layer and unit of which all is told after the last symbol that is read.
        holds: What is held in each step.
        label: The number of the label under which each is read, from 1; 0: none.
    """

    model: str | None
    after: Floats | None
    ids: tuple[int, ...]
    tokens: int
    previous: int | None
    draw: int
    settings: dict[str, Any]
    quantity: str | None
    inside: tuple[int, int] | None
    holds: tuple[Hold, ...]
    label: int = 0

    @property
    def holds_direction(self) -> bool:
        """Whether a direction is held, whose spread may have to be measured first."""
        return any(hold.quantity is None for hold in self.holds)


def read_steps(body: bytes, limits: ServeOptions) -> StepsRequest:
    """The request in the body.

    Raises:
        Refusal: Something in it is wrong, or beyond the limits.
    """
    fields = JsonFields(body)
    ids = _whole_numbers(fields, "ids") or ()
    if len(ids) > limits.max_prompt:
        raise Refusal(
            f"ids has {len(ids):,} symbols, and this server reads at most {limits.max_prompt:,} "
            "at a time; send them in parts",
            param="ids",
        )
    inside = _whole_numbers(fields, "inside")
    if inside is not None and (len(inside) != 2 or not ids):
        fields.refuse("inside", "a layer and a neuron, beside the ids that are read")
    tokens = fields.whole(
        "max_tokens", at_least=0, at_most=limits.max_tokens, why=" (a limit of this server)"
    )
    given: dict[str, Any] = {name: fields.number(name) for name in ("temperature", "top_p")}
    given["rng"] = fields.whole("seed", at_least=0, at_most=2**53)
    settings = {name: value for name, value in given.items() if value is not None}
    request = StepsRequest(
        model=fields.text("model"),
        after=_position(fields),
        ids=ids,
        tokens=tokens or 0,
        previous=fields.whole("previous", at_least=0, at_most=_LAST),
        draw=fields.whole("draw", at_least=0, at_most=DRAW_LIMIT - 2**24 - 1) or 0,
        settings=settings,
        quantity=fields.text("quantity"),
        inside=None if inside is None else (inside[0], inside[1]),
        holds=_holds(fields),
        label=fields.whole("label", at_least=0, at_most=_LAST) or 0,
    )
    fields.refuse_rest()
    try:
        SampleOptions(**settings)
    except SamplingError as error:
        raise Refusal(str(error)) from None
    return request


def _whole_numbers(fields: JsonFields, name: str) -> tuple[int, ...] | None:
    value = fields.take(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        type(each) is int and 0 <= each <= _LAST for each in value
    ):
        fields.refuse(name, "a list of whole numbers from 0 on")
    return tuple(value)


def _position(fields: JsonFields) -> Floats | None:
    text = fields.text("after")
    if text is None:
        return None
    try:
        found = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    except ValueError:
        found = np.full(1, np.nan, np.float32)
    if not np.isfinite(found).all():
        fields.refuse("after", "what an answer told as after")
    return found


def _holds(fields: JsonFields) -> tuple[Hold, ...]:
    value = fields.take("holds")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > _MOST_HOLDS:
        fields.refuse("holds", f"a list of at most {_MOST_HOLDS} holds")
    return tuple(_hold(fields, each) for each in value)


def _hold(fields: JsonFields, given: Any) -> Hold:
    """A hold, from plain data whose every part may be anything."""
    expected = (
        'a list such as [{"quantity": "forget-gate", "layer": 0, "unit": null, "value": 0}, '
        '{"direction": 0, "amount": 2}]'
    )
    if not isinstance(given, dict):
        fields.refuse("holds", expected)
    is_direction = "direction" in given
    wanted = {"direction", "amount"} if is_direction else {"quantity", "layer", "unit", "value"}
    value: Any = given.get("amount" if is_direction else "value")
    numbers: list[Any] = [given.get("direction" if is_direction else "layer")]
    if given.get("unit") is not None:
        numbers.append(given["unit"])
    if (
        set(given) != wanted
        or not all(type(each) is int and 0 <= each <= _LAST for each in numbers)
        or not (is_direction or isinstance(given["quantity"], str))
        or not (type(value) in (int, float) and abs(value) <= _LARGEST_HOLD)
    ):
        fields.refuse("holds", expected)
    if is_direction:
        return Hold(value=value, direction=numbers[0])
    return Hold(value=value, quantity=given["quantity"], layer=given["layer"], unit=given["unit"])
