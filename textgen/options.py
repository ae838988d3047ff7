"""The options of training, writing and measuring, each declared once; the command that says them.

How a text is read is declared in `textgen.corpus.corpus_options`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from textgen.apart import FORMS, refuse_apart
from textgen.corpus.corpus_options import CorpusOptions, FileOptions
from textgen.errors import ConfigError, SamplingError, named
from textgen.messages import call
from textgen.runtime import PATH_VARIABLE, parse_duration
from textgen.settings import (
    ADVANCED,
    AMONG,
    CHOICE,
    END,
    FORM,
    LENGTH,
    MODEL,
    RUN,
    TEXT,
    Joint,
    check,
    setting,
    setting_like,
    settings_of,
    typed_words,
)
from textgen.temperatures import (
    USUAL_TEMPERATURE,
    Temperatures,
    parse_temperature,
    temperatures_of,
)
from textgen.terminal.text import command_line, quote, quote_path

#: What `vectors` is where they are learned on the training text.
WORD2VEC = "word2vec"
LOSSES = ("cross-entropy", "distance")
DISTANCES = ("euclidean", "cosine")
#: Why the targets of a distance are not trained.
COLLAPSE = (
    "a loss that is a distance must not move its own targets: the network and the embedding "
    "vectors would meet in one point, where the loss is 0 and all words are the same (a collapse)"
)
#: The longest run, in steps: the numbers of its tokens fit into 64 bits. In seconds (31 years), and
#: in passes over the text.
MOST_STEPS, MOST_LENGTH = 10**12, 10**9
#: The longest context that can be counted, in tokens.
MOST_ORDER = 64
#: The longest line or text that a form can count, in characters.
MOST_COUNTED = 10_000
#: Characters of the longest text that says bounds such as `3..12`.
_LONGEST_SPAN = 32
#: Nats that a bias adds to a logit at most: e to that is beyond every probability.
MOST_BIAS = 10_000.0
#: What ends the part of a bias for one token. No two runs of digits meet in it, so that a text is
#: read in a time that grows as its length.
_BIAS_END = re.compile(r"=([-+−]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:,|\Z)")
#: Beginnings that a search keeps at most: each is a step of the network at each token.
MOST_BEAMS = 256
#: Random seeds of a text lie below this.
RNG_LIMIT = 2**64
#: What can be measured of a text and not of pairs, each of which is read from its beginning.
TEXT_ONLY = ("window", "streams", "history", "documents", "label", "mix", "mix_order", "adapt")


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """What computes.

    Raises:
        ConfigError: A value is out of range.
    """

    device: str = setting(
        "auto",
        help="What to compute on: the processor (cpu), an NVIDIA GPU (cuda) or the GPU of a Mac "
        "(mps). auto: a GPU if there is one.",
        panel=ADVANCED,
        choices=("auto", "cpu", "cuda", "mps"),
    )
    threads: int | None = setting(
        None,
        help="How many threads to compute with.",
        panel=ADVANCED,
        by_default="one for each core",
        at_least=1,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a run is kept, and what it continues."""

    out: str | None = setting(
        None,
        help="The folder of the run.",
        panel=RUN,
        metavar="DIR",
        by_default="./checkpoints/NAME, with the name of the text",
        short="o",
    )
    resume: bool = setting(
        False,
        help="Continue a run that was stopped, from where it was last saved. Give the run's "
        "folder, or type the same command again.",
        panel=RUN,
    )
    more: str | None = setting(
        None,
        help="Train a finished run for longer, such as 2m, 500steps or 3epochs: "
        f"{call('train', 'RUN', more='2m')}.",
        panel=RUN,
        metavar="LENGTH",
    )
    force: bool = setting(
        False, help="Delete the run that is already in the folder, and start again.", panel=RUN
    )
    from_: str | None = setting(
        None,
        help="Start from this trained model and train it on another text (fine-tuning).",
        panel=RUN,
        metavar="MODEL",
    )


def _seconds(time: Any) -> float:
    """The seconds in a length of time, such as `"3m"`."""
    return parse_duration(time)


def parse_embedding(text: str) -> dict[str, Any]:
    """The settings that one text says: a width, `word2vec`, `word2vec:WIDTH` or a file.

    Raises:
        ConfigError: The width is none.
    """
    if text.lstrip("+-").isdigit():
        return {"embedding_size": int(text), "vectors": None}
    from textgen.corpus.word_vectors import MOST_NUMBERS

    kind, colon, width = text.partition(":")
    if kind != WORD2VEC:
        return {"embedding_size": None, "vectors": text}
    if colon and not width.isdigit():
        raise ConfigError(
            f"{named('embedding')} {text} does not say how wide; type like word2vec:100, or ./ "
            "before the name of a file"
        )
    if colon and not 1 <= int(width) <= MOST_NUMBERS:
        raise ConfigError(f"{named('embedding')} {text}: a vector has 1 to {MOST_NUMBERS} numbers")
    return {"embedding_size": int(width) if colon else None, "vectors": WORD2VEC}


def typed_embedding(options: TrainOptions) -> str:
    """The inverse of `parse_embedding`; "" where nothing is said."""
    size, vectors = options.embedding_size, options.vectors
    if vectors is None:
        return "" if size is None else str(size)
    if vectors == WORD2VEC:
        return WORD2VEC if size is None else f"{WORD2VEC}:{size}"
    # The file says how wide its vectors are. A name that says something else gets its folder.
    is_other = vectors.lstrip("+-").isdigit() or vectors.startswith(f"{WORD2VEC}:")
    return f"./{vectors}" if is_other else vectors


_EMBEDDING = Joint(
    name="embedding",
    metavar="N|word2vec|FILE",
    help="The size of the embedding, the vector of numbers that stands for a token; or where "
    "these vectors come from. word2vec learns them from the training text before the "
    "training (word2vec:100 sets their size to 100); a file contains them in the format "
    "of word2vec or fastText (.vec or .bin, also .gz).",
    parse=parse_embedding,
    typed=typed_embedding,
)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ComputeOptions):
    """How a model is trained; what is None is chosen for the text, the time and the machine.

    Raises:
        ConfigError: A value is out of range, or two contradict each other.
    """

    budget: float | None = setting(
        None,
        help="How long to train, such as 90s, 3m or 1h.",
        panel=LENGTH,
        metavar="TIME",
        by_default="3m",
        above=0,
        at_most=MOST_LENGTH,
        parse=_seconds,
    )
    epochs: float | None = setting(
        None,
        help=f"How many times to read the whole text, instead of {named('budget')}; 0.5 is half "
        "of it.",
        panel=LENGTH,
        above=0,
        at_most=MOST_LENGTH,
    )
    steps: int | None = setting(
        None,
        help="How many steps to train (one step is one update of the weights), instead of "
        f"{named('budget')}. The same command then gives the same model again.",
        panel=LENGTH,
        at_least=1,
        at_most=MOST_STEPS,
    )
    patience: int = setting(
        0,
        help="Stop when N evaluations in a row bring no better result.",
        panel=ADVANCED,
        by_default="never",
        at_least=0,
    )
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    pairs: bool = setting(
        False,
        help="The text consists of pairs, one on each line: SOURCE, a tab, TARGET. The model "
        "learns to write the target after it has read the source.",
        panel=TEXT,
    )
    val: str = setting(
        "0.1",
        help="The validation text: the model is measured on it and does not learn from it. Give "
        "a file, or a share of the text, such as 0.1 (its end, or some of its documents, "
        "chosen at random).",
        panel=TEXT,
        metavar="SHARE|FILE",
        accepts="StrPath | float",
    )
    cell: str | None = setting(
        None,
        help="The type of recurrent cell: lstm, gru, rnn, peephole, coupled, depth-gated or mlstm.",
        panel=MODEL,
        metavar="CELL",
        by_default="coupled (an LSTM whose forget and input gates are one); lstm for a short text, "
        f"with {named('pairs')}, and where torch trains",
    )
    nonlinearity: str = setting(
        "tanh",
        help=f"With {named('cell', 'rnn')}: the activation function.",
        panel=ADVANCED,
        metavar="tanh|relu|identity",
    )
    hidden_size: int | None = setting(
        None,
        help="The number of neurons (units) in each layer.",
        panel=MODEL,
        by_default="chosen from the text and the time",
        at_least=1,
        flag="hidden",
    )
    members: int | None = setting(
        None,
        help="The number of networks that are trained side by side and whose predictions are "
        f"averaged (an ensemble). They share out the neurons of {named('hidden_size')} among them.",
        panel=MODEL,
        by_default=f"1, or 2 to 4 for a text that is read many times, where {named('hidden_size')} "
        "and the length of the run are left open",
        at_least=1,
        at_most=16,
    )
    num_layers: int | None = setting(
        None,
        help="The number of recurrent layers.",
        panel=MODEL,
        by_default=f"1, or 2 if {named('residual')} or the cell needs two",
        at_least=1,
        flag="layers",
    )
    embedding_size: int | None = setting(
        None,
        help="The size of the embedding, the vector of numbers that stands for a token.",
        panel=MODEL,
        by_default=f"chosen from {named('hidden_size')}",
        at_least=1,
        joint=_EMBEDDING,
    )
    vectors: str | None = setting(
        None,
        help="Where the first embedding vectors come from: word2vec learns them from the "
        "training text; a file contains them in the format of word2vec or fastText.",
        by_default="drawn at random",
        joint=_EMBEDDING,
        accepts="StrPath | None",
    )
    freeze_embedding: bool | None = setting(
        None,
        help="Keep the embedding vectors as they are, or train them too.",
        panel=ADVANCED,
        by_default=f"train them; with {named('loss', 'distance')}, keep them",
        off="train-embedding",
    )
    loss: str = setting(
        "cross-entropy",
        help="The loss that training makes small. cross-entropy: how badly the next token was "
        "predicted; distance: how far the output of the network, a vector, is from the "
        "embedding vector of the next token.",
        panel=ADVANCED,
        choices=LOSSES,
    )
    distance: str | None = setting(
        None,
        help=f"With {named('loss', 'distance')}: how to measure the distance.",
        panel=ADVANCED,
        by_default="euclidean",
        choices=DISTANCES,
    )
    dropout: float | None = setting(
        None,
        help="The share of neurons that are switched off at random in each training step, such "
        "as 0.2.",
        panel=MODEL,
        metavar="SHARE",
        by_default="chosen from how many times the text is read",
        at_least=0,
        below=1,
    )
    recurrent_dropout: float | None = setting(
        None,
        help="The share of the recurrent weights that are left out at random in each training step "
        "(DropConnect), such as 0.1.",
        panel=ADVANCED,
        metavar="SHARE",
        by_default="chosen from how many times the text is read; 0 where the dropout is given",
        at_least=0,
        below=1,
    )
    tie: bool = setting(
        False,
        help="Use the embedding vectors as the weights of the output layer too (weight tying).",
        panel=ADVANCED,
    )
    residual: bool = setting(
        False,
        help="Add the input of each layer to its output, from the second layer on (residual "
        "connections).",
        panel=ADVANCED,
    )
    seq_len: int | None = setting(
        None,
        help="How many tokens back the gradients reach (the length of a training sequence).",
        panel=ADVANCED,
        by_default="64, or less for a short text",
        at_least=1,
    )
    history: int | None = setting(
        None,
        help="Train on sliding windows: the model sees only the last N tokens before each "
        "prediction.",
        panel=MODEL,
        by_default="it sees all tokens before",
        at_least=1,
    )
    batch_size: int | None = setting(
        None,
        help="The batch size: how many sequences are read at the same time.",
        panel=ADVANCED,
        by_default="64, or fewer for a short text",
        at_least=1,
    )
    accumulate: int = setting(
        1,
        help="Compute each training step in N parts, one after the other, and add their gradients: "
        f"the same step with an N-th of the memory, for a {named('batch_size')} that does not fit.",
        panel=ADVANCED,
        by_default="1, the whole step at once",
        at_least=1,
    )
    learning_rate: float | None = setting(
        None,
        help="The highest learning rate. In training it rises to this value and then falls to 0.",
        panel=ADVANCED,
        metavar="RATE",
        by_default="chosen from the size of the network",
        above=0,
        others=("lr",),
    )
    weight_decay: float | None = setting(
        None,
        help="How strongly the weights are pulled towards 0 (the weight decay of AdamW); 0 turns "
        "it off.",
        panel=ADVANCED,
        by_default="0.1; up to 0.25 where a small network reads the text more than a few times",
        at_least=0,
    )
    clip_norm: float | None = setting(
        None,
        help="Scale a gradient down to norm X if its norm is larger (gradient clipping).",
        panel=ADVANCED,
        by_default="1",
        above=0,
        flag="clip",
    )
    rng: int = setting(
        1,
        help="The random seed: the same seed gives the same result.",
        at_least=0,
        below=2**31,
        others=("seed",),
    )
    precision: str = setting(
        "auto",
        help="The precision of matrix multiplication: 32-bit numbers (fp32), or 16-bit numbers "
        "(bf16), which are faster on some machines.",
        panel=ADVANCED,
        choices=("auto", "fp32", "bf16"),
    )
    eval_every: int | None = setting(
        None,
        help="Measure the model on the validation text every N steps.",
        panel=ADVANCED,
        by_default="ten times in a run",
        at_least=1,
    )
    save_every: int | None = setting(
        None,
        help="Save the run every N steps.",
        panel=ADVANCED,
        by_default="about every 25 seconds",
        at_least=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "val", _settled_val(self.val))
        lengths = [name for name in ("budget", "epochs", "steps") if getattr(self, name)]
        if len(lengths) > 1:
            first, second = map(named, lengths[:2])
            raise ConfigError(f"{first} and {second} contradict each other; give one")
        if self.history is not None and self.seq_len is not None:
            raise ConfigError(
                f"{named('history')} fixes the window's length; leave {named('seq_len')} out"
            )
        if self.pairs:
            self._check_pairs()
        self._check_loss()

    @property
    def head(self) -> str:
        """The head that the loss asks for, one of `textgen.model.config.HEADS`."""
        return "softmax" if self.loss == "cross-entropy" else self.distance or "euclidean"

    @property
    def frozen_embedding(self) -> bool:
        """Whether the embedding vectors stay as they are."""
        if self.freeze_embedding is None:
            return self.loss == "distance"
        return self.freeze_embedding

    def _check_loss(self) -> None:
        if self.loss == "cross-entropy":
            if self.distance is not None:
                raise ConfigError(
                    f"{named('distance')} says which {named('loss')} distance is meant; give both"
                )
        elif self.tie:
            raise ConfigError(
                f"with {named('loss')} distance the output layer has no weights that could be the "
                f"embedding vectors; leave {named('tie')} out"
            )
        elif not self.frozen_embedding:
            raise ConfigError(f"{COLLAPSE}; leave {named('freeze_embedding', False)} out")
        if self.tie and self.frozen_embedding:
            raise ConfigError(
                f"{named('tie')} makes the embedding the output's weight, which has to learn; "
                f"leave out {named('tie')} or {named('freeze_embedding')}"
            )

    def _check_pairs(self) -> None:
        pairs = named("pairs")
        if self.corpus.documents not in (None, "file"):
            name = named("documents")
            raise ConfigError(f"{pairs} makes every line a document; leave {name} out")
        if self.corpus.label_from is not None:
            raise ConfigError(
                f"{named('label_from')} says whose a text is, and {pairs} has a source that says "
                "what to write; put what the label says into the source, and leave it out"
            )
        if self.corpus.fold:
            raise ConfigError(
                f"{named('fold')} takes away the TAB between source and target; leave it out"
            )
        if self.loss != "cross-entropy":
            raise ConfigError(
                f"{pairs} ends a target at the end mark, whose probability {named('loss')} "
                "distance does not give; leave one of them out"
            )
        if self.history is not None:
            raise ConfigError(
                f"{named('history')} limits how many tokens the network sees, but with {pairs} it "
                "reads a whole source before it writes; give one of them"
            )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, to compare a resumed command with the run's own."""
        return asdict(self)


def validation_share(val: str) -> float | None:
    """The share of the text that validates; None where `val` names a file."""
    try:
        share = float(val)
    except ValueError:
        return None
    if not 0.0 < share <= 0.9:
        percent = f" or {share:g}%" if 1.0 <= share <= 90.0 else ""
        example = f"{share / 100:g}{percent}" if percent else "0.1 or 10%"
        raise ConfigError(
            f"{named('val')} is {val}; a share must lie above 0 and at most at 0.9, like "
            f"{example}; a file of that name is ./{val}"
        )
    return share


def _settled_val(val: object) -> str:
    """A share as a number, `10%` as `0.1`; else the file's name.

    Raises:
        ConfigError: It is a share, and out of range.
    """
    text = str(val)
    if re.fullmatch(r"\d*,\d+%?", text.strip()):
        text = text.replace(",", ".")  # A decimal comma.
    number, percent, rest = text.strip().partition("%")
    if percent and not rest:
        try:
            text = f"{float(number) / 100:.12g}"
        except ValueError:
            return text  # `rest%` is a file's name.
    validation_share(text)
    return text


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """How a text is written.

    Raises:
        SamplingError: A setting lies outside its range.
    """

    length: int = setting(
        500,
        help="Write at most N characters, not counting the given beginning. A model of bytes "
        "stops after the last whole character, a model of words after the word that reaches "
        "N.",
        panel=END,
        at_least=0,
        short="n",
    )
    temperature: float | str = setting(
        USUAL_TEMPERATURE,
        help="How freely to choose the next token (the logits are divided by X): below 1 the "
        "text is safer, above 1 it is wilder; 0 always takes the most likely token. 1.0,0.2,0.5 "
        "are taken in turns, a token each; 0.4@0..100,1.0@100.. holds one for each part of the "
        f"text, counted as in {named('steer')}.",
        panel=CHOICE,
        at_least=0,
        short="t",
        metavar="X",
        parse=parse_temperature,
        accepts="float | str | Sequence[float]",
    )
    rng: int = setting(
        0,
        help="The random seed: the same seed gives the same text, another seed another text.",
        panel=CHOICE,
        at_least=0,
        below=RNG_LIMIT,
    )
    label: str | None = setting(
        None,
        help="Write under this label, of a model that was trained with labels "
        f"({named('label_from')}). Tolstoy:0.7,Gogol:0.3 mixes two by shares; "
        "Tolstoy@0..200,Gogol@200.. changes from one to the other after 200 characters (@s3.. "
        "from sentence 3 on).",
        panel=CHOICE,
        metavar="NAME",
        by_default="none",
    )
    beam: int = setting(
        0,
        help="Look for the most likely text: keep N beginnings at once, and of what they can go on "
        "with the N most likely. Nothing is left to chance. The text is at least as likely as that "
        f"of {named('temperature', 0)}, and often repeats itself: see {named('no_repeat')}. 0 "
        "turns this off.",
        panel=CHOICE,
        at_least=0,
        at_most=MOST_BEAMS,
    )
    top_k: int = setting(
        0,
        help="Choose only among the N most likely tokens; 0 allows all.",
        panel=AMONG,
        at_least=0,
    )
    top_p: float = setting(
        1.0,
        help="Choose only among the most likely tokens whose probabilities add up to X; 1 allows "
        "all.",
        panel=AMONG,
        above=0,
        at_most=1,
    )
    min_p: float = setting(
        0.0,
        help="Never choose a token whose probability is below X times that of the most likely "
        "token; 0 allows all.",
        panel=AMONG,
        at_least=0,
        at_most=1,
    )
    typical: float = setting(
        1.0,
        help="Choose only among the tokens that are about as surprising as is to be expected here, "
        "whose probabilities add up to X; 1 allows all. The most likely token may be left out.",
        panel=AMONG,
        above=0,
        at_most=1,
    )
    mirostat: float = setting(
        0.0,
        help="Keep the surprise of the tokens at X bits on average: what is more surprising than a "
        "bound is never chosen, and the bound follows what was chosen (mirostat 2). 0 turns this "
        "off.",
        panel=AMONG,
        at_least=0,
        metavar="BITS",
    )
    mirostat_rate: float = setting(
        0.1,
        help=f"With {named('mirostat')}: how fast the bound follows.",
        panel=ADVANCED,
        above=0,
        at_most=1,
    )
    word_starts: bool = setting(
        False,
        help="Choose freely only where a word may begin, and take the most likely token within "
        "words.",
        panel=AMONG,
    )
    no_repeat: int = setting(
        0,
        help="Write no N tokens a second time, neither those of the given beginning; the text ends "
        "where that cannot be. 0 turns this off.",
        panel=AMONG,
        at_least=0,
    )
    bias: str | None = setting(
        None,
        help="Make characters more or less likely: !=-2,е=+1 adds so many nats to the logit of "
        "each, before the temperature.",
        typed_help="Make characters more or less likely: !=-2,е=+1 adds so many nats to the logit "
        "of each, before the temperature. \\n means a line end, \\t a tab, \\\\ a backslash.",
        panel=AMONG,
        metavar="C=X,...",
        escapes=True,
    )
    repetition_penalty: float = setting(
        1.0,
        help="Make tokens that were just written less likely (above 1) or more likely (below 1); "
        "1 turns this off.",
        panel=AMONG,
        above=0,
    )
    repetition_window: int = setting(
        64,
        help=f"How many of the last tokens {named('repetition_penalty')} looks at; 64 characters "
        "are about one line.",
        panel=ADVANCED,
        at_least=1,
    )
    stop: tuple[str, ...] = setting(
        (),
        help="Stop before this text. May be repeated.",
        typed_help="Stop before this text. May be repeated. \\n means a line end, \\t a tab, "
        "\\\\ a backslash.",
        panel=END,
        metavar="TEXT",
        escapes=True,
        accepts="Sequence[str]",
    )
    until_sentence: bool = setting(
        False,
        help="Stop after the first sentence that contains a written word. A sentence ends at . ! "
        "? or …, with closing quotes and brackets after it, before a space or a line end.",
        panel=END,
    )
    until_end: bool = setting(
        False,
        help="Stop at the end of a document. A model of several documents does this without the "
        "option; a model of one text does not know where a document ends.",
        panel=END,
    )
    keep_going: bool = setting(
        False,
        help=f"Do not stop at the end of a document: begin another one, until {named('length')} "
        "is reached.",
        panel=END,
    )
    separator: str = setting(
        "\n\n",
        help=f"The text between two documents with {named('keep_going')}.",
        typed_help="The text between two written texts. \\n means a line end, \\t a tab.",
        panel=ADVANCED,
        by_default="a line end or a blank line, as in the training text",
        escapes=True,
    )
    history: int | None = setting(
        None,
        help="Let the model see only the last N tokens before each prediction; 0 lets it see all "
        "of them.",
        panel=ADVANCED,
        by_default="as in training",
        at_least=0,
    )
    mix: bool = setting(
        False,
        help="Mix the model with counts of its training text: how often each token followed the "
        "last ones there. What the counts know are passages of that text.",
        typed_help="Mix the model with counts of its training text, or not. Counts know how often "
        "each token followed the last ones there. Without either option they are mixed in where "
        "the training text is there and not long, and the mixture predicts the validation text "
        f"better; but not while the text is steered, and not after {named('adapt')}.",
        panel=CHOICE,
        off="no-mix",
    )
    mix_order: int | None = setting(
        None,
        help=f"With {named('mix')}: count what followed the last N tokens at most. A small N "
        "copies less from the training text.",
        panel=ADVANCED,
        by_default="chosen by the size of the text",
        at_least=1,
        at_most=MOST_ORDER,
    )
    eight_bit: bool = setting(
        False,
        help="Keep the weights in 8 bits while texts are written one at a time: where the CPU has "
        "no bf16, 1.7 times as fast with 512 neurons and 3 times with 1024, for some 0.0002 "
        "bits/char. A seed then gives another text.",
        panel=ADVANCED,
    )

    match: str | None = setting(
        None,
        help="Write only what this regular expression matches as a whole. Look-around, \\b and "
        "back references cannot be followed.",
        panel=FORM,
        metavar="REGEX",
    )
    match_line: str | None = setting(
        None,
        help=f"Like {named('match')}, for each line of the text.",
        panel=FORM,
        metavar="REGEX",
    )
    chars: str | None = setting(
        None,
        help="Write so many characters: 3..12, or 20.., or 30. The given beginning counts.",
        panel=FORM,
        metavar="A..B",
    )
    lines: int = setting(
        0,
        help="Write N lines, none of them empty.",
        panel=FORM,
        by_default="as many as the other options ask for",
        at_least=0,
        at_most=MOST_COUNTED,
    )
    line_chars: str | None = setting(
        None,
        help="Make each line as long as this: 30..40 characters.",
        panel=FORM,
        metavar="A..B",
    )
    acrostic: str | None = setting(
        None,
        help="Begin the lines with the letters of this word.",
        panel=FORM,
        metavar="WORD",
    )
    rhyme: str | None = setting(
        None,
        help="Let lines rhyme, as ABAB says: those of equal letters; . is a line without a rhyme. "
        "Words rhyme by their letters from the last vowel on, and never with themselves. The words "
        f"at line ends come from {named('only_words')}, else from the training text, else from "
        "what the model writes by itself. More lines repeat the scheme with other rhymes.",
        panel=FORM,
        metavar="SCHEME",
    )
    stress: str | None = setting(
        None,
        help=f"With {named('rhyme')}: a file of words with their stress, as во\u0301ды or во+ды; "
        "they rhyme from the stressed vowel on.",
        panel=ADVANCED,
        metavar="FILE",
    )
    syllables: str | None = setting(
        None,
        help="Give each line so many syllables: 5,7,5. More lines repeat the numbers. Each vowel "
        "is one in Cyrillic alphabets; in Latin and Greek ones vowels that stand together are one. "
        "In English a silent e is none, which is right for nine of ten common words.",
        panel=FORM,
        metavar="N,N,...",
    )
    without: str | None = setting(
        None,
        help="Write none of these letters, in either case.",
        panel=FORM,
        metavar="LETTERS",
    )
    only_words: str | None = setting(
        None,
        help="Write only words that occur in this file.",
        panel=FORM,
        flag="words",
        metavar="FILE",
    )
    include: tuple[str, ...] = setting(
        (),
        help="Write this word somewhere, in either case. May be repeated.",
        panel=FORM,
        metavar="WORD",
        accepts="Sequence[str]",
    )

    def __post_init__(self) -> None:
        check(self, SamplingError)
        _check_form(self)
        if self.mix_order is not None and not self.mix:
            raise SamplingError(f"{named('mix_order')} goes with {named('mix')}; give both")
        if self.mix and self.history:
            raise SamplingError(
                f"the model sees {self.history} tokens at each prediction, and {named('mix')} "
                f"carries its state on; add {named('history', 0)}"
            )
        object.__setattr__(self, "stop", _texts_of("stop", self.stop))
        if self.mirostat_rate != _usual("mirostat_rate") and not self.mirostat:
            raise SamplingError(
                f"{named('mirostat_rate')} goes with {named('mirostat')}; give both"
            )
        if self.bias is not None:
            parse_bias(self.bias)
        refuse_apart(asked_of(self))
        if self.until_end and self.keep_going:
            raise SamplingError(
                f"{named('until_end')} and {named('keep_going')} contradict each other; give one"
            )
        if not self.separator:
            raise SamplingError("separator is ''; it must be a text of at least one character")

    @property
    def temperatures(self) -> Temperatures | None:
        """How the temperature changes; None: it does not."""
        return temperatures_of(self.temperature)

    @property
    def first_temperature(self) -> float:
        """The temperature of the first token."""
        if isinstance(self.temperature, str):
            changing = temperatures_of(self.temperature)
            assert changing is not None
            return changing.turns[0] if changing.turns else changing.at(0, 1)
        return self.temperature

    @property
    def may_end(self) -> bool:
        """Whether the end-of-document mark may be chosen."""
        return self.until_end or self.keep_going

    @property
    def end_text(self) -> str:
        """What an end-of-document mark is written as: "" where it ends the text."""
        return self.separator if self.keep_going else ""


@dataclass(frozen=True, kw_only=True)
class ItemOptions:
    """Which items of a list are written, and in what order.

    Raises:
        SamplingError: A value is out of range, or says how to write items where none are asked for.
    """

    items: int | None = setting(
        None,
        help="Write N items of a list, such as names: all different, and none that stands in the "
        "training text. It ends when there are no more, and says why.",
        panel=TEXT,
        at_least=1,
    )
    new: bool | None = setting(
        None,
        help=f"With {named('items')}: leave out what stands in the training text, or write it too.",
        panel=TEXT,
        by_default="leave it out",
        off="no-new",
    )
    unique: bool | None = setting(
        None,
        help=f"With {named('items')}: write each only once, or as often as it comes.",
        panel=TEXT,
        by_default="only once",
        off="no-unique",
    )
    rank: bool = setting(
        False,
        help=f"With {named('items')}: order them by their likelihood, with the bits per character "
        "of each beside it; the likeliest comes first.",
        panel=TEXT,
    )

    def __post_init__(self) -> None:
        check(self, SamplingError)
        if self.items is not None:
            return
        asked = {"new": self.new, "unique": self.unique, "rank": self.rank or None}
        for name, value in asked.items():
            if value is not None:
                raise SamplingError(
                    f"{named(name, value)} goes with {named('items', 'N')}; give both"
                )

    @property
    def how(self) -> dict[str, Any]:
        """The arguments of `Model.items` beside the number."""
        return {
            "new": self.new is not False,
            "unique": self.unique is not False,
            "rank": self.rank,
        }


def form_settings(options: SampleOptions) -> list[str]:
    """The settings that hold a text to a form, as messages name them."""
    values = {name: getattr(options, name) for name in FORMS}
    return [named(name) for name, value in values.items() if value not in (None, 0, ())]


def span_of(name: str, value: str) -> tuple[int, int | None]:
    """The bounds of a setting such as `3..12`, `20..`, `..9` or `30`; None: no upper bound.

    Raises:
        SamplingError: It is no such text, or its bounds are the wrong way round or too large.
    """
    text = value.strip()
    found = None
    if len(text) <= _LONGEST_SPAN:
        found = re.fullmatch(r"(\d{0,9})(?:\s*(\.\.)\s*(\d{0,9}))?", text)
    least, dots, most = found.groups("") if found is not None else ("", "", "")
    if not (least or most):
        raise SamplingError(
            f"{named(name)} is {value!r:.60}; it must be like {named(name, '3..12')}"
        )
    bounds = int(least or 0), (int(most) if most else None) if dots else int(least)
    if bounds[1] is not None and bounds[0] > bounds[1]:
        raise SamplingError(f"{named(name, text)}: {bounds[0]} is more than {bounds[1]}; turn them")
    if max(bounds[0], bounds[1] or 0) > MOST_COUNTED:
        raise SamplingError(f"{named(name, text)}: {MOST_COUNTED:,} characters are the most")
    return bounds


def _check_form(options: SampleOptions) -> None:
    """Refuse settings of a form that say nothing, or that something else contradicts.

    Raises:
        SamplingError: One of them is.
    """
    for name in ("chars", "line_chars"):
        if (value := getattr(options, name)) is not None:
            span_of(name, value)
    for name in ("acrostic", "without", "rhyme"):
        if (value := getattr(options, name)) is not None and not value:
            raise SamplingError(f"{named(name)} is empty; it must hold at least one letter")
    object.__setattr__(options, "include", _texts_of("include", options.include))
    if options.rhyme is not None and not all(c.isalpha() or c == "." for c in options.rhyme):
        raise SamplingError(
            f"{named('rhyme')} is {options.rhyme!r:.60}; it must be like {named('rhyme', 'ABAB')}"
        )
    if options.syllables is not None and not re.fullmatch(
        r"[1-9]\d{0,2}(,[1-9]\d{0,2})*", options.syllables
    ):
        raise SamplingError(
            f"{named('syllables')} is {options.syllables!r:.60}; it must be like "
            f"{named('syllables', '5,7,5')}"
        )
    if options.stress is not None and options.rhyme is None:
        raise SamplingError(f"{named('stress')} goes with {named('rhyme')}; give both")


def parse_bias(text: str) -> dict[str, float]:
    """The tokens of a bias such as `!=-2,е=+1`, and what is added to the logit of each.

    What stands before the last `=` is the token, so that `==+1` and `,=-2` are understood.

    Raises:
        SamplingError: It cannot be read, names a token twice, or adds more than `MOST_BIAS`.
    """
    found: dict[str, float] = {}
    place = 0
    while (part := _BIAS_END.search(text, place + 1)) is not None:
        token = text[place : part.start()]
        if token in found:
            break
        found[token] = float(part[1].replace("−", "-"))
        place = part.end()
    if place < len(text) or not text or text.endswith(","):
        raise SamplingError(
            f"{named('bias')} is {text!r:.60}; it must be like {named('bias', '!=-2,e=+1')}, each "
            "character once"
        )
    for token, value in found.items():
        if abs(value) > MOST_BIAS:
            raise SamplingError(
                f"{named('bias')} adds {value:.3g} to the logit of {token!r:.20}; it must be in "
                f"-{MOST_BIAS:,.0f}..{MOST_BIAS:,.0f}, and 100 already decides"
            )
    return found


@cache
def _usual_values() -> dict[str, Any]:
    return {item.name: item.default for item in fields(SampleOptions)}


def _usual(name: str) -> Any:
    """The default of a setting of texts."""
    return _usual_values()[name]


def asked_of(options: SampleOptions) -> list[str]:
    """The settings that say more than their defaults, by name; those of forms come first.

    A temperature of 0 says no more: it leaves nothing to chance.
    """
    asked = [name for name, usual in _usual_values().items() if getattr(options, name) != usual]
    asked.sort(key=lambda name: name not in FORMS)
    return [name for name in asked if name != "temperature" or options.temperature != 0]


def _texts_of(name: str, value: object) -> tuple[str, ...]:
    """As a tuple; a bare string would pass for a sequence of its characters."""
    if not isinstance(value, (tuple, list)) or not all(isinstance(text, str) for text in value):
        raise SamplingError(f"{name} is {value!r}; it must be a tuple of texts, such as ('.',)")
    if "" in value:
        raise SamplingError(f"{named(name)} is empty; it must hold at least one character")
    return tuple(value)


@dataclass(frozen=True, kw_only=True)
class EvalOptions(FileOptions, ComputeOptions):
    """What is measured of a text or of pairs, how it is read, and what computes.

    Raises:
        ConfigError: A value is out of range, or two do not go together.
    """

    window: int | None = setting(
        None,
        help="Measure the text a second time, in windows of N characters; the model reads each "
        "window without the text before it.",
        at_least=1,
    )
    streams: int = setting(
        1,
        help="Split the text into N parts that are read at the same time: much faster, with "
        "nearly the same result. The 256 characters before each part are read but not "
        "counted.",
        panel=ADVANCED,
        at_least=1,
    )
    history: int | None = setting_like(SampleOptions, "history", default=None, panel=None)
    pairs: bool = setting(
        False,
        help="The text consists of pairs, one on each line: SOURCE, a tab, TARGET. Only the "
        "targets are measured, and those that the model writes exactly are counted. A model "
        "of pairs does this without the option.",
    )
    limit: int | None = setting(
        None,
        help=f"With {named('history')}: measure only N tokens, spread over the text (default: "
        "20000). With pairs: measure only N of them (default: all).",
        panel=ADVANCED,
        at_least=1,
    )
    documents: str | None = setting_like(CorpusOptions, "documents", by_default="as in training")
    label: str | None = setting(
        None,
        help="Read the text under this label, of a model that was trained with labels "
        f"({named('label_from')}); or under a mixture, such as Tolstoy:0.7,Gogol:0.3.",
        metavar="NAME",
        by_default="none",
    )
    mix: bool = setting(
        False,
        help="Measure the text also under a mixture of the model with counts of its training text: "
        "how often each token followed the last ones there.",
    )
    mix_order: int | None = setting_like(SampleOptions, "mix_order")
    adapt: bool = setting(
        False,
        help="Measure the text also under the model while it learns from it: each stretch is "
        "predicted first, then the weights take a small step. How small was found on the "
        "validation text. "
        f"With {named('mix')} also both together.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs and any(
            getattr(self, item.name) != item.default
            for item in settings_of(EvalOptions)
            if item.name in TEXT_ONLY
        ):
            *first, last = map(named, TEXT_ONLY)
            raise ConfigError(
                f"pairs are each read from the beginning: {', '.join(first)} and {last} are for "
                "models of text"
            )
        if self.history and self.streams > 1:
            raise ConfigError(
                f"{named('history')} is {self.history}, so the model sees that many tokens at each "
                f"prediction, and {named('streams')} carries its state on; give one of them"
            )
        if self.mix_order is not None and not self.mix:
            raise ConfigError(f"{named('mix_order')} goes with {named('mix')}; give both")
        learns = "mix" if self.mix else "adapt" if self.adapt else ""
        if learns and (self.window is not None or self.streams > 1 or self.history):
            raise ConfigError(
                f"{named(learns)} reads the text once, from its beginning to its end, for it "
                f"learns on the way; leave out {named('window')}, {named('streams')} and "
                f"{named('history')}"
            )


def command_text(
    command: str,
    paths: Iterable[str | Path],
    *options: Any,
    usual: Any = None,
    always: Collection[str] = (),
) -> str:
    """A command as it is typed in a shell, with every option that is not at its default.

    Args:
        command: Its name, such as `train`.
        paths: What comes first, without an option.
        options: Instances of options classes.
        usual: An instance whose values are the defaults; None takes those of the classes.
        always: Settings that are typed even at their default.
    """
    words = [word for own in options for word in typed_words(own, usual, always)]
    forced = os.environ.get(PATH_VARIABLE)
    before = [f"{PATH_VARIABLE}={quote(forced)}"] if forced else []
    typed = [command_line(words)] if words else []
    return " ".join([*before, "textgen", command, *map(quote_path, paths), *typed])
