"""A command line that is wrong: one line with what was found, what is expected, what to type."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import typer

from textgen.cli.help_page import (
    HELP_WORDS,
    TYPED,
    UsageError,
    argument_name,
    choices_of,
    option_name,
    plain_name,
    value_kind,
    value_name,
)
from textgen.errors import TextgenError
from textgen.terminal.text import command_line, quote, quote_path

_GROUPED = re.compile(r"\d{1,3}(?:[,.' _\u00a0\u202f]\d{3})+")
_FACTORS = {"k": 1_000, "K": 1_000, "M": 1_000_000}
_KINDS = {int: "a whole number", float: "a number"}
#: Dashes that editors and web pages put in the place of two hyphens.
_LONG_DASHES = tuple("‐‑‒–—−")
#: What may be left of a length that was typed with a blank in it.
_UNIT = re.compile(r"s|secs?|seconds?|m|mins?|minutes?|h|hours?|steps?|epochs?")
#: Stands for a text that is not named.
_SOME_TEXT = "corpus.txt"


#: What exists only at the prompt: the name of an option elsewhere -> what it may be here. A value
#: after an option is part of what to type.
_AT_PROMPT: dict[str, tuple[str, ...]] = {
    **{cell: (f"--cell {cell}", f"--cells {cell}") for cell in ("rnn", "lstm", "gru")},
    **dict.fromkeys(("gpu", "gpuid", "use-gpu", "cuda"), ("--device cuda",)),
    **dict.fromkeys(("cpu", "no-cuda"), ("--device cpu",)),
    **dict.fromkeys(("fp16", "bf16"), ("--precision bf16",)),
    **dict.fromkeys(("neurons", "unit"), ("--neuron",)),
    **dict.fromkeys(("gate", "quantity"), ("--show",)),
    **dict.fromkeys(("v", "ver"), ("--version",)),
    **dict.fromkeys(("no-color", "no-colour"), ("--color never",)),
    **dict.fromkeys(("plot", "image", "png"), ("--picture",)),
    **dict.fromkeys(("web", "page"), ("--html",)),
    "colour": ("--color",),
    "n": ("--length", "--chars"),
    "silent": ("--quiet",),
    "units": ("--hidden", "--neuron"),
}

#: The name of a command elsewhere -> the words after `textgen`.
COMMANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("generate", "gen", "write", "predict", "complete", "continue", "talk", "chat"),
            *("run", "infer", "inference"),
        ),
        ("sample",),
    ),
    **dict.fromkeys(("learn", "fit", "finetune", "fine-tune", "pretrain", "start"), ("train",)),
    **dict.fromkeys(("evaluate", "test", "score", "measure", "perplexity", "validate"), ("eval",)),
    **dict.fromkeys(
        ("show", "look", "view", "visualize", "visualise", "color", "colour", "analyze", "analyse"),
        ("inspect",),
    ),
    "benchmark": ("compare",),
    "neuron": ("inspect", "neurons"),
    "models": ("inspect", "checkpoint"),
    "checkpoints": ("inspect", "checkpoint"),
    "info": ("inspect", "checkpoint"),
}


def mistake(error: Exception, ctx: Any, words: list[str]) -> str:
    """What is wrong with `words`, typed after a command, in one line; typer raised `error`."""
    # The classes have no public names in all versions of the library.
    kind = type(error).__name__
    found: Any = error
    if kind == "NoSuchOption":
        return _unknown_option(found.option_name, ctx, words)
    if kind == "BadOptionUsage":
        return _bad_use(found, ctx)
    if kind == "MissingParameter" and found.param is not None:
        return _missing(found.param, ctx)
    if getattr(error, "param", None) is not None:
        return _bad_value(found, ctx, words)
    if "extra argument" in found.format_message():
        return _extra(ctx, words)
    return f"{' '.join(found.format_message().split())}; {ctx.command_path} --help says more"


def wrong_dashes(ctx: Any, words: list[str]) -> str:
    """What to type where a long option begins with other dashes than two hyphens; "" if none does.

    `-seed x` would be read as `-s eed`, and `—seed` as a text.
    """
    own = _options(ctx.command)
    for before, word in zip(["", *words], words, strict=False):
        if word == "--":
            break
        is_long = word.startswith(_LONG_DASHES)
        is_value = any(
            before in param.opts and not getattr(param, "is_flag", False)
            for param in ctx.command.params
        )
        if is_value or not (is_long or re.match(r"-[^\W\d_]{3}", word)):
            continue
        flag = f"--{plain_name(word.lstrip(''.join(_LONG_DASHES) + '-').partition('=')[0])}"
        if flag in own or flag == "--help":
            dash = "a long dash" if is_long else "one dash"
            return f"{word} begins with {dash}; type two hyphens: {flag}"
    return ""


def split_length(words: list[str]) -> str:
    """What to type where a blank cut a length in two, as in `--budget 1 m`; "" if none does."""
    for flag, value, unit in zip(words, words[1:], words[2:], strict=False):
        is_number = re.fullmatch(r"\d+(\.\d+)?|\.\d+", value)
        is_cut = is_number and _UNIT.fullmatch(unit.lower()) and not os.path.exists(unit)
        if is_cut and flag in ("--budget", "--more"):
            return (
                f"'{unit}' is taken for a text, and there is none of that name; did you mean "
                f"{flag} {value}{unit}, without a blank?"
            )
    return ""


def _options(command: Any) -> dict[str, Any]:
    """The options of a command by their long names, with two dashes."""
    return {
        name: param
        for param in command.params
        for name in (*param.opts, *param.secondary_opts)
        if name.startswith("--") and not getattr(param, "hidden", False)
    }


def _unknown_option(option: str, ctx: Any, words: list[str]) -> str:
    own = _options(ctx.command)
    typed = _as_typed(option, words)
    if any(char.isspace() for char in typed):
        after = next((f'as in {flag} "- text"' for flag in ("--text", "--seed") if flag in own), "")
        return (
            f"{typed!r} was taken for an option because it begins with a dash; type a text that "
            f"does so after its option, {after or 'or put -- before it'}"
        )
    name = plain_name(typed.lstrip("-"))
    head = f"{_short(ctx)} has no option {typed}" if ctx.parent else f"there is no option {typed}"
    for suggestion in _suggestions(name, own, ctx):
        if suggestion.endswith(_SOME_TEXT) and (rest := [w for w in words if w != typed]):
            # The text that was named, and the other options with it.
            suggestion = suggestion.removesuffix(_SOME_TEXT) + command_line(rest)
        return f"{head}; {suggestion}"
    for flag in (f"--{name}", *options().get(name, ())):
        if where := _other_command(flag, ctx):
            what = "it" if flag == f"--{name}" else flag
            return f"{head}; {what} is an option of {where}"
    return f"{head}; {ctx.command_path} --help lists its options"


def _suggestions(name: str, own: dict[str, Any], ctx: Any) -> list[str]:
    """What may be meant by an option's name, the best first."""
    if f"--{name}" in own:
        return [f"type two dashes: {_typed_name(own[f'--{name}'], f'--{name}')}"]
    known = {flag.removeprefix("--"): flag for flag in own}
    others = options()
    usual = {
        foreign: target
        for foreign, targets in others.items()
        if (target := _here(targets, own, ctx)) is not None and foreign not in known
    }
    if name in usual:
        return [f"here it is {usual[name]}"]
    # What is the name of something else is no slip in the name of a third.
    choices = known if name in others else [*known, *usual]
    near = _near(name, choices, n=1, cutoff=0.7)
    # The beginning of a name is meant as often as a slip of the fingers.
    near = near or [flag for flag in known if len(name) > 2 and flag.startswith(name)][:1]
    return [
        f"did you mean {usual.get(flag) or _typed_name(own[known[flag]], known[flag])}?"
        for flag in near
    ]


def _here(targets: tuple[str, ...], own: dict[str, Any], ctx: Any) -> str | None:
    """The first of what may be meant that this command has, as it is typed; None without one."""
    for target in targets:
        flag, _, value = target.partition(" ")
        if flag in own:
            return target if value else _typed_name(own[flag], flag)
        if flag == "PATH":
            for param in ctx.command.params:
                is_argument = param.param_type_name == "argument"
                if is_argument and re.search(r"\b(PATH|FILE)\b", param.metavar or ""):
                    return f"typed without an option: {ctx.command_path} {_SOME_TEXT}"
    return None


def _typed_name(param: Any, flag: str) -> str:
    value = value_name(param)
    return f"{flag} {value}" if value else flag


def _other_command(flag: str, ctx: Any) -> str:
    """The commands that have an option, as they are typed."""
    root = ctx.find_root()
    found = [
        path
        for path, command in _commands(root.command, root.info_name or "textgen")
        if (param := _options(command).get(flag))
        and command is not ctx.command
        # The name to learn, not another that is understood: train reads --seed as --rng.
        and flag not in [name for name in param.opts if name.startswith("--")][1:]
    ]
    return " and of ".join(found[:2])


def _commands(command: Any, path: str) -> list[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    return [(path, command)] + [
        found for name, own in below.items() for found in _commands(own, f"{path} {name}")
    ]


def _as_typed(option: str, words: list[str]) -> str:
    """The word of the command line that an option's plain name comes from."""
    for word in words:
        name = word.partition("=")[0]
        if plain_name(name.lstrip("-")) == option.lstrip("-") and name.startswith("-"):
            return name
        # `-temp 0.5`: letters after one dash are read as short options, one after another.
        if len(option) == 2 and re.match(r"-[^-]", word) and option[1] in word and len(word) > 2:
            return name
    return option


def _bad_use(error: Any, ctx: Any) -> str:
    param = next(
        (p for p in ctx.command.params if error.option_name in (*p.opts, *p.secondary_opts)), None
    )
    if param is None or "require" not in error.format_message():
        return f"{error.option_name} takes no value; leave it out"
    needed = _expected(param) or "a value"
    return f"{error.option_name} needs {needed} after it: {error.option_name} {value_name(param)}"


def _missing(param: Any, ctx: Any) -> str:
    name = (param.metavar or param.name.upper()).strip("[]")
    if param.param_type_name == "option":
        name = option_name(param)
    paragraphs = map(str.strip, (ctx.command.help or "").split("\n\n"))
    examples = (paragraph for paragraph in paragraphs if paragraph.startswith("textgen "))
    example = next(examples, f"{ctx.command_path} --help")
    told = (param.help or "").split(". ")[0].rstrip(".")
    return f"{_short(ctx)} needs {name} ({told}); type for example: {example}"


def _expected(param: Any) -> str:
    """What an option takes, in words; "" where anything goes."""
    choices = choices_of(param)
    if choices and len(choices) == len((param.metavar or "").split("|")):
        return f"one of: {', '.join(choices)}"
    return _KINDS.get(value_kind(param), "")


def one_dash(ctx: Any, words: list[str]) -> str | None:
    """What is meant by `-temp 0.5`, which would be read as -t with the value `emp`: exact names of
    options alone, and no word that may be the value of an option before it."""
    for before, word in zip(["", *words], words, strict=False):
        if re.match(r"-[^\W\d]{2}", word) and not before.startswith("-"):
            said = _said_of_one_dash(word, ctx)
            if said and said.startswith(("type two dashes", "here it is")):
                return f"{_short(ctx)} has no option {word}; {said}"
    return None


def _said_of_one_dash(word: str, ctx: Any) -> str | None:
    """The option that letters after one dash may mean; None: nobody knows."""
    name = plain_name(word.partition("=")[0].lstrip("-"))
    return next(iter(_suggestions(name, _options(ctx.command), ctx)), None)


def _bad_value(error: Any, ctx: Any, words: list[str]) -> str:
    param = error.param
    long_names = [name for name in param.opts if name.startswith("--")]
    name = (long_names or param.opts or [param.name])[0]
    if param.param_type_name == "argument":
        name = (param.metavar or param.name.upper()).strip("[]")
    typed = ctx.meta.get(TYPED, {}).get(param.name)
    shown = ", ".join(map(str, typed)) if isinstance(typed, (list, tuple)) else str(typed)
    for word in words:
        # `-temprature 0.5` was read as -t with the value `emprature`.
        is_read = re.match(r"-[^\W\d]{2}", word) and word.endswith(shown)
        if is_read and (said := _said_of_one_dash(word, ctx)):
            return f"{_short(ctx)} has no option {word}; {said}"
    expected = _expected(param)
    if "; " in error.message:
        return f"{name}: {' '.join(error.message.split())}"  # it says already what to type
    if not expected:
        return f"{name} is {shown!r}; {' '.join(error.message.split())}"
    example = ""
    if value_kind(param) is int and (whole := _whole_number(shown)):
        example = f"; type {name} {whole}"
    elif isinstance(param.default, (int, float)) and not isinstance(param.default, bool):
        example = f", like {name} {param.default}"
    return f"{name} is {shown!r}; it must be {expected}{example}"


def _whole_number(typed: str) -> str:
    """The digits of a whole number that was typed for people: `1,000`, `10k`, `1e3`; else ""."""
    if _GROUPED.fullmatch(typed):
        return re.sub(r"\D", "", typed)
    digits, factor = (typed[:-1], _FACTORS[typed[-1:]]) if typed[-1:] in _FACTORS else (typed, 1)
    try:
        value = float(digits.replace(",", ".")) * factor
    except ValueError:
        return ""
    return str(int(value)) if 0 <= value < 1e15 and value.is_integer() else ""


def _near(word: str, names: Iterable[str], n: int, cutoff: float) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(word, list(names), n=n, cutoff=cutoff)


def _short(ctx: Any) -> str:
    """A command as a sentence names it: without the program, which stands before every message."""
    path: str = ctx.command_path
    return path.removeprefix(ctx.find_root().command_path).strip() or path


def _extra(ctx: Any, words: list[str]) -> str:
    """Words that are left over, as where a text of several words has no quotes."""
    _, rest, _ = ctx.command.make_parser(ctx).parse_args(list(words))
    arguments = [p for p in ctx.command.params if p.param_type_name == "argument"]
    shown = " ".join(map(quote, rest))
    if not arguments:
        return f"{_short(ctx)} takes options only; leave out: {shown}"
    taken = " ".join(map(argument_name, arguments))
    return (
        f"{_short(ctx)} takes {taken} and nothing after it; leave out: {shown} (put a text "
        "or a name of several words in quotes)"
    )


def unknown_command(group: Any, ctx: Any, rest: list[str]) -> str:
    """What to type where the first of `rest`, the words from there on, is no command of `group`."""
    word, after = rest[0], rest[1:]
    name = plain_name(word)
    head = f"there is no command {quote(word)}"
    if name in COMMANDS:
        return f"{head}; type: {_complete(group, COMMANDS[name], after)}"
    below = getattr(group.commands["inspect"], "commands", {})
    if name in below:
        return f"{head}; type: {_complete(group, ('inspect', name), after)}"
    for path in (word, os.path.join("checkpoints", word)):
        if word and os.path.exists(path):
            kind, right = "file", f"textgen train {quote_path(path)}"
            if _is_model(path):
                kind, right = "model", f"textgen sample --checkpoint {quote(path)}"
            elif os.path.isdir(path):
                kind = "folder"
            return f"{head}, but there is a {kind} of that name; type: {right}"
    near = _near(name, [*group.commands, *COMMANDS, *below], n=1, cutoff=0.7)
    if near:
        meant = COMMANDS.get(near[0]) or (
            (near[0],) if near[0] in group.commands else ("inspect", near[0])
        )
        return f"{head}; did you mean: {_complete(group, meant, after)}"
    text = " ".join(own for own in rest if not own.startswith("-"))
    if not HELP_WORDS & set(after) and (re.search(r"\s", text) or not text.isascii()):
        return f"{head}; to continue a text type: textgen sample --seed {quote(text)}"
    there = ", ".join(group.commands)
    return f"{head}; there are: {there}; for help type: textgen --help"


def no_help(path: str, commands: Iterable[str], word: str) -> str:
    """What to type where help was asked for `word`, none of the `commands` below `path`."""
    names = list(commands)
    if not names:
        return f"{path} has no command {quote(word)} nor any other; type: {path} --help"
    head = f"there is no command {quote(word)} in {path}"
    near = _near(plain_name(word), names, n=1, cutoff=0.7)
    if near:
        return f"{head}; did you mean: {path} {near[0]} --help"
    return f"{head}; there are: {', '.join(names)}; for help type: {path} --help"


def _complete(group: Any, meant: tuple[str, ...], after: list[str]) -> str:
    """A command with the words that followed, where it takes them all, or alone."""
    path = ["textgen", *meant]
    command = group
    for name in meant:
        command = command.commands[name]
    try:
        context = command.context_class(command, info_name=meant[-1], **command.context_settings)
        if set(after) & HELP_WORDS:
            return command_line([*path, "--help"])
        command.read(context, list(after))
    except (UsageError, TextgenError, typer.Exit):
        return command_line([*path, "--help"] if after else path)
    return command_line([*path, *after])


def _is_model(path: str) -> bool:
    from textgen.checkpoint import MODEL_NAME

    return path.endswith(".safetensors") or os.path.exists(os.path.join(path, MODEL_NAME))


def options() -> dict[str, tuple[str, ...]]:
    """The name of an option elsewhere, with dashes -> what it may be here, the most likely first.

    The names of the settings in Python are among them: `hidden-size`, for `--hidden`.
    """
    from textgen.cli.parameters import flags_of
    from textgen.options import TrainOptions
    from textgen.other_names import OTHER_NAMES
    from textgen.settings import settings_of

    own = {item.name: (item.name,) for item in settings_of(TrainOptions) if not item.how.inverted}
    found = {}
    for name, fields in {**own, **OTHER_NAMES}.items():
        flags = [flags_of(field) for field in fields]
        later = (flag for several in flags for flag in several[1:])
        found[name.replace("_", "-")] = (*(several[0] for several in flags), *later)
    return {**found, **_AT_PROMPT}
