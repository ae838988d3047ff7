"""What a run does, resolved, all in steps; and the commands that do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from textgen.cells import CELLS, missing_cell
from textgen.corpus.windows import Tokens, Windows
from textgen.errors import CheckpointCorruptError, CheckpointFormatError, ConfigError
from textgen.model.config import ModelConfig
from textgen.model.members import member_config
from textgen.options import WORD2VEC, RunOptions, TrainOptions, command_text

#: Numbers of a plan that may be zero.
_FROM_ZERO = ("warmup_steps", "patience", "rng", "reset_every", "first_step")


@dataclass(frozen=True, kw_only=True)
class OptimizerPlan:
    """AdamW's settings; `learning_rate` is the peak of the schedule.

    `beta1` has the value of runs whose plan does not name it, those begun by version 0.1.
    """

    learning_rate: float
    beta1: float = 0.9
    beta2: float
    weight_decay: float
    clip_norm: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, resolved.

    Args:
        model: The model's shape.
        optimizer: The optimiser's settings.
        batch_size: Streams, or windows a step.
        seq_len: Tokens a window.
        sliding: Whether the windows are the lecture's (see `Windows`).
        steps: Length of the run.
        warmup_steps: Steps over which the learning rate rises.
        report_every: Steps between reports.
        eval_every: Steps between evaluations; the last step is always evaluated.
        eval_tokens: Validation tokens charged in each.
        save_every: Steps between saves; the last step is always saved.
        sample_every: Steps between samples.
        patience: Evaluations without a new best after which the run ends; 0 is off.
        rng: Seed of every random choice.
        reset_every: Windows after which a stream's state is zeroed; 0 is never, as in runs whose
            plan does not name it, those begun by version 0.1.
        first_step: Steps taken before the schedule began: 0, but in a run that is trained longer
            (see `textgen.training.resume`).
        recurrent_dropout: Share of the recurrent weights that each step drops, `[0, 1)`; 0 is off,
            as in runs whose plan does not name it.
        members: Networks that are trained side by side, which make up the model: see
            `textgen.model.members`; 1 in runs whose plan does not name it.
    """

    model: ModelConfig
    optimizer: OptimizerPlan
    batch_size: int
    seq_len: int
    sliding: bool
    steps: int
    warmup_steps: int
    report_every: int
    eval_every: int
    eval_tokens: int
    save_every: int
    sample_every: int
    patience: int
    rng: int
    reset_every: int = 0
    first_step: int = 0
    recurrent_dropout: float = 0.0
    members: int = 1

    @property
    def member(self) -> ModelConfig:
        """The shape of each of the members."""
        return member_config(self.model, self.members)

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one update learns from."""
        return self.batch_size * self.seq_len

    def windows(self, tokens: Tokens, separator: int | None = None) -> Windows:
        """The windows of a run on a training text; `separator` is that of pairs."""
        return Windows(
            tokens,
            seq_len=self.seq_len,
            batch_size=self.batch_size,
            sliding=self.sliding,
            reset_every=self.reset_every,
            separator=separator,
            rng=self.rng,
        )

    def learning_rate(self, step: int) -> float:
        """The learning rate of the step after `step` others."""
        factor = learning_rate_factor(
            step - self.first_step, self.steps - self.first_step, self.warmup_steps
        )
        return self.optimizer.learning_rate * factor

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """From plain data.

        Raises:
            CheckpointFormatError: Its cell is not known.
            CheckpointCorruptError: A setting is missing, unknown or out of range.
        """
        model = data.get("model")
        cell = model.get("cell") if isinstance(model, Mapping) else None
        if isinstance(cell, str) and cell not in CELLS:
            raise CheckpointFormatError(f"the run {missing_cell(cell)}")
        try:
            plan = cls(
                **{
                    **data,
                    "model": ModelConfig.from_dict(data["model"]),
                    "optimizer": OptimizerPlan(**data["optimizer"]),
                }
            )
        except (KeyError, TypeError, ConfigError) as error:
            raise CheckpointCorruptError(f"the run's stored plan is incomplete: {error}") from error
        for name, value in asdict(plan).items():
            least = 0 if name in _FROM_ZERO else 1
            if name == "sliding":
                valid = isinstance(value, bool)
            elif name == "recurrent_dropout":
                valid = type(value) in (int, float) and 0 <= value < 1
            elif name == "optimizer":
                valid = all(type(number) in (int, float) for number in value.values())
            else:
                valid = name == "model" or (type(value) is int and value >= least)
            if not valid:
                raise CheckpointCorruptError(f"the run's stored plan has {name} = {value!r}")
        try:
            plan.member  # noqa: B018
        except ConfigError as error:
            raise CheckpointCorruptError(f"the run's stored plan is impossible: {error}") from error
        return plan


def learning_rate_factor(step: int, total_steps: int, warmup_steps: int) -> float:
    """The share of the peak learning rate used at `step`, counted from 0.

    It rises linearly over `warmup_steps` and then falls linearly, so that the last step is the
    smallest one above zero. A fall to zero ends a run of known length best (Defazio et al. 2023,
    arXiv:2310.07831, section 4).

    Args:
        step: The step about to be taken. From the last one on it stays: speed is measured on
            plans that may be shorter than the measurement.
        total_steps: Length of the run.
        warmup_steps: Length of the rise; 0 for no rise.
    Returns:
        A factor in `(0, 1]`.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return max(total_steps - step, 1) / max(total_steps - warmup_steps, 1)


def repeat_command(
    paths: Sequence[str | Path],
    options: TrainOptions,
    plan: Plan,
    *,
    folder: str | Path | None = None,
    parent: str = "",
) -> str:
    """`textgen train` with everything that a budget or the hardware decided spelled out.

    Args:
        paths: The texts as they were typed.
        options: What was asked for.
        plan: What became of it.
        folder: Of the new run; None leaves it to the command.
        parent: The model trained further, as it was typed.
    """
    wanted = RunOptions(from_=parent or None, out=None if folder is None else str(folder))
    return command_text("train", paths, planned_options(options, plan), wanted)


def planned_options(options: TrainOptions, plan: Plan) -> TrainOptions:
    """The options with all that was chosen for this text, this time and this machine.

    What is the same for every run of a version, such as the weight decay, stays as it was asked.
    """
    model = plan.model
    said = model.tie or options.vectors not in (None, WORD2VEC)
    return replace(
        options,
        budget=None,
        epochs=None,
        steps=plan.steps,
        hidden_size=model.hidden_size,
        num_layers=model.num_layers,
        # A tied embedding is as wide as a layer, and a file says how wide its vectors are.
        embedding_size=options.embedding_size if said else model.embedding_size,
        distance=model.head if model.has_vector_output else None,
        dropout=model.dropout,
        recurrent_dropout=plan.recurrent_dropout,
        members=plan.members,
        history=plan.seq_len if plan.sliding else None,
        seq_len=None if plan.sliding else plan.seq_len,
        batch_size=plan.batch_size,
        learning_rate=plan.optimizer.learning_rate,
    )


def resume_command(folder: str | Path) -> str:
    """Goes on with a run that was stopped."""
    return command_text("train", [folder], RunOptions(resume=True))


def more_command(folder: str | Path, more: str = "2m") -> str:
    """Trains a finished run longer."""
    return command_text("train", [folder], RunOptions(more=more))
