"""The reports of textgen that a server gives: evaluation, trace and steering, as JSON.

Their fields are the settings of `Model.evaluate`, `Model.view` and `Model.steering`; what is
answered is what the commands print with their option for JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textgen.options import EvalOptions
from textgen.serving.completion import check_length, read_steer
from textgen.serving.json_fields import JsonFields
from textgen.serving.offered_model import OfferedModel
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions
from textgen.table import finite
from textgen.view_options import ViewOptions

#: Numbers that a trace has at most.
MOST_VALUES = 2_000_000
#: Neurons that a request names at most.
MOST_ROWS = 4096
#: Characters whose influence is computed: each of them may be left out once.
MOST_INFLUENCED = 2_000
#: Settings of `Model.evaluate` that a request may give: those that measure, and read no files.
_MEASURED = frozenset({"window", "streams", "history", "limit", "documents", "mix", "adapt"})

#: What makes a report of the body of a request.
Report = Callable[[bytes, Callable[[str | None], OfferedModel], ServeOptions], dict[str, Any]]


def _evaluated(
    body: bytes, find: Callable[[str | None], OfferedModel], limits: ServeOptions
) -> dict[str, Any]:
    """How well a model predicts a text: what `textgen eval` measures."""
    asked = JsonFields(body)
    model, text = find(asked.text("model")).model, _text(asked, limits)
    settings = asked.settings(EvalOptions, _MEASURED)
    asked.refuse_rest()
    measured = model.evaluate(text=text, **settings)
    return {"model": model.name, **finite(measured.report(settings.get("window")))}


def _traced(
    body: bytes, find: Callable[[str | None], OfferedModel], limits: ServeOptions
) -> dict[str, Any]:
    """What neurons do on a text: what `textgen inspect` shows."""
    asked = JsonFields(body)
    model, text = find(asked.text("model")).model, _text(asked, limits)
    settings = asked.settings(ViewOptions, most=MOST_ROWS)
    asked.refuse_rest()
    options = ViewOptions(**settings)
    if options.show == "influence" and len(text) > MOST_INFLUENCED:
        raise Refusal(
            f"the influence is computed of at most {MOST_INFLUENCED:,} characters here, and text "
            f"has {len(text):,}; send its last part",
            param="text",
        )
    rows = len(options.neurons) or options.top
    if rows * len(text) > MOST_VALUES:
        raise Refusal(
            f"{rows:,} neurons on {len(text):,} characters are more than {MOST_VALUES:,} numbers; "
            "ask for fewer neurons, or for a part of the text",
            param="top",
        )
    return {"model": model.name, "text": text, **finite(model.view(text, **settings).to_json())}


def _steered(
    body: bytes, find: Callable[[str | None], OfferedModel], limits: ServeOptions
) -> dict[str, Any]:
    """What specifications do to a model: what `steer` of a completion would."""
    asked = JsonFields(body)
    model, specs = find(asked.text("model")).model, read_steer(asked)
    asked.refuse_rest()
    if not specs:
        raise Refusal("steer is missing; send what is to be done, such as 0:17=+2", param="steer")
    plan = model.steering(*specs)
    return {"model": model.name, "steering": plan.to_json(), "described": plan.describe()}


def _text(asked: JsonFields, limits: ServeOptions) -> str:
    """The text of a report.

    Raises:
        Refusal: There is none, or it is too long.
    """
    text = asked.text("text")
    if not text:
        raise Refusal("text is missing or empty; send at least one character", param="text")
    check_length(text, "text", limits)
    return text


#: Each report by the last part of its address.
REPORTS: dict[str, Report] = {"eval": _evaluated, "trace": _traced, "steering": _steered}
