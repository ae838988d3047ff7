"""The loops in which networks write: one text token by token, or several together.

These are the only places where generation steps a network.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.errors import SamplingError
from textgen.mixing import MixedStep
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.native_network import NativeStep
from textgen.model.network import StepNetwork
from textgen.native.sampler import NO_ID, Chosen, Places
from textgen.options import SampleOptions
from textgen.sampling.choice import NOT_FINITE, Chooser
from textgen.sampling.networks import Position, read, start, step
from textgen.sampling.stream import Cursor, GeneratedSymbol, Piece, Stream, after_last_end

#: Tokens that one call of a `NativeStep` writes at most. The first calls write fewer, so that
#: the first character appears at once; and a slow model's write no more than `BLOCK_SECONDS` take,
#: so that a reader sees no jumps.
BLOCK_SIZE = 64
BLOCK_SECONDS = 0.02
#: Steps of many native streams after which it is seen which of them have ended.
GROUP_STEPS = 32


class StreamWriter:
    """Lets a network write one text.

    Args:
        network: The model.
        options: Filters and what may be chosen.
        stream: The text.
        position: Where the network stands, one row.
        cursor: What steers the text; None: nothing but `edits`.
        edits: What is done to the states throughout, where there is no cursor.
        block_size: Tokens that one call writes at most; 1 hands each out before the next is
            thought of. None: `BLOCK_SIZE`.
    """

    def __init__(
        self,
        network: StepNetwork,
        options: SampleOptions,
        stream: Stream,
        position: Position,
        cursor: Cursor | None = None,
        *,
        edits: Edits = NO_EDITS,
        block_size: int | None = None,
    ) -> None:
        self._network = network
        self._options = options
        self._stream = stream
        self._chooser = Chooser(options, rules=stream.rules)
        self._previous = stream.context_ids[-1] if len(stream.context_ids) else NO_ID
        # A length of 0, or a form that is full, ends a text before its first token.
        self._is_empty = stream.is_over
        self._looks_back = _looks_back(options)
        self._recent: list[int] = []
        if self._looks_back:
            self._recent = _seen(stream.context_ids, options)
        # The last block: where it began, its tokens, how many were handed out, where it ended.
        self._start = self._end = position
        self._ids: list[int] = []
        self._taken = 0
        self._cursor = cursor
        self._block_size = BLOCK_SIZE if block_size is None else block_size
        self._constant = edits
        # What acted on all of the block but perhaps its last token.
        self._edits = edits
        # Where documents begin, and what acted there.
        self._begun: tuple[Edits, Position] | None = None

    @property
    def position(self) -> Position:
        """Where the network stands after the token last handed out.

        Within a block it is found by reading again what was handed out of it.
        """
        if self._taken < len(self._ids):
            self._start = read(self._network, self._start, self._ids[: self._taken], self._edits)
            del self._ids[: self._taken]
            self._taken = 0
            return self._start
        return self._end

    def symbols(self) -> Iterator[GeneratedSymbol]:
        """Write until the text has ended, or nobody asks for more."""
        size, course = 1, self._stream.course
        while not self._is_empty:
            began = time.perf_counter()
            columns, is_whole = self._write_block(self._bounded(size))
            if time.perf_counter() - began < BLOCK_SECONDS / 2:
                size = min(2 * size, self._block_size)
            elif time.perf_counter() - began > BLOCK_SECONDS:
                size = max(size // 2, 1)
            for chosen in columns:
                symbol = self._stream.accept(*chosen)
                self._stream.generator.skip(1)
                if course.moves:
                    course.advance([symbol.id], [symbol.probability])
                self._taken += 1
                yield symbol
                if symbol.finish_reason is not None:
                    return
            if not is_whole:
                raise SamplingError(NOT_FINITE)

    def block(self, size: int) -> Piece:
        """Write the next tokens, so many at most and fewer where the text or its edits ask for it.

        Not after `symbols`, and not after the text has ended.
        """
        columns, is_whole = self._write_block(self._bounded(size))
        if not columns:
            raise SamplingError(NOT_FINITE)
        ids, probabilities, logprobs, prices = map(list, zip(*columns, strict=True))
        piece = self._stream.accept_many(ids, logprobs, prices)
        self._stream.generator.skip(len(piece.ids))
        self._stream.course.advance(piece.ids, probabilities)
        self._taken += len(piece.ids)
        if piece.finish_reason is None and not is_whole:
            raise SamplingError(NOT_FINITE)
        return piece

    def _bounded(self, size: int) -> int:
        """A block's size: no longer than the text, nor than to where other edits begin."""
        size = min(size, max(self._stream.room, 1))
        border = None if self._cursor is None else self._cursor.tokens_to_change
        borders = (size, border, self._stream.course.room)
        return max(min(each for each in borders if each is not None), 1)

    def _write_block(self, count: int) -> tuple[list[tuple[Any, ...]], bool]:
        """The tokens as `Stream.accept` takes them; whether the block is as long as it should."""
        first, cursor, edits = self._end, self._cursor, self._acting
        if isinstance(self._network, NativeStep | MixedStep) and self._chooser.is_known:
            settings = self._chooser.settings(self._stream.course)
            counter = self._stream.generator.counter
            standing = self._stream.standing
            written = self._network.write(
                *(count, first.logits_BV, first.state, settings, counter, self._recent, END_ID),
                edits=edits,
                previous=self._previous,
                standing=standing,
            )
            chosen, end = written.chosen, Position(written.logits_BV, written.state)
            ids = chosen.ids.tolist()
            is_whole = len(ids) == count or END_ID in ids[-1:]
            if standing is not None:
                # An automaton ends a block where it allows nothing more.
                is_whole = bool(ids)
            if cursor is not None and (same := cursor.follow(ids)) < len(ids):
                # Other edits begin: the block ends there, its last token read again under them.
                before = first if same == 0 else read(self._network, first, ids[:same], edits)
                end = read(self._network, before, [ids[same]], cursor.edits)
                del ids[same + 1 :]
                is_whole = True
        else:
            chosen = self._choose_one()
            ids, is_whole = chosen.ids.tolist(), True
            if cursor is not None:
                cursor.advance(ids[0])
            end = step(self._network, chosen.ids, first.state, [self._acting])
        self._previous = ids[-1] if ids else self._previous
        if END_ID in ids[-1:]:
            # What comes after it is another document, which begins as the first did.
            end = self._begin(self._acting)
        if self._looks_back:
            self._recent = _seen([*self._recent, *ids], self._options)
        self._start, self._ids, self._taken, self._end = first, ids, 0, end
        self._edits = edits
        figures = (array.tolist() for array in chosen[1:])
        # Of a block that was cut short there are more of these than ids.
        return list(zip(ids, *figures, strict=False)), is_whole

    @property
    def _acting(self) -> Edits:
        """What acts on the next state."""
        return self._constant if self._cursor is None else self._cursor.edits

    def _begin(self, edits: Edits) -> Position:
        """Where a document begins under these edits: read once, for it is the same each time."""
        if self._begun is None or self._begun[0] is not edits:
            self._begun = edits, start(self._network, (), edits)
        return self._begun[1]

    def _choose_one(self) -> Chosen:
        """The next token, not yet read."""
        recent = np.array([self._recent], np.intp) if self._recent else None
        counters = np.array([self._stream.generator.counter], np.uint64)
        previous = np.array([self._previous])
        logits_BV, allowed_V = self._end.logits_BV, self._stream.allowed
        courses = [self._stream.course] if self._stream.course.moves else []
        if allowed_V is None:
            return self._chooser.choose(logits_BV, counters, recent, previous, courses=courses)
        return self._chooser.choose_in_form(
            logits_BV, counters, recent, previous, allowed_V[None, :], courses
        )


class StreamGroup:
    """Lets a network write several texts together.

    Args:
        network: The model.
        options: Filters, seed and what may be chosen, of all texts.
        streams: The texts.
        position: Where the network stands, one row a stream.
        cursors: What steers each of them; None: nothing.
    """

    def __init__(
        self,
        network: StepNetwork,
        options: SampleOptions,
        streams: Sequence[Stream],
        position: Position,
        cursors: Sequence[Cursor] | None = None,
    ) -> None:
        self._network = network
        self._options = options
        #: Where the network stands, a row for each text that goes on.
        self.position = position
        engine = network.engine
        self._chooser = Chooser(options, engine, streams[0].rules if streams else None)
        self._steps = GROUP_STEPS if engine is not None and engine.name == "native" else 1
        self._has_form = bool(streams) and streams[0].allowed is not None
        self._moves = bool(streams) and streams[0].course.moves
        if self._moves or options.no_repeat:
            self._steps = 1  # What may come next, or how it is chosen, depends on every token.
        self._streams = list(enumerate(streams))
        self._cursors = None if cursors is None else list(cursors)
        # Tokens that the cursors were not told of, for they change nothing: of all, and letters.
        self._skipped = self._quiet = 0
        self._passed_B = np.zeros(len(streams), np.int64)
        contexts = [stream.context_ids for stream in streams]
        self._previous_B = np.array([ids[-1] if len(ids) else NO_ID for ids in contexts], np.int32)
        self._take_edits()
        self._recent_BN = self._first_recent()
        # A length of 0, or a form that is full, ends a text before its first token.
        going = [row for row, stream in enumerate(streams) if not stream.is_over]
        self._keep(np.array(going, np.intp))

    def pieces(self) -> Iterator[tuple[int, Piece]]:
        """Write until every text has ended.

        Yields:
            Number of a stream, and the next tokens of it.
        """
        while self._streams:
            numbers = [number for number, _ in self._streams]
            pieces = self.block()
            yield from zip(numbers, pieces, strict=True)
            rows = [row for row, piece in enumerate(pieces) if piece.finish_reason is None]
            self._keep(np.array(rows, np.intp))

    def block(self, size: int = GROUP_STEPS) -> list[Piece]:
        """Write the next tokens of each text, so many at most.

        `position` then has a row for each of them.
        """
        columns = self._write_block(size)
        return [
            stream.accept_many(*own)
            for (_, stream), own in zip(self._streams, columns, strict=True)
        ]

    def _write_block(self, size: int) -> list[tuple[list[Any], ...]]:
        """What `Stream.accept_many` takes of each; what stands after a text's end is of no use."""
        count = min(self._steps, size, max(1, *(stream.room for _, stream in self._streams)))
        places, count = self._placed(count)
        counters_B = np.array([stream.generator.counter for _, stream in self._streams], np.uint64)
        courses = [stream.course for _, stream in self._streams] if self._moves else []
        chosen_T = []
        for _ in range(count):
            logits_BV = self.position.logits_BV
            if self._has_form and places is None:
                masks = (stream.allowed for _, stream in self._streams)
                allowed_BV = np.stack([mask for mask in masks if mask is not None])
                chosen = self._chooser.choose_in_form(
                    *(logits_BV, counters_B, self._recent_BN, self._previous_B, allowed_BV, courses)
                )
            else:
                chosen = self._chooser.choose(
                    *(logits_BV, counters_B, self._recent_BN, self._previous_B, places, courses)
                )
            for row, course in enumerate(courses):
                course.advance([int(chosen.ids[row])], [float(chosen.probabilities[row])])
            self._previous_B = chosen.ids
            edits_B = self._edits_for(chosen.ids)
            state = self.position.state
            is_end_B = None
            if self._options.keep_going and (chosen.ids == END_ID).any():
                # Another document of these rows begins as the first did: with a zero state.
                is_end_B = (chosen.ids == END_ID)[:, None]
                state = [
                    {
                        name: np.where(is_end_B, np.zeros_like(array), array)
                        for name, array in layer.items()
                    }
                    for layer in state
                ]
            self.position = step(self._network, chosen.ids, state, edits_B)
            counters_B = counters_B + np.uint64(1)
            if self._recent_BN is not None:
                recent_BN = np.hstack([self._recent_BN, chosen.ids[:, None]])
                if not self._options.no_repeat:
                    recent_BN = recent_BN[:, -self._options.repetition_window :]
                if is_end_B is not None:
                    recent_BN = np.where(is_end_B, UNKNOWN_ID, recent_BN)
                self._recent_BN = recent_BN
            chosen_T.append(chosen)
        for _, stream in self._streams:
            stream.generator.skip(count)
        ids_T, _, logprobs_T, prices_T = zip(*chosen_T, strict=True)
        columns = [np.stack(rows, axis=1).tolist() for rows in (ids_T, logprobs_T, prices_T)]
        return list(zip(*columns, strict=True))

    def _placed(self, count: int) -> tuple[Places | None, int]:
        """Where the texts stand in their form, and how many tokens can be chosen from there."""
        if not self._has_form:
            return None, count
        if self._moves or not self._chooser.is_native:
            return None, 1
        standings = [stream.standing for _, stream in self._streams]
        followed = [standing for standing in standings if standing is not None]
        return Places(followed), count if all(place.is_whole for place in followed) else 1

    def _edits_for(self, ids_B: NDArray[np.integer]) -> tuple[Edits, ...] | None:
        """What acts while these tokens are read; the same tuple where nothing changed."""
        if self._cursors is None:
            return None
        if self._skipped < self._quiet:
            self._skipped += 1
            return self._edits_B
        if self._skipped:
            self._catch_up()
        changed = False
        tokens_B = ids_B[self._moving_rows]
        due = np.arange(len(tokens_B))
        if self._letters_V is not None:
            # A letter ends no sentence, so most rows have nothing to be told of.
            is_letter_B = self._letters_V[tokens_B]
            self._passed_B[self._moving_rows] += is_letter_B
            due = due[~is_letter_B]
        for place in due.tolist():
            row = self._moving_rows[place]
            self._moving[place].skip_letters(int(self._passed_B[row]))
            self._passed_B[row] = 0
            changed |= self._moving[place].advance(int(tokens_B[place]))
        if changed:
            self._take_edits()
        else:
            self._quiet = min((cursor.quiet_tokens for cursor in self._moving), default=0)
        return self._edits_B

    def _catch_up(self) -> None:
        """Let the cursors go past the tokens that they were not told of."""
        for row, cursor in zip(self._moving_rows, self._moving, strict=True):
            cursor.skip(self._skipped)
            cursor.skip_letters(int(self._passed_B[row]))
        self._skipped = 0

    def _take_edits(self) -> None:
        """What acts now, and whose edits may still change."""
        cursors = self._cursors or []
        self._edits_B = tuple(cursor.edits for cursor in cursors)
        self._moving_rows = [row for row, cursor in enumerate(cursors) if not cursor.is_settled]
        self._moving = [cursors[row] for row in self._moving_rows]
        waits = bool(cursors) and all(cursor.waits_for_sentences for cursor in self._moving)
        self._letters_V = cursors[0].letters_V if waits else None
        self._quiet = min((cursor.quiet_tokens for cursor in self._moving), default=0)

    def _keep(self, rows: NDArray[np.intp]) -> None:
        """Take the ended streams out."""
        if len(rows) == len(self._streams):
            return
        self._streams = [self._streams[row] for row in rows]
        if self._cursors is not None:
            self._catch_up()
            self._cursors = [self._cursors[row] for row in rows]
            self._passed_B = np.zeros(len(rows), np.int64)
            self._take_edits()
        if len(rows):
            self.position = self.position.repeat(rows)
            self._previous_B = self._previous_B[rows]
            if self._recent_BN is not None:
                self._recent_BN = self._recent_BN[rows]

    def _first_recent(self) -> NDArray[np.intp] | None:
        """What choices look back at in the contexts, `(B, N)`; `None` where none does."""
        if not _looks_back(self._options):
            return None
        rows = [_seen(stream.context_ids, self._options) for _, stream in self._streams]
        width = max(map(len, rows), default=0)
        # Shorter ones begin with a token that is never chosen.
        filled = [[UNKNOWN_ID] * (width - len(row)) + row for row in rows]
        return np.array(filled, np.intp).reshape(len(rows), width)


def _looks_back(options: SampleOptions) -> bool:
    """Whether choices depend on the tokens before."""
    return options.repetition_penalty != 1.0 or options.no_repeat > 0


def _seen(ids: Sequence[int], options: SampleOptions) -> list[int]:
    """What choices look back at after these tokens: nothing of another document."""
    return after_last_end(ids if options.no_repeat else ids[-options.repetition_window :])
