"""How a run is sized: every setting that was not asked for, chosen with a reason.

Two stages. A `Draft` fixes the model and the shape of a step, from the corpus, the budget and the
measured speed of the machine. `finish` adds the length of the run and its rhythm of evaluations
and saves, all in steps; nothing in a plan looks at a clock again, so the same plan repeats exactly.

The rules of thumb were found on training and validation texts of several sizes and languages;
`docs/log.md` has the experiments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from textgen.adaptation import FIT_TOKENS
from textgen.cells import BUILT_IN
from textgen.corpus.corpus_options import FEW_WORDS
from textgen.errors import ConfigError, EmptyCorpusError, named
from textgen.model.config import MOST_LAYERS, ModelConfig
from textgen.model.members import member_config
from textgen.model.network import Engine
from textgen.options import WORD2VEC, TrainOptions
from textgen.runtime import Choice
from textgen.terminal.humanize import plural, times
from textgen.training.plan import OptimizerPlan, Plan

DEFAULT_BUDGET = 180.0
#: A step is this many tokens where the text allows.
BATCH_SIZE, SEQ_LEN = 64, 64
#: AdamW's memory of gradients and of their squares. A first moment that remembers a step or two,
#: not ten, is worth a tenth of a bit: at these learning rates an old gradient points elsewhere.
BETA1, BETA2 = 0.4, 0.97
WEIGHT_DECAY = 0.1
#: The cell where none is asked for; and the one for a short text, for pairs, and for torch, which
#: has a fast kernel for an LSTM and computes the other step by step. With the same arithmetic, and
#: so a seventh more neurons, the first learns 0.01 to 0.09 bits a character more (docs/log.md).
USUAL_CELL, LSTM = "coupled", "lstm"
#: Tokens below which an LSTM learns as much or more (docs/log.md).
SHORT_TEXT = 30_000
#: The share of an LSTM's learning rate that suits another cell: at the whole of it a plain network
#: and an mLSTM diverge and a GRU learns worse (docs/log.md).
CELL_RATES = {"gru": 0.35, "rnn": 0.25, "mlstm": 0.25}
#: The share for a cell that textgen does not come with: the cautious one.
OWN_CELL_RATE = 0.25
#: The share of the learning rate that suits a model that is trained further: half of it for a text
#: that is read five times, and less the more often it is read, so that what the model knew is not
#: lost while it learns a short text by heart (docs/log.md).
MOST_OF_RATE, RATE_READINGS = 0.5, 2.5
#: The state of a stream starts from zero again after this many tokens. Without that, states that
#: only count up drift off, and validation from zero was 0.3 nats or more above the training loss.
RESET_TOKENS = 2048
#: Evaluations over a run, and the share of the run's arithmetic they may take.
EVALUATIONS, EVALUATION_SHARE = 10, 0.04
#: The best model is validated at the end on this many times as much text, as far as there is.
FINAL_EVALUATION = 3
#: The share of a run that it may take to fit how the model learns while it reads; for that so many
#: passes over some validation text are made, by one stream, in which a token takes so many times as
#: long as in training. Tokens of a pass at least: on fewer a gain is not yet seen, and it is fitted
#: when it is needed.
ADAPTATION_SHARE, ADAPTATION_PASSES, ONE_STREAM = 0.03, 6, 16
LEAST_ADAPTATION = 2000
#: Dropout of a large vocabulary of words: so much for each doubling of how often the text is read
#: (docs/log.md).
WORDS_DROPOUT = 0.15
#: The share of the neurons that suits a large vocabulary of words: the output takes most of the
#: arithmetic, and with half the neurons the text is read twice as often in the same time.
WORDS_HIDDEN = 0.5
#: Dropout at most, however often a text is read: of neurons, and of recurrent weights.
MOST_DROPOUT, MOST_RECURRENT_DROPOUT = 0.65, 0.5
#: Dropout for each doubling of how often the text is read; the second from `RECURRENT_FROM`
#: readings on, where recurrent weights are dropped too, so much of them (docs/log.md).
DROPOUT, DROPOUT_BESIDE, RECURRENT_DROPOUT, RECURRENT_FROM = 0.11, 0.03, 0.3, 30.0
#: How much a network can keep of the text, in parameters for each token times readings: below the
#: first it needs no dropout, from the second on all of it. In place of dropout a network of so many
#: parameters for each token, `DECAYING`, is helped by `STRONG_DECAY` (docs/log.md).
MEMORIZING, DECAYING, STRONG_DECAY = (6.0, 9.0), (0.3, 0.45), 0.25
#: Two networks are trained side by side, and their predictions averaged, where one alone would read
#: the text as often as the first of these says in the time there is; three from the second on, and
#: so forth, as far as networks as wide as that one fit into the width. All of them have no more
#: neurons than that, so that the model writes quickly. Each has so many neurons at least: where
#: there is no time for that, narrower ones learn less than a single network (docs/log.md).
MEMBERS_FROM, MEMBERS_WIDTH, MEMBER_LEAST = (8.0, 60.0, 120.0), 1024, 256
#: What a token is, by level, in words.
_UNITS = {"char": "characters", "byte": "bytes", "word": "words"}
#: Samples of the model's own text shown during a run.
SAMPLES = 5
#: The most seconds of work that are lost when a run is killed.
SECONDS_BETWEEN_SAVES = 25.0


@dataclass(frozen=True, kw_only=True)
class TextFacts:
    """What sizing a run needs to know of the text.

    Args:
        train_tokens: Tokens to train on.
        val_tokens: Tokens to validate on.
        vocab_size: Symbols.
        labels: Those of the model.
    """

    train_tokens: int
    val_tokens: int
    vocab_size: int
    labels: tuple[str, ...] = ()


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


def memory_needed(plan: Plan, *, device: str = "cpu", processes: int = 1) -> tuple[int, int]:
    """About how much memory training takes, in bytes; measured, see `docs/log.md`.

    Args:
        plan: A plan, or a draft's.
        device: Where it is computed; a GPU keeps no second copies of the weights.
        processes: How many share out the step.
    Returns:
        That of the weights (their gradients, moments, best and saved copies), and that of a step:
        what is kept of each token for the way back.
    """
    config = plan.model
    weights = sum(math.prod(shape) for shape in config.tensor_shapes().values())
    blocks = len(config.cell_spec.input_names)
    kept = config.num_layers * config.hidden_size * (2 * blocks + 2) + 2 * config.vocab_size
    tokens = plan.seq_len * -(-plan.batch_size // (plan.accumulate * processes))
    kept *= tokens
    if config.labels:  # Rows of symbols under labels and their columns, both with gradients.
        width = config.embedding_size + len(config.labels)
        rows = 1 << max(tokens - 1, 1).bit_length()
        pairs = config.vocab_size * (1 + len(config.labels))
        kept += 2 * width * (min(rows, 2 * pairs) + blocks * config.hidden_size)
    return weights * (24 if device == "cuda" else 72), 4 * kept


def refuse_beyond_memory(
    plan: Plan, available: int | None, *, device: str = "cpu", processes: int = 1
) -> None:
    """Refuse a run that does not fit, before anything of it is taken.

    Args:
        plan: A plan, or a draft's.
        available: Bytes that are free; None where that is not known.
        device, processes: As in `memory_needed`.
    """
    weights, step = memory_needed(plan, device=device, processes=processes)
    if available is None or weights + step <= available:
        return
    config = plan.model
    if step > weights:
        window = "history" if plan.sliding else "seq_len"
        wide = plan.batch_size >= plan.seq_len
        name, value = ("batch_size", plan.batch_size) if wide else (window, plan.seq_len)
    else:
        name, value = max(
            ("hidden_size", config.hidden_size),
            ("embedding_size", config.embedding_size),
            ("num_layers", config.num_layers * 100),
            ("max_words", config.vocab_size if config.vocab_size > 2000 else 0),
            key=lambda setting: setting[1],
        )
        value = config.num_layers if name == "num_layers" else value
    parts = ""
    if name == "batch_size" and plan.accumulate < plan.batch_size:
        parts = f", or {named('accumulate', 2 * plan.accumulate)} to compute a step in parts"
    raise ConfigError(
        f"this run needs about {_gigabytes(weights + step)} of memory, and "
        f"{_gigabytes(available)} are free: {_gigabytes(weights)} for a model of "
        f"{config.num_parameters():,} numbers, {_gigabytes(step)} for a step of "
        f"{plan.tokens_per_step:,} tokens; give a smaller {named(name)} (it is {value:,}){parts}"
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.3g} GB" if count < 1e12 else f"{count / 1e12:,.0f} TB"


def has_rare_words(options: TrainOptions, facts: TextFacts) -> bool:
    """Whether tokens are words, so many that most of them come a few times in the text."""
    return options.corpus.level == "word" and facts.vocab_size > FEW_WORDS


def usual_cell(options: TrainOptions, facts: TextFacts, engine: Engine) -> Choice:
    """The cell that was asked for, or the one that suits the text and what computes.

    Args:
        options: What was asked for.
        facts: The text's size.
        engine: What would compute an LSTM here.
    """
    if options.cell is not None:
        return Choice("cell", options.cell, "asked for")
    cell, reason = USUAL_CELL, "an LSTM with one gate less: in the same time it learns more"
    if engine.name == "torch":
        cell, reason = LSTM, "torch has a fast kernel for it"
    elif options.pairs:
        cell, reason = LSTM, "it keeps a source while it writes the target better than others"
    elif facts.train_tokens < SHORT_TEXT:
        cell, reason = LSTM, "it learns more from a text as short as this"
    return Choice("cell", cell, reason)


def cell_of(options: TrainOptions) -> str:
    """The cell that was asked for, or the usual one."""
    return options.cell or USUAL_CELL


def usual_layers(options: TrainOptions) -> tuple[int, str]:
    """How many layers where that was not asked for, and why."""
    if options.cell == "depth-gated":
        return 2, "the depth gate of this cell joins two layers"
    if options.residual:
        return 2, "residual connections begin with the second layer"
    return 1, "one wide layer learns more than two narrow ones in the same time"


def embedding_width(hidden_size: int, *, tie: bool = False) -> int:
    """Width of a token's vector where none is asked for: enough to tell the tokens apart."""
    return hidden_size if tie else min(64, hidden_size)


def _embedding_reason(options: TrainOptions, facts: TextFacts) -> str:
    if options.vectors not in (None, WORD2VEC):
        return f"the width of the vectors in {options.vectors}"
    if options.embedding_size:
        return "asked for"
    if options.tie:
        return "the embedding is also the weight of the output, with one number for each neuron"
    return f"numbers in the vector of a token: enough to tell {facts.vocab_size:,} tokens apart"


def _loss_choices(options: TrainOptions, config: ModelConfig) -> list[Choice]:
    """What is out of the ordinary about the loss, with reasons."""
    choices = []
    if config.frozen_embedding:
        why = "asked for"
        if not options.freeze_embedding:
            why = "trained by a distance, all vectors would move to one point, and the loss be 0"
        choices.append(Choice("embedding", "frozen", why))
    if config.has_vector_output:
        why = "how far the output, a vector, is from the vector of the next token"
        choices.append(Choice("loss", f"{config.head} distance", why))
    return choices


def draft(
    options: TrainOptions,
    facts: TextFacts,
    flops_per_second: float | None,
    *,
    further: bool = False,
) -> Draft:
    """Choose the model and the shape of a step, each with a reason.

    Args:
        options: What was asked for.
        facts: The text's size.
        flops_per_second: What this machine computes in training; None where the run's length is
            given in steps or epochs.
        further: Whether a trained model is trained further.
    Raises:
        ConfigError: There are more layers than `MOST_LAYERS`.
        EmptyCorpusError: A history is longer than the text.
    """
    choices = []

    def pick(
        name: str, asked: Any, default: Any, reason: str, *, most: int | None = None, room: str = ""
    ) -> Any:
        """What was asked for, as far as there is `room`, or the default."""
        if asked is None:
            choice = Choice(name, default, reason)
        elif most is not None and asked > most:
            choice = Choice(name, most, f"{asked:,} were asked for; {room}", changed=True)
        else:
            choice = Choice(name, asked, "asked for")
        choices.append(choice)
        return choice.value

    unit = _UNITS[options.corpus.level]
    small = max(1, facts.train_tokens - 1)
    if options.history is not None:
        seq_len = options.history
        if seq_len > small:
            raise EmptyCorpusError(
                f"{named('history', seq_len)} is longer than the text, of which "
                f"{facts.train_tokens:,} {unit} are trained on; give at most {small}, or more text"
            )
        reason = f"each prediction sees this many {unit} and nothing before them"
        choices.append(Choice("history", seq_len, reason))
        largest = facts.train_tokens - seq_len
        room = f"the text has {largest:,} such windows"
    else:
        seq_len = pick(
            "seq_len",
            options.seq_len,
            min(SEQ_LEN, small),
            f"the whole text, which is short; {SEQ_LEN} {unit} are usual"
            if small < SEQ_LEN
            else f"{unit} in a training sequence; the network's state goes on from one sequence to "
            "the next",
            most=small,
            room=f"the text has no more to train on ({facts.train_tokens:,} {unit})",
        )
        largest = max(1, small // max(1, seq_len // 4))
        room = f"the text is short: at most {largest:,} sequences can be read at the same time"
    batch_size = pick(
        "batch_size",
        options.batch_size,
        min(BATCH_SIZE, largest),
        f"sequences read at the same time; the text is too short for the usual {BATCH_SIZE}"
        if largest < BATCH_SIZE
        else "sequences read at the same time; with more of them, the model learns less from each "
        "character",
        most=largest,
        room=room,
    )
    per_step = seq_len * batch_size
    accumulate = min(options.accumulate, batch_size)
    if accumulate > 1:
        reason = "parts of a step, one after the other; their gradients are added"
        choices.append(Choice("accumulate", accumulate, reason))

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
    if num_layers > MOST_LAYERS:
        raise ConfigError(
            f"{named('num_layers')} is {num_layers}; at most {MOST_LAYERS} can be trained here, "
            f"and 1 to 4 learn most. Make a model larger with {named('hidden_size')}"
        )

    def shape(hidden_size: int, members: int = 1) -> ModelConfig:
        width = embedding_width(hidden_size // members, tie=options.tie)
        return ModelConfig(
            vocab_size=facts.vocab_size,
            embedding_size=options.embedding_size or members * width,
            hidden_size=hidden_size,
            num_layers=num_layers,
            cell=cell_of(options),
            nonlinearity=options.nonlinearity,
            tie=options.tie,
            residual=options.residual,
            head=options.head,
            frozen_embedding=options.frozen_embedding,
            labels=facts.labels,
        )

    def tokens_of(member: ModelConfig, members: int = 1) -> float:
        if tokens is not None:
            return tokens
        assert flops_per_second is not None
        return budget * flops_per_second / flops_per_token(member) / members

    def widest(members: int) -> tuple[int, str]:
        aim = _length_words(options)
        return _hidden_size(
            facts, shape, lambda member: tokens_of(member, members), aim, unit, rare=rare
        )

    rare = has_rare_words(options, facts)
    hidden_size, reason = options.hidden_size, "asked for"
    members = options.members or 1
    why = "networks that are trained side by side; their predictions are averaged"
    if hidden_size is None:
        hidden_size, reason = widest(1)
        readings = tokens_of(shape(hidden_size)) / facts.train_tokens
        # Not tried with words or pairs, nor where each token sees a few before it.
        plain = not (rare or options.pairs or options.history or further or tokens is not None)
        plain = plain and not (options.tie or options.frozen_embedding or options.vectors)
        plain = plain and options.embedding_size is None
        if options.members is None and plain and readings >= MEMBERS_FROM[0]:
            members = sum(readings >= least for least in MEMBERS_FROM) + 1
            members = min(members, max(2, MEMBERS_WIDTH // hidden_size))
            while members > 1 and widest(members)[0] < MEMBER_LEAST:
                members -= 1
            why += f": one alone would read the text {_times(readings)}, and learn less"
        if members > 1:
            own, reason = widest(members)
            most = max(MEMBERS_WIDTH // members, 32)
            if own > most and options.members is None:
                own = most // 32 * 32
                reason = f"neurons: in all as many as can write quickly, {MEMBERS_WIDTH:,} or fewer"
            hidden_size, reason = members * own, f"{members} x {own} {reason}"
    if members > 1:
        choices.append(Choice("members", members, "asked for" if options.members else why))
    choices.append(Choice("hidden_size", hidden_size, reason))
    config = shape(hidden_size, members)
    each = member_config(config, members)
    choices.append(
        Choice("embedding_size", config.embedding_size, _embedding_reason(options, facts))
    )
    choices += _loss_choices(options, config)
    epochs = tokens_of(each, members) / facts.train_tokens
    # Not tried with words or pairs; who gives the dropout gets that alone.
    plain = options.dropout is not None or rare or options.pairs
    recurrent_dropout = pick(
        "recurrent_dropout",
        options.recurrent_dropout,
        0.0 if plain else _recurrent_dropout(epochs),
        _recurrent_reason(epochs, options, rare),
    )
    needed = _dropout(epochs, rare=rare, alone=recurrent_dropout == 0.0)
    parameters = each.num_parameters() / facts.train_tokens
    # Not tried with words or pairs.
    memorizing = 1.0 if rare or options.pairs else _between(parameters * epochs, MEMORIZING)
    usual = round(memorizing * needed, 2)
    dropout = pick(
        "dropout", options.dropout, usual, _dropout_reason(epochs, needed, usual, rare=rare)
    )
    stronger = (1.0 - memorizing) * _between(parameters, DECAYING) if needed else 0.0
    weight_decay = pick(
        "weight_decay",
        options.weight_decay,
        round(WEIGHT_DECAY + stronger * (STRONG_DECAY - WEIGHT_DECAY), 2),
        "how strongly the weights are pulled towards 0"
        + (": more than usual, in place of dropout" if stronger else ""),
    )
    share = min(MOST_OF_RATE, RATE_READINGS / epochs) if further else 1.0
    less = f"; {share:.0%} of the usual, so that the model keeps what it knows" if further else ""
    learning_rate = pick(
        "learning_rate",
        options.learning_rate,
        _learning_rate(each, per_step, share),
        f"how far a step moves the weights: fits {each.hidden_size:,} neurons and {per_step:,} "
        f"{unit} a step{less}; falls to 0 by the end",
    )
    plan = Plan(
        model=replace(config, dropout=dropout),
        optimizer=OptimizerPlan(
            learning_rate=learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=weight_decay,
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
        recurrent_dropout=recurrent_dropout,
        members=members,
        accumulate=accumulate,
    )
    if plan.steps:
        plan = _of_length(plan, options, facts, plan.steps)
    return Draft(plan, tuple(choices))


def finish(
    drafted: Draft, options: TrainOptions, facts: TextFacts, timing: Timing
) -> tuple[Plan, tuple[Choice, ...]]:
    """Turn a budget into steps, and seconds between saves and reports into steps.

    `timing` was measured on this machine with the drafted model.

    Returns:
        The plan, and the choices made here.
    """
    plan = drafted.plan
    choices = []
    if plan.steps == 0:
        budget = options.budget or DEFAULT_BUDGET
        steps = steps_within(budget, timing, options)
        planned = _of_length(plan, options, facts, steps)
        if not options.pairs and adaptation_tokens(planned, facts.val_tokens):
            steps = steps_within((1 - ADAPTATION_SHARE) * budget, timing, options)
        plan = _of_length(plan, options, facts, steps)
        reason = f"as many as fit into {duration_words(budget)}: one takes {_milliseconds(timing)}"
        choices.append(Choice("steps", steps, f"{reason} on this machine"))
    elif options.steps:
        choices.append(Choice("steps", plan.steps, "asked for"))
    else:
        reason = f"the text is read {times(options.epochs or 0)}"
        choices.append(Choice("steps", plan.steps, reason))
    plan = with_pauses(plan, options, plan.steps, timing)
    choices.append(
        Choice(
            "save_every",
            plan.save_every,
            "asked for"
            if options.save_every
            else f"steps between saves: every {SECONDS_BETWEEN_SAVES:.0f} seconds or so, which is "
            "all that a crash can cost"
            if plan.save_every < plan.steps
            else "steps between saves: the run is short and is saved at its end",
        )
    )
    return plan, tuple(choices)


def tokens_charged(plan: Plan, steps: int) -> float:
    """The tokens that the arithmetic of some steps would read with the whole model, forward and
    backward: fewer than were trained on where it has several members, for it is as wide as all."""
    return steps * plan.tokens_per_step / plan.members


def evaluation_tokens(val_tokens: int, train_tokens_seen: float) -> int:
    """Validation tokens to charge in one evaluation: a pass forward costs a third of training."""
    share = 3 * EVALUATION_SHARE / EVALUATIONS * train_tokens_seen
    return max(1, min(val_tokens, max(int(share), 4096)))


def adaptation_tokens(plan: Plan, val_tokens: int) -> int:
    """Validation tokens on which it is fitted how the model learns while it reads; 0: it is not.

    A short run has no time for it, and a model that sees a fixed number of tokens, or whose output
    is a vector, does not learn while it reads.
    """
    if plan.sliding or plan.model.has_vector_output:
        return 0
    seen = tokens_charged(plan, plan.steps)
    tokens = int(ADAPTATION_SHARE * seen / (ADAPTATION_PASSES * ONE_STREAM))
    return min(tokens, val_tokens, FIT_TOKENS) if tokens >= LEAST_ADAPTATION else 0


def steps_within(seconds: float, timing: Timing, options: TrainOptions) -> int:
    """The steps that fit into some seconds beside evaluations and saves, as often as asked for."""
    step, spent = timing.step, FINAL_EVALUATION * timing.evaluation + timing.save
    if options.eval_every:
        step += timing.evaluation / options.eval_every
    else:
        spent += EVALUATIONS * timing.evaluation
    if options.save_every:
        step += timing.save / options.save_every
    else:
        spent += seconds / SECONDS_BETWEEN_SAVES * timing.save
    return max(1, int(max(seconds - spent, seconds / 2) / step))


def _of_length(plan: Plan, options: TrainOptions, facts: TextFacts, steps: int) -> Plan:
    """Everything that follows from the number of steps alone, so that a run of as many steps
    repeats it."""
    tokens = evaluation_tokens(facts.val_tokens, tokens_charged(plan, steps))
    return with_rhythm(replace(plan, steps=steps, eval_tokens=tokens), options, steps)


def with_rhythm(plan: Plan, options: TrainOptions, steps: int) -> Plan:
    """The plan with the warm-up, the evaluations and the samples of a schedule of some steps."""
    return replace(
        plan,
        warmup_steps=min(steps // 20, 200),
        eval_every=options.eval_every or max(1, math.ceil(steps / EVALUATIONS)),
        sample_every=max(1, math.ceil(steps / SAMPLES)),
    )


def with_pauses(plan: Plan, options: TrainOptions, steps: int, timing: Timing) -> Plan:
    """The plan with its reports and saves, which are some seconds apart."""
    per_report, per_save = (max(1, int(s / timing.step)) for s in (1.0, SECONDS_BETWEEN_SAVES))
    return replace(
        plan,
        report_every=min(plan.eval_every, per_report),
        save_every=options.save_every or min(per_save, steps),
    )


def _hidden_size(
    facts: TextFacts, shape: Any, tokens_of: Any, aim: str, unit: str, *, rare: bool
) -> tuple[int, str]:
    """The width for the run's arithmetic, held back where the text is small."""
    sizes = (32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536)
    best = sizes[0]
    reason = f"neurons: the fewest that are chosen, because there is little time ({aim})"
    for size in sizes:
        config = shape(size)
        total = flops_per_token(config) * tokens_of(config)
        affordable = 320 * (total / 1.5e13) ** 0.36 * (WORDS_HIDDEN if rare else 1.0)
        by_text = 34 * facts.train_tokens**0.23
        if size > affordable * 1.1:
            break
        if size > by_text * 1.1:
            reason = (
                f"neurons: as many as {facts.train_tokens:,} {unit} of text can teach; with more, "
                "the model would memorize it"
            )
            break
        best = size
        times = tokens_of(config) / facts.train_tokens
        reason = (
            f"neurons: about as many as learn most in {aim}, in which the text is read "
            f"{_times(times)}"
        )
        if rare:
            reason += (
                f"; half as many as for characters, because the output of {facts.vocab_size:,} "
                "words takes most of the arithmetic"
            )
    else:
        reason = "neurons: the most that are chosen; you can ask for more"
    return best, reason


def _length_words(options: TrainOptions) -> str:
    """How long the run is, as it was asked for."""
    if options.steps is not None:
        return plural(options.steps, "step")
    if options.epochs is not None:
        return f"{options.epochs:g} pass{'' if options.epochs == 1 else 'es'} over the text"
    return duration_words(options.budget or DEFAULT_BUDGET)


def duration_words(seconds: float) -> str:
    """A duration in words: "3 minutes", "90 seconds"."""
    for size, name in ((3600.0, "hour"), (60.0, "minute")):
        if seconds >= size and seconds % size == 0:
            count = round(seconds / size)
            return plural(count, name)
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"


def _milliseconds(timing: Timing) -> str:
    step = timing.step * 1e3
    return f"{step:.3g} ms" if step < 1000 else f"{step / 1e3:.3g} s"


def _times(count: float) -> str:
    """How often a text is read."""
    if count < 0.995:
        return f"in part ({count:.0%} of it)"
    return "about once" if count < 1.5 else f"about {count:.0f} times"


def _dropout_reason(epochs: float, needed: float, usual: float, *, rare: bool) -> str:
    share = "share of the neurons switched off at each step"
    if not needed:
        return f"{share}: none, because a text read {_times(epochs)} is not memorized"
    if not usual:
        return f"{share}: none, because a network of this size does not memorize the text"
    reason = f"{share}, so that a text read {_times(epochs)} is not memorized"
    return f"{reason}; rare words are soon memorized" if rare else reason


def _dropout(epochs: float, *, rare: bool, alone: bool) -> float:
    """What a network that could memorize the text needs: none for a text read a few times, up to a
    half and more for one read a hundred times.

    More with `rare`: tokens are words, most of which occur a few times and are soon memorized.
    Less in the end where it is not `alone`, but beside recurrent dropout.
    """
    if rare:
        return min(MOST_DROPOUT, WORDS_DROPOUT * math.log2(max(1.0, epochs)))
    if epochs <= 6.0:
        return 0.0
    before = epochs if alone else min(epochs, RECURRENT_FROM)
    share = DROPOUT * math.log2(before / 4.0) + DROPOUT_BESIDE * math.log2(epochs / before)
    return min(MOST_DROPOUT, share)


def _between(value: float, limits: tuple[float, float]) -> float:
    """0 up to the first limit, 1 from the second on, and linear between them."""
    first, last = limits
    return min(1.0, max(0.0, (value - first) / (last - first)))


def _recurrent_reason(epochs: float, options: TrainOptions, rare: bool) -> str:
    share = "share of the recurrent weights left out at each step"
    if options.dropout is not None:
        return f"{share}: none, because the dropout was asked for"
    if rare or options.pairs:
        what = "pairs" if options.pairs else "words"
        return f"{share}: none with {what}, which have the dropout of neurons alone"
    if _recurrent_dropout(epochs) == 0:
        return f"{share}: none, because the dropout is enough for a text read {_times(epochs)}"
    return f"{share}, so that a text read {_times(epochs)} is not memorized"


def _recurrent_dropout(epochs: float) -> float:
    """None for a text read thirty times, half for one read a hundred times (docs/log.md)."""
    octaves = math.log2(max(1.0, epochs / RECURRENT_FROM))
    return round(min(MOST_RECURRENT_DROPOUT, RECURRENT_DROPOUT * octaves), 2)


def _learning_rate(config: ModelConfig, tokens_per_step: int, share: float) -> float:
    """The peak: grows with the root of a step's tokens, falls with width and depth; of the cell.

    `share` is what is taken of it.
    """
    base = 0.02 * math.sqrt(min(tokens_per_step, 16384) / 2048)
    value = base * math.sqrt(384 / max(config.hidden_size, 256)) / math.sqrt(config.num_layers)
    usual = 1.0 if config.cell in BUILT_IN else OWN_CELL_RATE
    return float(f"{share * value * CELL_RATES.get(config.cell, usual):.2g}")
