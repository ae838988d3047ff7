"""How a run is sized: every setting that was not asked for, chosen with a reason.

Two stages. A `Draft` fixes the model and the shape of a step, from the corpus, the budget and a
probe of the machine's speed. `Plan` adds the run's length and its rhythm of evaluations and saves,
all in steps; nothing in it looks at a clock again, so the same plan repeats exactly.

The rules of thumb were found on training and validation texts of several sizes and languages;
`docs/log.md` has the experiments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from textgen.cells import BUILT_IN, CELLS, missing_cell
from textgen.errors import CheckpointCorruptError, CheckpointFormatError, ConfigError
from textgen.model.config import ModelConfig
from textgen.runtime import Choice
from textgen.training.options import WORD2VEC, TrainOptions
from textgen.training.schedule import learning_rate_factor

DEFAULT_BUDGET = 180.0
#: A step is this many tokens where the text allows.
BATCH_SIZE, SEQ_LEN = 64, 64
#: AdamW's memory of gradients and of their squares. A first moment that remembers a step or two,
#: not ten, is worth a tenth of a bit: at these learning rates an old gradient points elsewhere.
BETA1, BETA2 = 0.4, 0.97
WEIGHT_DECAY = 0.1
#: The share of an LSTM's learning rate that suits another cell: at the whole of it a plain network
#: and an mLSTM diverge and a GRU learns worse (docs/log.md).
CELL_RATES = {"gru": 0.35, "rnn": 0.25, "mlstm": 0.25}
#: The share for a cell that textgen does not come with: the cautious one.
OWN_CELL_RATE = 0.25
#: A stream's state starts from zero again after so many tokens. Without that, states that only
#: count up drift off, and validation from zero was 0.3 nats and more above the training loss.
RESET_TOKENS = 2048
#: Evaluations over a run, and the share of the run's arithmetic they may take.
EVALUATIONS, EVALUATION_SHARE = 10, 0.04
#: The best model is validated at the end on this many times as much text, as far as there is.
FINAL_EVALUATION = 3
#: Samples of the model's own text shown during a run.
SAMPLES = 5
#: At most so many seconds of work are lost when a run is killed.
SECONDS_BETWEEN_SAVES = 25.0
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
            (see `textgen.training.more`).
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

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one update learns from."""
        return self.batch_size * self.seq_len

    def learning_rate(self, step: int) -> float:
        """The learning rate of the step after `step` others."""
        factor = learning_rate_factor(
            step - self.first_step, self.steps - self.first_step, self.warmup_steps
        )
        return self.optimizer.learning_rate * factor

    def to_dict(self) -> dict[str, Any]:
        """As plain data for the resumable file."""
        return asdict(self)

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
            elif name == "optimizer":
                valid = all(type(number) in (int, float) for number in value.values())
            else:
                valid = name == "model" or (type(value) is int and value >= least)
            if not valid:
                raise CheckpointCorruptError(f"the run's stored plan has {name} = {value!r}")
        return plan


@dataclass(frozen=True, kw_only=True)
class TextFacts:
    """What sizing a run needs to know of the text.

    Args:
        train_tokens: Tokens to train on.
        val_tokens: Tokens to validate on.
        vocab_size: Symbols.
    """

    train_tokens: int
    val_tokens: int
    vocab_size: int


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Measured wall time in seconds.

    Args:
        step: One update.
        evaluation: One evaluation as planned.
        save: One save of the resumable state and one of the model.
    """

    step: float
    evaluation: float
    save: float


@dataclass(frozen=True)
class Draft:
    """The model and the shape of a step; `plan` has placeholders for the run's length."""

    plan: Plan
    choices: tuple[Choice, ...]


def flops_per_token(config: ModelConfig) -> float:
    """Multiplications and additions of one token, forward and backward."""
    matrices = sum(
        math.prod(shape)
        for name, shape in config.tensor_shapes().items()
        if len(shape) == 2 and (name != "embedding.weight" or config.tie)
    )
    return 6.0 * matrices


def usual_layers(options: TrainOptions) -> tuple[int, str]:
    """How many layers where that was not asked for, and why."""
    if options.cell == "depth-gated":
        return 2, "the depth gate links the cells of two layers"
    if options.residual:
        return 2, "--residual adds a layer's input to its output from the second layer on"
    return 1, "one wide layer beats two narrow ones"


def embedding_width(hidden_size: int, *, tie: bool = False) -> int:
    """Width of a symbol's vector where none is asked for: enough to tell the symbols apart."""
    return hidden_size if tie else min(64, hidden_size)


def _embedding_reason(options: TrainOptions) -> str:
    if options.vectors not in (None, WORD2VEC):
        return f"the width of the vectors in {options.vectors}"
    if options.embedding_size:
        return "asked for"
    return "tied to the output" if options.tie else "enough to tell the symbols apart"


def _loss_choices(options: TrainOptions, config: ModelConfig) -> list[Choice]:
    """What is out of the ordinary about the loss, with reasons."""
    choices = []
    if config.frozen_embedding:
        why = "asked for"
        if not options.freeze_embedding:
            why = "a distance whose targets are trained collapses: all in one point, the loss 0"
        choices.append(Choice("embedding", "frozen", why))
    if config.has_vector_output:
        why = "--loss distance: of the output, a vector, from the next symbol's vector"
        choices.append(Choice("loss", f"{config.head} distance", why))
    return choices


def draft(options: TrainOptions, facts: TextFacts, flops_per_second: float | None) -> Draft:
    """Choose the model and the shape of a step.

    Args:
        options: What was asked for.
        facts: The text's size.
        flops_per_second: What this machine computes in training; None where the run's length is
            given in steps or epochs.
    Returns:
        The draft, with a reason for every choice.
    """
    choices = []

    def pick(name: str, asked: Any, default: Any, reason: str) -> Any:
        value = default if asked is None else asked
        choices.append(Choice(name, value, reason if asked is None else "asked for"))
        return value

    small = facts.train_tokens - 1
    if options.history is not None:
        seq_len = options.history
        choices.append(Choice("seq_len", seq_len, "--history: the lecture's sliding windows"))
        largest = max(1, facts.train_tokens - seq_len)
    else:
        seq_len = pick(
            "seq_len",
            options.seq_len,
            max(1, min(SEQ_LEN, small)),
            f"all that the text has, less one; the usual is {SEQ_LEN}"
            if small < SEQ_LEN
            else "gradients reach back this far; the state is carried on beyond it",
        )
        largest = max(1, small // max(1, seq_len // 4))
    batch_size = pick(
        "batch_size",
        options.batch_size,
        max(1, min(BATCH_SIZE, largest)),
        f"the text is too short for the usual {BATCH_SIZE} streams"
        if largest < BATCH_SIZE
        else "smaller ones learn no more from a character, larger ones less",
    )
    per_step = seq_len * batch_size

    tokens: float | None = None  # that the run will see, where its length is given
    if options.steps is not None:
        tokens = float(options.steps * per_step)
    elif options.epochs is not None:
        windows = facts.train_tokens - seq_len if options.history else facts.train_tokens / seq_len
        tokens = options.epochs * windows * seq_len
    budget = options.budget or DEFAULT_BUDGET
    if tokens is None and flops_per_second is None:
        raise ValueError("a budget needs the machine's speed")

    layers, why = usual_layers(options)
    num_layers = pick("num_layers", options.num_layers, layers, why)

    def shape(hidden_size: int) -> ModelConfig:
        embedding = options.embedding_size or embedding_width(hidden_size, tie=options.tie)
        return ModelConfig(
            vocab_size=facts.vocab_size,
            embedding_size=embedding,
            hidden_size=hidden_size,
            num_layers=num_layers,
            cell=options.cell,
            nonlinearity=options.nonlinearity,
            tie=options.tie,
            residual=options.residual,
            head=options.head,
            frozen_embedding=options.frozen_embedding,
        )

    def tokens_of(config: ModelConfig) -> float:
        if tokens is not None:
            return tokens
        assert flops_per_second is not None
        return budget * flops_per_second / flops_per_token(config)

    hidden_size = options.hidden_size
    if hidden_size is None:
        hidden_size, reason = _hidden_size(facts, shape, tokens_of)
        choices.append(Choice("hidden_size", hidden_size, reason))
    else:
        choices.append(Choice("hidden_size", hidden_size, "asked for"))
    config = shape(hidden_size)
    choices.append(Choice("embedding_size", config.embedding_size, _embedding_reason(options)))
    choices += _loss_choices(options, config)
    epochs = tokens_of(config) / facts.train_tokens
    dropout = pick(
        "dropout",
        options.dropout,
        _dropout(epochs),
        f"the text will be read about {epochs:.3g} times",
    )
    learning_rate = pick(
        "learning_rate",
        options.learning_rate,
        _learning_rate(config, per_step),
        f"for {per_step} tokens a step and {hidden_size} units; falls linearly to zero",
    )
    plan = Plan(
        model=replace(config, dropout=dropout),
        optimizer=OptimizerPlan(
            learning_rate=learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=WEIGHT_DECAY if options.weight_decay is None else options.weight_decay,
            clip_norm=1.0 if options.clip_norm is None else options.clip_norm,
        ),
        batch_size=batch_size,
        seq_len=seq_len,
        sliding=options.history is not None,
        steps=max(1, round(tokens / per_step)) if tokens is not None else 0,
        warmup_steps=0,
        report_every=1,
        eval_every=1,
        eval_tokens=facts.val_tokens,
        save_every=1,
        sample_every=1,
        patience=options.patience,
        rng=options.rng,
        # A pair's source is to be there when its target is written.
        reset_every=0
        if options.history is not None or options.pairs
        else max(2, RESET_TOKENS // seq_len),
    )
    if plan.steps:
        plan = _with_rhythm(plan, options, facts, plan.steps)
    return Draft(plan, tuple(choices))


def finish(
    drafted: Draft, options: TrainOptions, facts: TextFacts, timing: Timing
) -> tuple[Plan, tuple[Choice, ...]]:
    """Turn a budget into steps, and seconds between saves and reports into steps.

    Args:
        drafted: The draft.
        options: What was asked for.
        facts: The text's size.
        timing: Measured on this machine with the drafted model.
    Returns:
        The plan, and the choices made here.
    """
    plan = drafted.plan
    choices = []
    if plan.steps == 0:
        budget = options.budget or DEFAULT_BUDGET
        saves = 1 + budget / SECONDS_BETWEEN_SAVES
        spent = (EVALUATIONS + FINAL_EVALUATION) * timing.evaluation + saves * timing.save
        steps = max(1, int(max(budget - spent, budget / 2) / timing.step))
        plan = _with_rhythm(plan, options, facts, steps)
        choices.append(Choice("steps", steps, f"{budget:g} s at {timing.step * 1e3:.3g} ms a step"))
    else:
        choices.append(
            Choice("steps", plan.steps, "asked for" if options.steps else "from --epochs")
        )
    per_save = max(1, int(SECONDS_BETWEEN_SAVES / timing.step))
    plan = replace(
        plan,
        report_every=max(1, min(plan.eval_every, int(1.0 / timing.step))),
        save_every=options.save_every or min(per_save, plan.steps),
    )
    choices.append(
        Choice(
            "save_every",
            plan.save_every,
            "asked for"
            if options.save_every
            else f"at most about {SECONDS_BETWEEN_SAVES:.0f} s of work can be lost",
        )
    )
    return plan, tuple(choices)


def evaluation_tokens(val_tokens: int, train_tokens_seen: float) -> int:
    """Validation tokens to charge in one evaluation: a pass forward costs a third of training."""
    share = 3 * EVALUATION_SHARE / EVALUATIONS * train_tokens_seen
    return max(1, min(val_tokens, max(int(share), 4096)))


def _with_rhythm(plan: Plan, options: TrainOptions, facts: TextFacts, steps: int) -> Plan:
    """Everything that follows from the number of steps alone, so that `--steps` repeats it."""
    return replace(
        plan,
        steps=steps,
        warmup_steps=min(steps // 20, 200),
        eval_every=options.eval_every or max(1, math.ceil(steps / EVALUATIONS)),
        eval_tokens=evaluation_tokens(facts.val_tokens, steps * plan.tokens_per_step),
        sample_every=max(1, math.ceil(steps / SAMPLES)),
    )


def _hidden_size(facts: TextFacts, shape: Any, tokens_of: Any) -> tuple[int, str]:
    """The width for the run's arithmetic, held back where the text is small."""
    sizes = (32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536)
    best, reason = sizes[0], "the smallest: there is little to compute with"
    for size in sizes:
        config = shape(size)
        total = flops_per_token(config) * tokens_of(config)
        affordable = 320 * (total / 1.5e13) ** 0.36
        by_text = 34 * facts.train_tokens**0.23
        if size > affordable * 1.1:
            break
        if size > by_text * 1.1:
            reason = f"more would only memorise {facts.train_tokens:,} tokens of text"
            break
        best = size
        reason = f"what {total:.2g} operations train best"
    return best, reason


def _dropout(epochs: float) -> float:
    """None for a text read a few times, half and more for one read a hundred times."""
    if epochs <= 6.0:
        return 0.0
    return round(min(0.65, 0.11 * math.log2(epochs / 4.0)), 2)


def _learning_rate(config: ModelConfig, tokens_per_step: int) -> float:
    """The peak: grows with the root of a step's tokens, falls with width and depth; of the cell."""
    base = 0.02 * math.sqrt(min(tokens_per_step, 16384) / 2048)
    value = base * math.sqrt(384 / max(config.hidden_size, 256)) / math.sqrt(config.num_layers)
    usual = 1.0 if config.cell in BUILT_IN else OWN_CELL_RATE
    return float(f"{value * CELL_RATES.get(config.cell, usual):.2g}")
