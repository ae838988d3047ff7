"""Compressing with a model: it predicts each token, and the token is coded by that prediction.

Writing and reading are one function, `_code`, which walks through the text token by token: the
numbers are those of the same computation, in the same order, on arrays of the same shapes. A pass
over whole windows, as `textgen eval` does it, rounds otherwise and would not do.

A long text is cut into parts of equal length. All parts are coded side by side into one stream, so
that a step of the network serves all of them; each begins like a document. Parts are long, for the
first tokens of a part cost more.

Shape suffixes: `B` parts, `V` vocabulary, `N` tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from dataclasses import replace
from typing import Protocol

import numpy as np

from textgen.checkpoint.model_file import ModelHeader, SavedModel
from textgen.compression.container import Coding, Packed, damaged, sum_of
from textgen.compression.lossless_text import TokenText, read_losslessly, write_losslessly
from textgen.compression.range_coder import (
    ChoiceReader,
    ChoiceWriter,
    Coder,
    Repeats,
    Speller,
    Symbols,
    Weights,
    choose_character,
    choose_evenly,
)
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.errors import CompressionError, named
from textgen.evaluation.nll import ESCAPE_BITS
from textgen.model.engine import choose_engine, open_network
from textgen.model.native_network import NativeStep
from textgen.model.network import Engine, StepNetwork, reset
from textgen.native import library
from textgen.progress import task
from textgen.runtime import PATH_VARIABLE, choose_threads
from textgen.sampling.networks import HistoryNetwork
from textgen.terminal.humanize import plural

#: Tokens of a part at least, and parts of a text at most.
LEAST_PART, USUAL_PARTS = 1 << 14, 64
#: Tokens of the trial, by which two computations are compared.
_TRIAL = 64
#: Logits beyond are as good as these.
_LARGEST = 1e4


class Predictor(Protocol):
    """What predicts the next token of each part, from all that was read of it so far."""

    def predict(self, previous_B: Symbols) -> Weights:
        """Read one token of each part.

        Args:
            previous_B: The tokens; an end mark begins a document.
        Returns:
            How likely each symbol is to come next, `(B, V)`; rows need not sum to 1.
        """


class StaticPredictor:
    """A network whose weights stay as they are.

    Args:
        network: The model.
        parts: How many parts are read.
    """

    def __init__(self, network: StepNetwork, parts: int) -> None:
        self._network = network
        self._state = network.zero_state(parts)

    def predict(self, previous_B: Symbols) -> Weights:
        """Read one token of each part; see `Predictor.predict`."""
        self._state = reset(self._state, previous_B == END_ID)
        logits_BV, self._state = self._network.step(previous_B, self._state)
        weights_BV = logits_BV.astype(np.float64)
        if not np.isfinite(weights_BV).all():
            np.nan_to_num(weights_BV, False, 0.0, _LARGEST, -_LARGEST)
        weights_BV -= weights_BV.max(axis=1, keepdims=True)
        return np.exp(weights_BV, out=weights_BV)


def compress(saved: SavedModel, data: bytes, *, threads: int | None = None) -> bytes:
    """Return bytes, compressed by a model.

    They are stored as they are where the model makes nothing shorter of them.

    Args:
        saved: The model.
        data: Any bytes.
        threads: Computing threads; None is one for each core.
    Raises:
        BackendError: The library constriction is not installed.
    """
    stored = Packed(size=len(data), sum=sum_of(data), data=data)
    with task("reading the text"):
        way, found = read_losslessly(data, saved) if data else (None, None)
    if way is None or found is None or _least_bytes(saved, found) >= len(data):
        return stored.to_bytes()
    tokens = len(found.ids)
    parts = max(1, min(USUAL_PARTS, tokens // LEAST_PART))
    engine = _engine(saved, choose_threads(threads).value)
    writer = ChoiceWriter()
    coding = Coding(
        model=model_hash(saved),
        trial=b"",
        path=_path_of(engine),
        threads=engine.threads,
        parts=parts,
        tokens=tokens,
        way=way,
    )
    network = _opened(saved, engine, parts)
    coding = replace(coding, trial=_trial(network, parts, saved.config.vocab_size))
    room = _room(len(data), tokens)
    predictor = StaticPredictor(network, parts)
    _code(writer, predictor, coding, saved, room, found, enough=len(data))
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
    network = _opened(saved, engine, coding.parts)
    if _trial(network, coding.parts, saved.config.vocab_size) != coding.trial:
        raise CompressionError(
            f"it was compressed where {coding.path} with {plural(coding.threads, 'thread')} gives "
            f"other numbers than here with {engine.threads}, so nothing but noise would come out; "
            "decompress it on the machine that compressed it, with the same textgen and NumPy"
        )
    predictor = StaticPredictor(network, coding.parts)
    found = _code(reader, predictor, coding, saved, _room(packed.size, coding.tokens))
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
    return TokenText(ids, texts, before, after)


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


def _trial(network: StepNetwork, parts: int, symbols: int) -> bytes:
    """What a computation gives on a short text of its own: every bit of it counts."""
    predictor, writer = StaticPredictor(network, parts), ChoiceWriter()
    checksum = 0
    previous_B = np.full(parts, END_ID, np.int32)
    for step in range(_TRIAL):
        weights_BV = predictor.predict(previous_B)
        checksum = zlib.crc32(weights_BV.tobytes(), checksum)
        # Any tokens do, if they are not all alike.
        chosen = (np.arange(parts) * 31 + step * step * 7 + 1) % symbols
        previous_B = writer.choose(weights_BV, chosen.astype(np.int32))
    return zlib.crc32(writer.to_bytes(), checksum).to_bytes(4, "little")


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
    # More threads than cores would wait for each other; the trial tells whether it matters.
    threads = min(coding.threads, choose_threads().value)
    asked = f"it was computed on the path {coding.path}"
    forced = os.environ.get(PATH_VARIABLE)
    if forced:
        engine = _engine(saved, threads)
        if _path_of(engine) != coding.path:
            raise CompressionError(
                f"{asked}, and {PATH_VARIABLE}={forced} asks for {_path_of(engine)}, which rounds "
                f"otherwise; unset {PATH_VARIABLE}"
            )
        return engine
    known = {f"{isa}/fp32": isa for isa in library.supported_isas()} | {"numpy/fp32": ""}
    if coding.path not in known:
        reason = library.missing_reason()
        raise CompressionError(
            f"{asked}, which is not here, and others round otherwise; here are: "
            f"{', '.join(known)}; decompress it where it was compressed"
            + (f" ({reason})" if reason else "")
        )
    isa = known[coding.path]
    name = "native" if isa else "numpy"
    return Engine(name, "fp32", "the file asks for it", isa=isa, threads=threads)


def _opened(saved: SavedModel, engine: Engine, parts: int) -> StepNetwork:
    """The model as it reads so many parts."""
    network: StepNetwork
    if engine.name == "native" and parts == 1:
        network = NativeStep(saved.config, saved.weights, engine)
    else:
        network = open_network(saved.config, engine, saved.weights)
    return HistoryNetwork(network, saved.history) if saved.history else network
