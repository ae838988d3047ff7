"""`textgen inspect checkpoint`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import guarded
from textgen.cli.parameters import Only, OutputOptions, with_options
from textgen.cli.records import print_json
from textgen.terminal.console import ColorMode
from textgen.terminal.humanize import listed
from textgen.terminal.text import quote_path, visible

if TYPE_CHECKING:
    from textgen.model.config import ModelConfig


@guarded
@with_options
def checkpoint_command(
    output: Annotated[OutputOptions, Only("json_output", "color")],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="The model: its file, its folder, or its name. Default: list all models.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what is in a model; without a name, list all models.

    Those under ./checkpoints are listed first, then those that come with textgen.

    textgen inspect checkpoint mine
    """
    if name is None:
        _list_all(output.json_output, output.color)
    else:
        _show(name, output.json_output, output.color)


def _show(name: str, json_output: bool, color: ColorMode) -> None:
    from textgen.checkpoint import SavedModel, locate_model, shipped_at
    from textgen.series.number_model import holds_numbers

    path = locate_model(name)
    if holds_numbers(path):
        from textgen.cli.numbers import show_numbers

        show_numbers(path, json_output, color)
        return
    saved, shipped = SavedModel.load(path), shipped_at(path)
    weights = {key: list(array.shape) for key, array in saved.weights.items()}
    symbols = [symbol for symbol in saved.vocabulary.symbols if symbol]
    if json_output:
        record = {
            "path": str(path),
            "shipped": shipped is not None,
            "config": saved.config.to_dict(),
            "parameters": saved.config.num_parameters(),
            "vocabulary": {
                "level": saved.vocabulary.level,
                "size": len(saved.vocabulary),
                "symbols": symbols,
            },
            "normalization": saved.normalization.to_dict(),
            "weights": weights,
            "info": saved.info,
        }
        print_json(record)
        return
    from textgen.cli.train_view import label_of
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import choices_table, key_values

    out = make_consoles(color).out
    config, info = saved.config, saved.info
    metrics = info.get("metrics", {})
    corpus = info.get("corpus", {})
    shown = "".join(symbols) if saved.vocabulary.level == "char" else ""
    bits, words = metrics.get("val_bits_per_char"), metrics.get("val_bits_per_word")
    per_word = "" if words is None else f"{words:.3f} bits/word, "
    out.print(
        key_values(
            visible(str(path)),
            [
                ("model", f"{_cell(config)}, {config.num_layers} x {config.hidden_size}"),
                ("parameters", config.num_parameters()),
                ("vocabulary", f"{len(saved.vocabulary)} tokens, level {saved.vocabulary.level}"),
                ("characters", visible(shown) or None),
                ("labels", visible(listed(config.labels, 10)) if config.labels else None),
                ("validation", None if bits is None else f"{per_word}{bits:.3f} bits/char"),
                ("with <unk>", _with_unk(metrics)),
                ("comes with textgen", shipped and f"trained on {shipped.about}"),
                ("at step", _of(metrics.get("step"), metrics.get("steps"))),
                ("characters seen", metrics.get("chars_seen")),
                ("corpus sha256", corpus.get("sha256")),
                ("trained further from", info.get("parent")),
                ("versions", ", ".join(f"{k} {v}" for k, v in info.get("versions", {}).items())),
                ("trained longer", _longer(info.get("more") or [])),
                ("while it reads", _adapts(info.get("adaptation"))),
                ("learned from", _learned(info.get("adapted"))),
            ],
        )
    )
    if command := info.get("command"):
        out.print("to repeat this run:")
        # A line of its own, which a narrow terminal does not break.
        out.print(visible(command), soft_wrap=True)
    choices = [(label_of(c["name"]), c["value"], c["reason"]) for c in info.get("choices", [])]
    if choices:
        out.print(choices_table(choices))
    out.print(key_values("weights", [(k, " x ".join(map(str, v))) for k, v in weights.items()]))


def _with_unk(metrics: Mapping[str, Any]) -> str | None:
    """The figure without the letters of unknown words; None where no word is unknown."""
    bits, share = metrics.get("val_bits_per_word_with_unk"), metrics.get("val_unknown_share")
    if not share or bits is None:
        return None
    return f"{bits:.3f} bits/word; {share:.1%} of the words are unknown"


def _cell(config: ModelConfig) -> str:
    """The cell in words, with the nonlinearity where there was a choice of one."""
    cell = f"{config.cell} ({config.nonlinearity})" if config.cell == "rnn" else config.cell
    cell = f"{cell}, residual" if config.residual else cell
    return f"{cell}, {config.head} distance" if config.has_vector_output else cell


def _adapts(rule: object) -> str | None:
    """How far it steps where it learns while it reads; None where that is fitted when needed."""
    if not isinstance(rule, dict):
        return None
    if not rule.get("rate"):
        return "learns nothing: on its validation text no step helped"
    return (
        f"learns at rate {rule['rate']:g}, a step every {rule['stretch']} tokens, pulled back by "
        f"{rule['pull']:g}"
    )


def _learned(adapted: object) -> str | None:
    """The texts from which it has learned while it read them."""
    records = adapted if isinstance(adapted, list) else []
    return visible(listed([path for record in records for path in record["files"]], 3)) or None


def _longer(parts: list[dict[str, Any]]) -> str | None:
    """Where the run was trained longer, in words."""
    return ", ".join(f"{p['steps']:,} steps after {p['first_step']:,}" for p in parts) or None


def _of(step: int | None, steps: int | None) -> str | None:
    if step is None or steps is None:
        return None if step is None else f"{step:,}"
    return f"{step:,} of {steps:,}"


def _list_all(json_output: bool, color: ColorMode) -> None:
    from textgen.checkpoint import MODEL_NAME, SHIPPED, SavedModel, list_runs
    from textgen.errors import CheckpointError, StorageError
    from textgen.series.number_model import NumbersModel, holds_numbers
    from textgen.table import Column, Table
    from textgen.terminal import humanize as fmt
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import draw_table

    records: list[dict[str, Any]] = []
    for run in list_runs(Path("checkpoints")):
        record: dict[str, Any] = {
            "name": run.name,
            "path": str(run.path),
            "modified": datetime.fromtimestamp(run.modified).isoformat(timespec="seconds"),
            "shipped": False,
            "note": "",
        }
        if not run.has_model:
            record["note"] = f"no model yet; go on: textgen train {quote_path(run.path)} --resume"
        records.append(record)
    for model in SHIPPED:
        if model.path is not None:
            folder = str(model.path.parent)
            records.append(
                {"name": model.name, "path": folder, "modified": None, "shipped": True, "note": ""}
            )
    for record in records:
        if record["note"]:
            continue
        path = Path(record["path"], MODEL_NAME)
        try:
            if holds_numbers(path):
                numbers = NumbersModel.load(path)
                record |= {"parameters": numbers.parameters, "model": numbers.summary}
                continue
            header = SavedModel.load_header(path)
        except (CheckpointError, StorageError) as error:
            record["note"] = str(error)
            continue
        config = header.config
        record["bits_per_char"] = header.bits_per_char
        record["parameters"] = config.num_parameters()
        record["model"] = (
            f"{_cell(config)} {config.num_layers} x {config.hidden_size}, {header.vocabulary.level}"
        )
    if json_output:
        print_json({"checkpoints": records})
        return
    consoles = make_consoles(color)
    if not records:
        consoles.err.print(
            "there are no models under ./checkpoints; train one: textgen train corpus.txt"
        )
        return
    for record in records:
        when = record["modified"]
        record["saved"] = "with textgen" if when is None else when.replace("T", " ")
        record["shape"] = "; ".join(filter(None, (record.get("model"), record["note"])))
    columns = (
        "name",
        "saved",
        Column("bits_per_char", "bits/char", ".3f"),
        Column("parameters", format=fmt.short),
        Column("shape", "model"),
    )
    consoles.out.print(draw_table(Table.from_records(columns, records)))
