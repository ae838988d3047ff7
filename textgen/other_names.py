"""What other programs and libraries call a setting: the one table, for Python and the prompt.

A name is in lower case with underscores: `max_epochs` is `max-epochs` at the prompt. What exists
only at the prompt stands in `textgen.cli.mistakes`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from textgen.errors import ConfigError

#: The names here -> what others call it. The first name that a function or a command has is meant.
_CALLED: dict[tuple[str, ...], str] = {
    # the model's size and kind
    ("hidden_size",): (
        "hidden rnn_size hidden_dim hidden_units n_hidden nhid num_hidden units n_units num_units "
        "dim width"
    ),
    ("hidden_size", "length"): "size",
    ("members",): "ensemble ensemble_size n_models",
    ("num_layers",): "layers n_layers n_layer nlayers hidden_layers depth",
    ("cell", "cells"): "rnn_type cell_type model_type architecture arch",
    ("nonlinearity",): "activation",
    ("embedding_size",): "embedding embedding_dim embed_size emsize",
    ("dropout",): "drop dropout_rate drop_rate keep_prob",
    ("recurrent_dropout",): "wdrop weight_drop dropconnect",
    ("tie",): "tied tie_weights weight_tying",
    # how it is trained
    ("epochs", "steps", "budget"): "epoch epochs n_epochs num_epochs max_epochs",
    ("steps",): "iterations iters n_iters num_iters max_iters n_steps num_steps max_steps updates",
    ("budget",): "time minutes seconds duration max_time time_limit",
    ("learning_rate",): "lr learn_rate rate eta alpha",
    ("batch_size", "streams"): "batch_size batch batchsize minibatch bs",
    ("seq_len", "history", "window"): ("seq_len seq_length sequence_length seqlen block_size bptt"),
    ("history", "seq_len"): "context_length",
    ("window", "history"): "window_size",
    ("clip_norm",): ("clip grad_clip gradient_clip clip_grad max_grad_norm max_gradient_norm"),
    ("weight_decay",): "wd l2",
    ("patience",): "early_stopping early_stop",
    ("eval_every",): "eval_interval eval_steps eval_val_every log_every print_every",
    ("save_every",): "save_interval checkpoint_every",
    ("val",): (
        "val_frac val_split val_size val_data val_file valid validation validation_split "
        "validation_data split test_frac test_size"
    ),
    ("val", "held_out"): "holdout",
    ("resume",): "restart resume_from continue",
    ("force",): "overwrite",
    ("progress",): "show_progress tqdm verbose",
    # its text
    ("paths",): (
        "input input_file data data_dir data_file data_path dataset corpus text_file textfile "
        "train_file train_data training_data file path"
    ),
    ("paths", "text", "seed"): "input_text",
    ("text",): "string",
    ("seed", "paths"): "text",
    ("fold",): "lowercase lower",
    ("encoding",): "charset codec",
    # where it is kept
    ("out",): ("out_dir output_dir outdir save_dir save_path save_to output folder name run_name"),
    ("out", "checkpoint"): "checkpoint_dir",
    ("checkpoint", "from_"): (
        "model_file model_path model_dir load load_model checkpoint_path ckpt weights"
    ),
    ("checkpoint", "from_", "cell"): "model",
    ("checkpoint", "from_", "out"): "checkpoint",
    ("from_", "checkpoint"): "init_from from_model pretrained",
    ("from_",): "finetune fine_tune",
    ("adapt",): "dyneval dynamic_evaluation dynamic_eval",
    # what it writes
    ("seed",): (
        "primetext prime_text prime prefix prompt seed_text start start_text start_string "
        "start_with begin beginning initial_text"
    ),
    ("seed", "history", "seq_len"): "context",
    ("length",): (
        "length len max_tokens max_new_tokens max_chars num_chars n_chars "
        "num_tokens chars characters tokens"
    ),
    ("length", "seq_len"): "max_length max_len maxlen",
    ("count",): "n num_samples n_samples samples num num_return_sequences repeat",
    ("count", "top"): "number",
    ("temperature",): "temp temperatures",
    ("top", "top_k"): "k",
    ("top_k",): "topk",
    ("top_p",): "topp nucleus",
    ("typical",): "typical_p typ_p locally_typical",
    ("mirostat",): "mirostat_tau mirostat_ent tau",
    ("mirostat_rate",): "mirostat_eta mirostat_lr",
    ("beam",): "beams num_beams n_beams beam_size beam_width beam_search",
    ("no_repeat",): "no_repeat_ngram_size no_repeat_ngram ngram_size",
    ("bias",): "logit_bias sequence_bias",
    ("word_starts",): "sample_mode",
    ("repetition_penalty",): "penalty presence_penalty repeat_penalty",
    ("stop",): "end stop_sequences",
    ("until_end",): "eos",
    ("steer",): "steering",
    ("rng",): "seed random_seed random_state rng_seed manual_seed",
    # what is looked at, and by what
    ("max_lag",): "lag",
    ("device",): "device_type",
    ("threads",): "workers num_workers num_threads threads_count jobs cores",
}

#: What others call it -> the names here.
OTHER_NAMES = {name: here for here, names in _CALLED.items() for name in names.split()}


def check_names(
    given: Iterable[str],
    known: Iterable[str],
    where: str,
    error: type[ConfigError] = ConfigError,
) -> None:
    """Refuse names `given` that are not among the `known` settings of the function `where`.

    Raises:
        ConfigError: One is not known; the message suggests the right name.
    """
    names = list(known)
    unknown = [name for name in given if name not in names]
    if not unknown:
        return
    parts = []
    for name in unknown:
        right = closest_name(name, names)
        if right is not None:
            parts.append(f"'{name}' (did you mean '{right}'?)")
        elif "temperature" in names and "count" in (name, *OTHER_NAMES.get(name, ())):
            parts.append(f"'{name}' (generate_many writes several texts)")
        else:
            parts.append(f"'{name}'")
    plural = "s" if len(parts) > 1 else ""
    raise error(
        f"{where} has no setting{plural} {', '.join(parts)}; help(textgen.{where}) lists all"
    )


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """The setting among `known` that `name` most likely means; None if nothing comes near."""
    names = list(known)
    plain = name.strip().strip("-").lower().replace("-", "_")
    for candidate in (plain, f"{plain}_", *OTHER_NAMES.get(plain, ())):
        if candidate in names:
            return candidate
    near = difflib.get_close_matches(plain, names, n=1, cutoff=0.6)
    if near:
        return near[0]
    if plain in OTHER_NAMES:
        return None
    # Another name with a slip in it, such as `hiden` for `hidden`.
    for other in difflib.get_close_matches(plain, OTHER_NAMES, n=3, cutoff=0.8):
        for candidate in OTHER_NAMES[other]:
            if candidate in names:
                return candidate
    return None
