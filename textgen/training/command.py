"""The command line that repeats a run exactly, without a clock."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from textgen.training.options import WORD2VEC, TrainOptions
from textgen.training.plan import Plan


def repeat_command(paths: Sequence[str | Path], options: TrainOptions, plan: Plan) -> str:
    """`textgen train` with everything that a budget or the hardware decided spelled out.

    Folders are left out: name a new one with `--out`.
    """
    # A file whose name looks like an option is named through its folder.
    names = [f"./{p}" if str(p).startswith("-") and str(p) != "-" else str(p) for p in paths]
    words = ["textgen", "train", *(["--pairs"] if options.pairs else []), *names]
    words += ["--steps", str(plan.steps)]

    def add(flag: str, value: object, default: object = None) -> None:
        if value != default:
            words.extend((flag, str(value)))

    corpus = options.corpus
    add("--level", corpus.level, "char")
    if corpus.fold:
        words.append("--fold")
    add("--min-count", corpus.min_count, 1)
    add("--min-word-count", corpus.min_word_count, 2)
    add("--max-words", corpus.max_words, 30_000)
    add("--documents", corpus.documents)
    add("--encoding", corpus.encoding)
    add("--encoding-errors", corpus.encoding_errors, "strict")
    if not corpus.newlines:
        words.append("--keep-newlines")
    if not corpus.nfc:
        words.append("--no-nfc")
    model, optimizer = plan.model, plan.optimizer
    add("--cell", model.cell, "lstm")
    add("--nonlinearity", model.nonlinearity, "tanh")
    add("--hidden", model.hidden_size)
    add("--layers", model.num_layers)
    if model.tie:
        words.append("--tie")
    if options.vectors == WORD2VEC:
        add("--embedding", f"{WORD2VEC}:{model.embedding_size}")
    elif options.vectors is not None:
        add("--embedding", options.vectors)
    elif not model.tie:
        add("--embedding", model.embedding_size)
    if model.has_vector_output:
        words += ["--loss", "distance", "--distance", model.head]
    elif model.frozen_embedding:
        words.append("--freeze-embedding")
    if model.residual:
        words.append("--residual")
    add("--dropout", model.dropout)
    add("--history" if plan.sliding else "--seq-len", plan.seq_len)
    add("--batch-size", plan.batch_size)
    add("--learning-rate", optimizer.learning_rate)
    add("--weight-decay", optimizer.weight_decay, 0.01)
    add("--clip", optimizer.clip_norm, 1.0)
    add("--eval-every", options.eval_every)
    add("--val", options.val, "0.1")
    add("--patience", plan.patience, 0)
    add("--rng", plan.rng)
    add("--device", options.device, "auto")
    add("--precision", options.precision, "auto")
    add("--threads", options.threads)
    return " ".join(shlex.quote(word) for word in words)
