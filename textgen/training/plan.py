"""What a run does, resolved, all in steps; and the commands that do it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from textgen.corpus.windows import ALL, DocumentLabels, Portion, Tokens, Windows
from textgen.errors import CheckpointCorruptError, ConfigError, named
from textgen.model.config import ModelConfig
from textgen.model.members import member_config
from textgen.options import MOST_STEPS, WORD2VEC, RunOptions, TrainOptions, command_text
from textgen.plain_data import Count, Share, Some, fields_from_plain
from textgen.settings import Setting

Steps = Annotated[int, Setting(at_least=0, at_most=MOST_STEPS)]


@dataclass(frozen=True, kw_only=True)
class OptimizerPlan:
    """AdamW's settings; `learning_rate` is the peak of the schedule.

    `beta1` has the value of runs whose plan does not name it, those begun by version 0.1.
    """

    learning_rate: Annotated[float, Setting(above=0)]
    beta1: Share = 0.9
    beta2: Share
    weight_decay: Annotated[float, Setting(at_least=0)]
    clip_norm: Annotated[float, Setting(above=0)]


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
        accumulate: Parts of a step whose gradients are computed one after the other and added, so
            that a step takes less memory; 1 in runs whose plan does not name it.
    Raises:
        ConfigError: It would take more steps than `MOST_STEPS`.
    """

    model: ModelConfig
    optimizer: OptimizerPlan
    batch_size: Some
    seq_len: Some
    sliding: bool
    steps: Annotated[int, Setting(at_least=1, at_most=MOST_STEPS)]
    warmup_steps: Count
    report_every: Some
    eval_every: Some
    eval_tokens: Some
    save_every: Some
    sample_every: Some
    patience: Count
    rng: Annotated[int, Setting(at_least=0, below=2**31)]
    reset_every: Count = 0
    first_step: Steps = 0
    recurrent_dropout: Share = 0.0
    members: Some = 1
    accumulate: Some = 1

    def __post_init__(self) -> None:
        if self.steps > MOST_STEPS:
            raise ConfigError(
                f"the run would take {self.steps:,} steps, and at most {MOST_STEPS:,} can be "
                f"taken; give a smaller {named('budget')}, {named('epochs')} or {named('more')}"
            )

    @property
    def member(self) -> ModelConfig:
        """The shape of each of the members."""
        return member_config(self.model, self.members)

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one update learns from."""
        return self.batch_size * self.seq_len

    def windows(
        self,
        tokens: Tokens,
        separator: int | None = None,
        labels: DocumentLabels | None = None,
        share: Portion = ALL,
    ) -> Windows:
        """The windows of a run on a training text.

        Args:
            tokens: The text.
            separator: Of a text of pairs, what stands between source and target.
            labels: Of its documents.
            share: The part of the streams that is read here.
        """
        return Windows(
            tokens,
            seq_len=self.seq_len,
            batch_size=self.batch_size,
            sliding=self.sliding,
            reset_every=self.reset_every,
            separator=separator,
            labels=labels,
            rng=self.rng,
            share=share,
        )

    def learning_rate(self, step: int) -> float:
        """The learning rate of the step after `step` others."""
        factor = learning_rate_factor(
            step - self.first_step, self.steps - self.first_step, self.warmup_steps
        )
        return self.optimizer.learning_rate * factor

    @classmethod
    def from_dict(cls, data: object) -> Plan:
        """From plain data.

        Raises:
            CheckpointFormatError: Its cell is not known.
            CheckpointCorruptError: A setting is missing, unknown or out of range.
        """
        plan = fields_from_plain(cls, data)
        try:
            plan.member  # noqa: B018
        except ConfigError as error:
            raise CheckpointCorruptError(f"members is {plan.members}: {error.marked}") from error
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

    What is the same for every run of a version, such as the clipping, stays as it was asked.
    """
    model = plan.model
    said = model.tie or options.vectors not in (None, WORD2VEC)
    return replace(
        options,
        budget=None,
        epochs=None,
        steps=plan.steps,
        cell=model.cell,
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
        accumulate=plan.accumulate,
        learning_rate=plan.optimizer.learning_rate,
        weight_decay=plan.optimizer.weight_decay,
    )


def resume_command(folder: str | Path) -> str:
    """Goes on with a run that was stopped."""
    return command_text("train", [folder], RunOptions(resume=True))


def more_command(folder: str | Path, more: str = "2m") -> str:
    """Trains a finished run longer."""
    return command_text("train", [folder], RunOptions(more=more))
