"""Compressing with a model: it predicts each token, and the token is coded by that prediction.

Writing and reading are one function, `_code`, which walks through the text token by token: the
numbers are those of the same computation, in the same order, on arrays of the same shapes. A pass
over whole windows, as `textgen eval` does it, rounds otherwise and would not do.

A long text is cut into parts of equal length. All parts are coded side by side into one stream, so
that a step of the network serves all of them; each begins like a document. Parts are long, for the
first tokens of a part cost more. A text that the model learns from is not cut: it is read in order.

Shape suffixes: `B` parts, `V` vocabulary, `N` tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from textgen.checkpoint.model_file import ModelHeader, SavedModel
from textgen.compression.container import Coding, Learning, Packed, damaged, sum_of
from textgen.compression.lossless_text import TokenText, read_losslessly, write_losslessly
from textgen.compression.predictors import (
    Computation,
    LearningComputation,
    Predictor,
    StaticComputation,
    refuse_learning,
)
from textgen.compression.range_coder import (
    ChoiceReader,
    ChoiceWriter,
    Coder,
    Repeats,
    Speller,
    Symbols,
    choose_character,
    choose_evenly,
    choose_one,
)
from textgen.corpus.nearest_forms import Questions, variants_in, ways_of
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.errors import CompressionError, ConfigError, StorageError, named
from textgen.evaluation.nll import ESCAPE_BITS
from textgen.model.engine import choose_engine, isa_precision
from textgen.model.network import Engine
from textgen.native import library
from textgen.progress import task
from textgen.runtime import PATH_VARIABLE, choose_threads
from textgen.sampling.adapted import adapting_engine, adapting_reader
from textgen.terminal.humanize import plural

#: Tokens of a part at least, and parts of a text at most.
LEAST_PART, USUAL_PARTS = 1 << 14, 64


def compress(
    saved: SavedModel,
    data: bytes,
    *,
    mix: bool = False,
    adapt: bool = False,
    threads: int | None = None,
) -> bytes:
    """Return bytes, compressed by a model.

    They are stored as they are where the model makes nothing shorter of them. A text that the model
    learns from is not cut into parts.

    Args:
        saved: The model.
        data: Any bytes.
        mix: Whether counts of the training text, and of what was coded, predict beside the network.
        adapt: Whether the network learns from what was coded.
        threads: Computing threads; None is one for each core.
    Raises:
        ConfigError: The model cannot learn while it reads; or its training text is needed, and is
            another one now.
        StorageError: Its training text is needed, and is not there or cannot be read.
        BackendError: The library constriction is not installed; or the model adapts, and the native
            engine does not compute it.
    """
    refuse_learning(saved, mix=mix, adapt=adapt)
    stored = Packed(size=len(data), sum=sum_of(data), data=data)
    with task("reading the text"):
        way, found = read_losslessly(data, saved) if data else (None, None)
    if way is None or found is None or _least_bytes(saved, found) >= len(data):
        return stored.to_bytes()
    engine, learner = _open_learner(saved, choose_threads(threads).value, mix=mix, adapt=adapt)
    tokens = len(found.ids)
    parts = 1 if learner else max(1, min(USUAL_PARTS, tokens // LEAST_PART))
    computation = learner or StaticComputation(saved, engine, parts)
    writer = ChoiceWriter()
    coding = Coding(
        model=model_hash(saved),
        trial=_trial(computation, parts, saved.config.vocab_size),
        path=_path_of(engine),
        threads=engine.threads,
        parts=parts,
        tokens=tokens,
        way=way,
        learning=None if learner is None else learner.learning,
        variants=len(found.forms),
    )
    room = _room(len(data), tokens)
    _code(writer, computation.predictor(), coding, saved, room, found, enough=len(data))
    coded = replace(stored, data=writer.to_bytes(), coding=coding)
    return min(coded.to_bytes(), stored.to_bytes(), key=len)


def decompress(saved: SavedModel, file: bytes) -> bytes:
    """Return the bytes that were compressed.

    Args:
        saved: The model that compressed them.
        file: From `compress`.
    Raises:
        CompressionError: The file is foreign or damaged; or it was compressed by another model, or
            by a computation that gives other numbers here.
        BackendError: The library constriction is not installed.
    """
    packed = Packed.from_bytes(file)
    data = packed.data
    if packed.coding is not None:
        data = _decoded(saved, packed, packed.coding)
    if len(data) != packed.size or sum_of(data) != packed.sum:
        raise CompressionError(
            "what came out is not what was compressed: its checksum is another one. The file is "
            "damaged, or this machine does not always compute the same"
        )
    return data


def model_hash(saved: SavedModel) -> bytes:
    """Return the first bytes of a hash of all of a model that its predictions depend on."""
    described = {
        "config": saved.config.to_dict(),
        "vocabulary": saved.vocabulary.to_dict(),
        "history": saved.history,
    }
    whole = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name, array in sorted(saved.weights.items()):
        whole.update(name.encode())
        whole.update(np.ascontiguousarray(array, "<f4").reshape(-1).view(np.uint8).data)
    return whole.digest()[: len(sum_of(b""))]


def _decoded(saved: SavedModel, packed: Packed, coding: Coding) -> bytes:
    own = model_hash(saved)
    if coding.model != own:
        raise CompressionError(
            f"it was compressed with the model {coding.model.hex()}, and this one is {own.hex()}; "
            f"name the other one: {named('checkpoint', 'MODEL')}"
        )
    if coding.parts > coding.tokens:
        raise damaged("its header cannot be right")
    engine = _same_engine(saved, coding)
    reader = ChoiceReader(packed.data)
    computation: Computation
    if coding.learning is None:
        computation = StaticComputation(saved, engine, coding.parts)
    else:
        computation = _same_learner(saved, engine, coding.learning)
    if _trial(computation, coding.parts, saved.config.vocab_size) != coding.trial:
        raise CompressionError(
            f"it was compressed where {coding.path} with {plural(coding.threads, 'thread')} gives "
            f"other numbers than here with {engine.threads}, so nothing but noise would come out; "
            "decompress it on the machine that compressed it, with the same textgen and NumPy"
        )
    room = _room(packed.size, coding.tokens)
    found = _code(reader, computation.predictor(), coding, saved, room)
    data = write_losslessly(coding.way, found, saved.vocabulary)
    return b"" if data is None else data


def _room(size: int, tokens: int) -> int:
    """The most characters that may be counted in a file; unknown tokens count with their own."""
    return 2 * (size + tokens)


def _code(
    coder: Coder,
    predictor: Predictor,
    coding: Coding,
    model: ModelHeader,
    room: int,
    found: TokenText | None = None,
    *,
    enough: int | None = None,
) -> TokenText:
    """Walk through a text: write it, or read it.

    Args:
        coder: Writes or reads.
        predictor: The model.
        coding: How many tokens and parts there are, and how they are read.
        model: What its symbols are.
        room: The most characters that the text can have.
        found: The text; None where it is read.
        enough: Bytes from which on nothing is gained by writing more.
    Raises:
        CompressionError: What is read cannot be.
    """
    tokens, parts = coding.tokens, coding.parts
    ids = np.zeros(tokens, np.int32) if found is None else found.ids
    texts: dict[int, str] = {} if found is None else dict(found.texts)
    others = _OtherTexts(coder, model, coding)
    lengths_V = model.vocabulary.symbol_lengths()
    before = others.gap(None if found is None else found.before, room)
    room -= len(before)
    starts_B = np.arange(parts) * -(-tokens // parts)
    previous_B = np.full(parts, END_ID, np.int32)
    with task("compressing" if found else "decompressing", total=tokens) as walking:
        for step in range(-(-tokens // parts)):
            weights_BV = predictor.predict(previous_B)
            # The last parts may be shorter.
            places = starts_B + step
            places = places[places < tokens]
            live = len(places)
            chosen = coder.choose(
                np.ascontiguousarray(weights_BV[:live]), None if found is None else ids[places]
            )
            ids[places] = chosen
            previous_B = np.full(parts, END_ID, np.int32)
            previous_B[:live] = chosen
            room -= int(lengths_V[chosen].sum())
            if room < 0:
                raise damaged("it holds more than it says")
            for row in np.flatnonzero(chosen <= UNKNOWN_ID).tolist():
                place = int(places[row])
                known = None if found is None else texts[place]
                if chosen[row] == UNKNOWN_ID:
                    texts[place] = others.unknown(known, room)
                else:
                    texts[place] = others.gap(known, room)
                room -= len(texts[place])
            if enough is not None and isinstance(coder, ChoiceWriter) and len(coder) > enough:
                break
            walking.advance(live)
    after = others.gap(None if found is None else found.after, room)
    forms = _code_variants(coder, model, coding, ids, texts, found)
    return TokenText(ids, texts, before, after, forms)


def _code_variants(
    coder: Coder,
    model: ModelHeader,
    coding: Coding,
    ids: Symbols,
    texts: dict[int, str],
    found: TokenText | None,
) -> Mapping[str, str]:
    """Code what the tokens do not tell apart; the cost is `textgen.evaluation.nll.telling_nats`.

    Args:
        coder: Writes or reads.
        model: Whose tokens they are.
        coding: How many characters are read as others.
        ids: The tokens of the whole text.
        texts: What else than its symbol a token stands for; what is read is added.
        found: The text; None where it is read.
    Returns:
        What is read as what.
    Raises:
        CompressionError: What is read cannot be.
    """
    known = [] if found is None else [*found.forms]
    chars: list[str] = []
    for number in range(coding.variants):
        named_char = known[number] if known else None
        char = choose_character(coder, named_char, strays=coding.way.strays)
        # In order: so a stranger's file names no more than there are.
        if chars and char <= chars[-1]:
            raise damaged("it names a character twice")
        chars.append(char)
    forms = variants_in(chars, model.vocabulary)
    if len(forms) < len(chars):
        raise damaged("it names a character that is not read as another one")
    ways = ways_of(forms)
    # The rule of Krichevsky and Trofimov.
    weights = {form: np.full(len(own), 0.5) for form, own in ways.items()}

    def answer(place: int, form: str) -> bool:
        own, way = ways[form], None
        if found is not None:
            stood = found.texts.get(place, "")
            way = own.index(stood) if stood in own else 0
        way = choose_one(coder, weights[form], way)
        weights[form][way] += 1.0
        if way and found is None:
            texts.update(dict.fromkeys(range(place + 1 - len(form), place), ""))
            texts[place] = own[way]
        return way > 0

    Questions(ways, model.vocabulary, answer).read(ids)
    return forms


class _OtherTexts:
    """What of a text its tokens do not say: unknown tokens, and what stands between documents.

    Args:
        coder: Writes or reads.
        model: Whose tokens they are.
        coding: How the text is read.
    """

    def __init__(self, coder: Coder, model: ModelHeader, coding: Coding) -> None:
        self._coder = coder
        self._vocabulary = model.vocabulary
        self._strays = coding.way.strays
        self._has_gaps = coding.way.documents
        letters = set().union(*model.vocabulary.symbols)
        self._words = Repeats(Speller(letters, strays=self._strays))
        self._gaps = Repeats(Speller("\n", strays=self._strays))

    def unknown(self, text: str | None, most: int) -> str:
        """Code what an unknown token stands for."""
        if self._vocabulary.level == "byte":
            return chr(choose_evenly(self._coder, 256, None if text is None else ord(text)))
        if self._vocabulary.spelled:
            return choose_character(self._coder, text, strays=self._strays)
        return self._words.code(self._coder, text, most)

    def gap(self, text: str | None, most: int) -> str:
        """Code what stands between two documents, or at an end of the text."""
        return self._gaps.code(self._coder, text, most) if self._has_gaps else ""


def _least_bytes(saved: SavedModel, found: TokenText) -> float:
    """What the text takes at least, by its unknown characters."""
    vocabulary = saved.vocabulary
    if vocabulary.level == "byte" or not vocabulary.spelled:
        return 0.0
    return np.count_nonzero(found.ids == UNKNOWN_ID) * ESCAPE_BITS / 8


def _trial(computation: Computation, parts: int, symbols: int) -> bytes:
    """What a computation gives on a short text of its own: every bit of it counts."""
    predictor, writer = computation.predictor(trial=True), ChoiceWriter()
    checksum = 0
    previous_B = np.full(parts, END_ID, np.int32)
    for step in range(computation.trial_tokens):
        weights_BV = predictor.predict(previous_B)
        checksum = zlib.crc32(weights_BV.tobytes(), checksum)
        # Any tokens do, if they are not all alike.
        chosen = (np.arange(parts) * 31 + step * step * 7 + 1) % symbols
        previous_B = writer.choose(weights_BV, chosen.astype(np.int32))
    return zlib.crc32(writer.to_bytes(), checksum).to_bytes(4, "little")


def _open_learner(
    saved: SavedModel, threads: int, *, mix: bool, adapt: bool
) -> tuple[Engine, LearningComputation | None]:
    """What computes, and what learns: None where nothing does."""
    if adapt:
        engine = adapting_engine(saved, threads)
        adapting = adapting_reader(saved, engine)
        if adapting.rule.rate:
            return engine, LearningComputation(saved, engine, adapting, mixes=mix)
    # Where no step helped on the validation text, the weights stay as they are.
    engine = _engine(saved, threads)
    return engine, LearningComputation(saved, engine, None, mixes=True) if mix else None


def _same_learner(saved: SavedModel, engine: Engine, learning: Learning) -> LearningComputation:
    """What learned while a file was coded, if it is here.

    Raises:
        CompressionError: It is not.
    """
    try:
        refuse_learning(saved, mix=bool(learning.order), adapt=learning.adapts)
        adapting = adapting_reader(saved, engine) if learning.adapts else None
        mixes, order = bool(learning.order), learning.order or None
        learner = LearningComputation(saved, engine, adapting, mixes=mixes, order=order)
    except (ConfigError, StorageError) as error:
        raise CompressionError(
            f"the model learned while it compressed it, and cannot do so here: {error.marked}"
        ) from error
    if learner.learning != learning:
        raise CompressionError(
            "the model learned while it compressed it, and began with another training text or "
            "another rule than here; decompress it where it was compressed"
        )
    return learner


def _engine(saved: SavedModel, threads: int) -> Engine:
    """What computes here, in fp32 as `textgen eval` does."""
    cell, head = saved.config.cell_spec, saved.config.head
    return choose_engine(cell, precision="fp32", threads=threads, use="write", head=head)


def _path_of(engine: Engine) -> str:
    return f"{engine.isa or engine.name}/{engine.precision}"


def _same_engine(saved: SavedModel, coding: Coding) -> Engine:
    """What compressed a file, if it is here.

    Raises:
        CompressionError: It is not.
    """
    threads, adapts = coding.threads, coding.learning is not None and coding.learning.adapts
    if not adapts:
        # More threads than cores would wait for each other; the trial tells whether it matters. The
        # sums of a gradient depend on their number.
        threads = min(threads, choose_threads().value)
    asked = f"it was computed on the path {coding.path}"
    forced = os.environ.get(PATH_VARIABLE)
    if forced:
        cell = saved.config.cell_spec
        engine = choose_engine(cell, threads=threads) if adapts else _engine(saved, threads)
        if _path_of(engine) != coding.path:
            raise CompressionError(
                f"{asked}, and {PATH_VARIABLE}={forced} asks for {_path_of(engine)}, which rounds "
                f"otherwise; unset {PATH_VARIABLE}"
            )
        return engine
    native = {f"{isa}/{isa_precision(isa)}": isa for isa in library.supported_isas()}
    known = native if adapts else native | {"numpy/fp32": ""}
    if coding.path not in known:
        reason = library.missing_reason()
        raise CompressionError(
            f"{asked}, which is not here, and others round otherwise; here are: "
            f"{', '.join(known) or 'none'}; decompress it where it was compressed"
            + (f" ({reason})" if reason else "")
        )
    isa = known[coding.path]
    if not isa:
        return Engine("numpy", "fp32", "the file asks for it", threads=threads)
    precision = isa_precision(isa)
    return Engine("native", precision, "the file asks for it", isa=isa, threads=threads)
