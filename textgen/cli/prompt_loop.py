"""`textgen sample --prompt-loop`: prompts of another program, one a line, each with its answer."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from textgen.cli.boundary import error_record
from textgen.cli.records import print_json
from textgen.errors import SamplingError, TextgenError
from textgen.options import SampleOptions, form_settings
from textgen.other_names import closest_name
from textgen.settings import Option, quoted, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textgen.sampling.stream import GeneratedSymbol
    from textgen.steering import SteeringPlan
    from textgen.writing_model import WritingModel

#: The field of a line that is no setting.
PROMPT = "prompt"
_EXAMPLE = '{"prompt": "Once", "length": 100}'


def answer_prompts(
    model: WritingModel,
    given: Mapping[str, Any],
    plan: SteeringPlan | None = None,
    *,
    mix: bool = False,
) -> None:
    """Answer each line of stdin with a line on stdout, until there are no more.

    Args:
        model: Writes.
        given: The settings of lines that do not say otherwise.
        plan: What is done to neurons meanwhile; None: nothing.
        mix: Whether counts are mixed in where neither they nor a line say so.
    """
    for line in iter(sys.stdin.buffer.readline, b""):
        try:
            prompt, own = _read(line)
            settings = model.sample_options(**{**given, **own})
            if not {"mix", "mix_order"} & {*given, *own} and not settings.history:
                settings = replace(settings, mix=mix)
            record = _answer(model, prompt, settings, plan)
        except TextgenError as error:
            record = error_record(error)
        print_json(record)


def _answer(
    model: WritingModel, prompt: str, settings: SampleOptions, plan: SteeringPlan | None
) -> dict[str, Any]:
    from textgen.sampling import Generation

    fitted = model.fit_seed(prompt)
    symbols: list[GeneratedSymbol] = list(model.stream(fitted, steer=plan, **asdict(settings)))
    text = Generation.from_symbols(symbols)
    record = {
        # A model of pairs writes the target alone.
        "text": text.text if model.saved.reads_pairs else fitted.text + text.text,
        "generated": text.text,
        "finish_reason": text.finish_reason,
        "bits_per_char": text.bits_per_char,
        "notice": fitted.notice,
    }
    if form_settings(settings):
        record["form_bits"] = text.form_bits
    return record


def _read(line: bytes) -> tuple[str, dict[str, Any]]:
    """The prompt and the settings of a line.

    Raises:
        SamplingError: It is no JSON object, or something in it is no prompt and no setting.
    """
    try:
        fields = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise SamplingError(f"the line is not UTF-8; write it as {_EXAMPLE}") from None
    except (ValueError, RecursionError) as error:
        shown = quoted(line.decode("utf-8").strip())
        raise SamplingError(
            f"the line is no JSON: {shown:.60} ({error}); write an object on one line, such as "
            f"{_EXAMPLE}"
        ) from None
    if not isinstance(fields, dict):
        raise SamplingError(f"the line is no object; write one, such as {_EXAMPLE}")
    known, settings, prompt = _settings(), dict[str, Any](), ""
    for field, value in fields.items():
        name = field.replace("-", "_")
        if name == PROMPT:
            if not isinstance(value, str):
                raise SamplingError(f"prompt is {quoted(value):.60}; it must be a text")
            prompt = value
            continue
        item = known.get(name)
        if item is None:
            near = closest_name(name, [PROMPT, *known])
            instead = f"did you mean '{near}'?" if near else "leave it out"
            raise SamplingError(
                f"'{field:.60}' is no setting of a text; {instead} `textgen sample --help` lists "
                "all, under the limits, the choice and the form of a text"
            )
        if value is None:
            continue  # As if it were not there.
        is_one_text = item.annotation.startswith("tuple[") and isinstance(value, str)
        settings[item.name] = (value,) if is_one_text else value
    return prompt, settings


def _settings() -> dict[str, Option]:
    """Every setting of a text, by its name in Python and by that of its option."""
    items = settings_of(SampleOptions)
    by_flag = {item.flag.removeprefix("--").replace("-", "_"): item for item in items}
    return by_flag | {item.name: item for item in items}
