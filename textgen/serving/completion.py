"""What a completion is asked for: OpenAI's fields and those of textgen, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textgen.errors import SamplingError
from textgen.options import RNG_LIMIT, ItemOptions, SampleOptions, form_settings
from textgen.sampling.forms.rules import longest_text
from textgen.serving.json_fields import LONGEST_TEXT, JsonFields, in_fields
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions

#: Tokens of a request whose log-probabilities are told: each takes half a kilobyte.
MOST_TOLD = 100_000
#: Specifications of a request that say what is done to neurons.
MOST_SPECS = 256
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
#: Settings of `textgen sample` that are no fields, and what is to be sent instead. All others are
#: fields by their names in Python, those that come one day, too.
NO_FIELDS = {
    "length": "max_tokens says it",
    "rng": "seed says it",
    "beam": "a search takes the time of as many texts; textgen sample does it",
    "mix_order": "the server counts the training text once, as textgen sample does",
}


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
        form: Those of them that hold a text to a form.
        listed: Whether the texts are items of a list, and which.
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
    form: tuple[str, ...]
    listed: ItemOptions
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
    streams, how = fields.flag("stream") or False, fields.take("stream_options")
    if how is not None and not (
        isinstance(how, dict) and isinstance(how.get("include_usage", False), bool)
    ):
        fields.refuse("stream_options", 'like {"include_usage": true}')
    settings = fields.settings(SampleOptions, without=NO_FIELDS)
    if "stop" in settings and "" in settings["stop"]:
        fields.refuse("stop", "a text of at least one character")
    asked_items = fields.settings(ItemOptions)
    try:
        options, listed = SampleOptions(**settings), ItemOptions(**asked_items)
    except SamplingError as error:
        raise Refusal(error.told(in_fields)) from None
    completion = Completion(
        model=model,
        prompts=tuple(prompts),
        count=count,
        tokens=tokens,
        seed=fields.whole("seed", at_least=0, at_most=RNG_LIMIT - 1),
        alternatives=fields.whole("logprobs", at_least=0, at_most=MOST_ALTERNATIVES),
        echo=fields.flag("echo") or False,
        streams=streams,
        tells_usage=bool(how and how.get("include_usage")),
        steer=read_steer(fields),
        settings=settings,
        form=tuple(form_settings(options)),
        listed=listed,
        user=(fields.text("user") or "")[:LONGEST_TEXT],
    )
    fields.refuse_rest()
    _check_told(completion, options, limits)
    if listed.items is not None:
        _check_items(completion, listed.items, limits)
    return completion


def _check_told(asked: Completion, options: SampleOptions, limits: ServeOptions) -> None:
    """Refuse log-probabilities of more tokens than an answer has room for.

    Raises:
        Refusal: There would be more.
    """
    if asked.alternatives is None:
        return
    # A form makes a text as long as it needs, unless max_tokens says less.
    usual = min(max(options.length, longest_text(options)), limits.max_tokens)
    each = usual if asked.tokens is None else asked.tokens
    told = asked.count * len(asked.prompts) * each
    if asked.echo:
        told += asked.count * sum(map(len, asked.prompts))
    if told > MOST_TOLD:
        raise Refusal(
            f"logprobs of {told:,} tokens are asked for, and {MOST_TOLD:,} are the most; ask for "
            "fewer or shorter texts at a time",
            param="logprobs",
        )


def _check_items(asked: Completion, items: int, limits: ServeOptions) -> None:
    """Refuse what does not go with items: they are chosen from many texts, and end by themselves.

    Raises:
        Refusal: There is something.
    """
    if items > limits.max_texts:
        raise Refusal(
            f"items is {items}; it must be in 1..{limits.max_texts}{_texts_limit(limits)}",
            param="items",
        )
    others = {
        "n": asked.count > 1,
        "logprobs": asked.alternatives is not None,
        "prompt": len(asked.prompts) > 1,
    }
    for name in [name for name, is_asked in others.items() if is_asked]:
        instead = "send one prompt" if name == "prompt" else f"leave {name} out"
        raise Refusal(f"items does not go with {name} like this; {instead}", param=name)


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


def read_steer(fields: JsonFields) -> tuple[str, ...]:
    """What is to be done to neurons.

    Raises:
        Refusal: It is no text, or there is too much of it.
    """
    specs = fields.texts("steer") or ()
    if len(specs) > MOST_SPECS or any(len(spec) > LONGEST_TEXT for spec in specs):
        fields.refuse("steer", f"at most {MOST_SPECS} texts of {LONGEST_TEXT} characters")
    return tuple(specs)


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
