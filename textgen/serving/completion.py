"""What a completion is asked for: OpenAI's fields and those of textgen, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textgen.errors import SamplingError
from textgen.options import RNG_LIMIT, SampleOptions
from textgen.serving.json_fields import JsonFields
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions

#: Stop texts of a request and characters of each: a text is compared with them at each character.
MOST_STOPS, LONGEST_STOP = 16, 256
#: As many alternatives at each token as OpenAI's servers tell.
MOST_ALTERNATIVES = 5
#: OpenAI's settings that textgen does not have, with what they may be: what changes nothing.
_WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "suffix": ("",),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
}
_INSTEAD = {
    "presence_penalty": "; repetition_penalty is what textgen has",
    "frequency_penalty": "; repetition_penalty is what textgen has",
}
#: Settings of `textgen sample` that OpenAI does not have, by their names in Python.
_NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty")
_WHOLE_NUMBERS = ("top_k", "repetition_window")
_FLAGS = ("until_sentence", "mix")


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A checked request for completions.

    Args:
        model: The name of the model; None: the first one.
        prompts: What the texts go on from.
        count: Texts after each.
        tokens: How many each has at most; None: as long as `textgen sample` writes.
        seed: None: another text each time.
        alternatives: How many alternatives are told at each token; None: no logprobs.
        echo: Whether the prompt stands before each text.
        streams: Whether the texts are sent as they are written.
        tells_usage: Whether a stream ends with the usage.
        steer: What is done to neurons.
        settings: Settings of `textgen sample` that were given.
        user: Whose request it is, where that is told.
    """

    model: str | None
    prompts: tuple[str, ...]
    count: int
    tokens: int | None
    seed: int | None
    alternatives: int | None
    echo: bool
    streams: bool
    tells_usage: bool
    steer: tuple[str, ...]
    settings: dict[str, Any]
    user: str


def read_completion(body: bytes, limits: ServeOptions) -> Completion:
    """The request in the body.

    Raises:
        Refusal: Something in it is wrong, or beyond the limits.
    """
    fields = JsonFields(body)
    model = fields.text("model")
    prompts = read_prompts(fields, limits)
    most = limits.max_texts // len(prompts)
    count = fields.whole("n", at_least=1, at_most=max(most, 1), why=_texts_limit(limits)) or 1
    if count * len(prompts) > limits.max_texts:
        raise Refusal(f"{len(prompts)} prompts are too many{_texts_limit(limits)}", param="prompt")
    best_of = fields.whole("best_of", at_least=1)
    if best_of not in (None, count):
        raise Refusal(
            f"best_of is {best_of} and n is {count}; textgen sends every text that it writes: "
            "leave out best_of, and choose among n texts",
            param="best_of",
        )
    for name, allowed in _WITHOUT_EFFECT.items():
        if (value := fields.take(name)) is not None and value not in allowed:
            fields.refuse(name, f"left out: textgen does not have it{_INSTEAD.get(name, '')}")
    tokens = fields.whole(
        "max_tokens", at_least=0, at_most=limits.max_tokens, why=" (a limit of this server)"
    )
    streams, options = fields.flag("stream") or False, fields.take("stream_options")
    if options is not None and not (
        isinstance(options, dict) and isinstance(options.get("include_usage", False), bool)
    ):
        fields.refuse("stream_options", 'like {"include_usage": true}')
    given: dict[str, Any] = {name: fields.number(name) for name in _NUMBERS}
    given |= {name: fields.whole(name) for name in _WHOLE_NUMBERS}
    given |= {name: fields.flag(name) for name in _FLAGS}
    given["stop"] = _stops(fields)
    settings = {name: value for name, value in given.items() if value is not None}
    completion = Completion(
        model=model,
        prompts=tuple(prompts),
        count=count,
        tokens=tokens,
        seed=fields.whole("seed", at_least=0, at_most=RNG_LIMIT - 1),
        alternatives=fields.whole("logprobs", at_least=0, at_most=MOST_ALTERNATIVES),
        echo=fields.flag("echo") or False,
        streams=streams,
        tells_usage=bool(options and options.get("include_usage")),
        steer=tuple(fields.texts("steer") or ()),
        settings=settings,
        user=fields.text("user") or "",
    )
    fields.refuse_rest()
    try:
        SampleOptions(**settings)
    except SamplingError as error:
        raise Refusal(str(error)) from None
    return completion


def read_prompts(fields: JsonFields, limits: ServeOptions) -> list[str]:
    """The prompts; none is an empty one.

    Raises:
        Refusal: They are no texts, or too long.
    """
    value = fields.take("prompt")
    if isinstance(value, list) and any(isinstance(each, int | list) for each in value):
        fields.refuse("prompt", "text: the numbers of tokens are another model's")
    prompts = fields.texts("prompt")
    if prompts == []:
        fields.refuse("prompt", "a string or a list of at least one string")
    for prompt in prompts or ():
        check_length(prompt, "prompt", limits)
    return prompts or [""]


def check_length(text: str, name: str, limits: ServeOptions) -> None:
    """Refuse a text that is too long to be read here.

    Raises:
        Refusal: It is.
    """
    if len(text) > limits.max_prompt:
        raise Refusal(
            f"{name} has {len(text):,} characters, and this server reads at most "
            f"{limits.max_prompt:,}; send its last part",
            param=name,
        )


def _texts_limit(limits: ServeOptions) -> str:
    return f" (this server writes at most {limits.max_texts} texts a request)"


def _stops(fields: JsonFields) -> tuple[str, ...] | None:
    stops = fields.texts("stop")
    if stops is None:
        return None
    if len(stops) > MOST_STOPS or any(len(stop) > LONGEST_STOP for stop in stops):
        fields.refuse("stop", f"at most {MOST_STOPS} texts of {LONGEST_STOP} characters")
    if "" in stops:
        fields.refuse("stop", "a text of at least one character")
    return tuple(stops)
