"""The texts of a request as OpenAI's completions: whole, or as chunks of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.messages import marks_of
from textgen.messages import told as in_words
from textgen.sampling import FittedSeed
from textgen.sampling.items import Items
from textgen.sampling.stream import decoder_after
from textgen.serving.completion import Completion
from textgen.serving.json_fields import in_fields
from textgen.serving.served_text import Alternatives, Progress, ReadPrompt
from textgen.table import finite
from textgen.version import __version__


class CompletionAnswer:
    """The answer to one request, put together from the parts of its texts.

    Args:
        asked: The request.
        model: The name of the model.
        vocabulary: Its symbols.
        seeds: The prompts as they are read.
        prompts: Where they are read.
        notices: What of the request could not be taken as it was.
    """

    def __init__(
        self,
        asked: Completion,
        model: str,
        vocabulary: Vocabulary,
        seeds: Sequence[FittedSeed],
        prompts: Sequence[ReadPrompt],
        notices: Sequence[str],
    ) -> None:
        self._head = _head(model)
        self._asked = asked
        self._notices = list(notices)
        self._prompt_tokens = sum(len(seed.ids) for seed in seeds)
        self._choices = [
            _ChoiceAnswer(
                asked, vocabulary, seeds[number // asked.count], prompts[number // asked.count]
            )
            for number in range(asked.count * len(seeds))
        ]

    def add(self, number: int, progress: Progress) -> dict[str, Any]:
        """Add a part of a text; returns the chunk of a stream that tells it."""
        if progress.notice is not None and progress.notice not in self._notices:
            self._notices.append(progress.notice)
        part = self._choices[number].add(progress)
        chunk = {**self._head, "choices": [{"index": number, **part}]}
        if self._asked.tells_usage:
            chunk["usage"] = None
        if progress.finish is not None and self._notices:
            chunk["notices"] = self._notices
        return chunk

    @property
    def is_whole(self) -> bool:
        """Whether all texts have ended."""
        return all(choice.finish is not None for choice in self._choices)

    @property
    def usage(self) -> dict[str, int]:
        """Tokens that were read and written."""
        return _usage(self._prompt_tokens, sum(choice.tokens for choice in self._choices))

    def whole(self) -> dict[str, Any]:
        """The answer with all texts."""
        choices = [{"index": k, **choice.whole()} for k, choice in enumerate(self._choices)]
        more = {"notices": self._notices} if self._notices else {}
        return {**self._head, "choices": choices, "usage": self.usage, **more}

    def last_chunk(self) -> dict[str, Any]:
        """The chunk that ends a stream with the usage."""
        return {**self._head, "choices": [], "usage": self.usage}


class ItemsAnswer:
    """The answer to a request for items of a list, each of them a choice.

    Args:
        asked: The request.
        model: The name of the model.
        seed: What each item begins with.
        found: The items.
        notices: What of the request could not be taken as it was.
    """

    def __init__(
        self,
        asked: Completion,
        model: str,
        seed: FittedSeed,
        found: Items,
        notices: Sequence[str],
    ) -> None:
        self._head = _head(model)
        written = [item.generation for item in found]
        self._usage = _usage(len(seed.ids), sum(len(text.ids) for text in written))
        self._choices: list[dict[str, Any]] = [
            {
                "index": place,
                "text": item.text if asked.echo else item.generation.text,
                "logprobs": None,
                "finish_reason": "stop",
                "bits_per_char": finite(item.bits_per_char),
                **({"form_bits": item.generation.form_bits} if asked.form else {}),
            }
            for place, item in enumerate(found)
        ]
        figures = found.to_json()
        fewer = found.why_fewer
        figures["why_fewer"] = None if fewer is None else in_words(marks_of(fewer), in_fields)
        self._more = {"items": figures, **({"notices": [*notices]} if notices else {})}

    def whole(self) -> dict[str, Any]:
        """The answer with all items."""
        return {**self._head, "choices": self._choices, "usage": self._usage, **self._more}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """A chunk of a stream for each item, the last one with the figures of all."""
        *first, last = [[choice] for choice in self._choices] or [[]]
        yield from ({**self._head, "choices": choices} for choices in first)
        yield {**self._head, "choices": last, **self._more}

    def last_chunk(self) -> dict[str, Any]:
        """The chunk that ends a stream with the usage."""
        return {**self._head, "choices": [], "usage": self._usage}


def _head(model: str) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": f"textgen-{__version__}",
    }


def _usage(read: int, written: int) -> dict[str, int]:
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


class _ChoiceAnswer:
    """One text of an answer."""

    def __init__(
        self, asked: Completion, vocabulary: Vocabulary, seed: FittedSeed, prompt: ReadPrompt
    ) -> None:
        self._asked, self._prompt = asked, prompt
        self._seed = seed.text if asked.echo else ""
        self._is_begun = False
        before = () if asked.echo else prompt.ids
        self._tokens = _ToldTokens(vocabulary, before, asked.alternatives or 0)
        self._parts: list[dict[str, Any]] = []
        self._price = 0.0
        self.tokens = 0
        self.finish: str | None = None

    def add(self, progress: Progress) -> dict[str, Any]:
        """The part as OpenAI writes a choice."""
        text = progress.text
        if not self._is_begun:
            self._is_begun = True
            text = self._seed + text
            if self._asked.echo and self._asked.alternatives is not None:
                prompt = self._prompt
                self._tokens.add(prompt.ids, [None, *prompt.logprobs[1:]], prompt.alternatives)
        self.tokens += len(progress.ids)
        if progress.finish is not None:
            # In OpenAI's words: what ends by itself, by whatever, stops.
            self.finish = "length" if progress.finish == "length" else "stop"
        told = None
        if self._asked.alternatives is not None:
            self._tokens.add(progress.ids, progress.logprobs, progress.alternatives)
            told = self._tokens.up_to(len(text))
        self._price += progress.price
        part = {"text": text, "logprobs": told, "finish_reason": self.finish}
        self._parts.append(part)
        return {**part, **self._cost} if self.finish is not None else part

    @property
    def _cost(self) -> dict[str, float]:
        """What the form cost, where there is one."""
        return {"form_bits": self._price} if self._asked.form else {}

    def whole(self) -> dict[str, Any]:
        """All parts as one."""
        told: dict[str, Any] | None = None
        if self._asked.alternatives is not None:
            parts = [part["logprobs"] for part in self._parts]
            told = {key: [entry for part in parts for entry in part[key] or ()] for key in parts[0]}
            if not self._asked.alternatives:
                told["top_logprobs"] = None
        text = "".join(part["text"] for part in self._parts)
        return {"text": text, "logprobs": told, "finish_reason": self.finish, **self._cost}


class _ToldTokens:
    """Tokens and their log-probabilities, told once the text that they make is sent.

    Args:
        vocabulary: The model's symbols.
        before: Tokens that stand before the text.
        alternatives: How many alternatives are told at each token.
    """

    def __init__(self, vocabulary: Vocabulary, before: Sequence[int], alternatives: int) -> None:
        self._vocabulary = vocabulary
        self._decoder = decoder_after(vocabulary, before)
        self._alternatives = alternatives
        self._held: list[tuple[int, int, float | None, dict[str, float] | None]] = []
        self._made = self._sent = 0

    def add(
        self, ids: Sequence[int], logprobs: Sequence[float | None], told: Sequence[Alternatives]
    ) -> None:
        """Add tokens in the order of the text."""
        for place, (token, logprob) in enumerate(zip(ids, logprobs, strict=True)):
            top = None
            if self._alternatives and logprob is not None:
                top = {self._shown(other): value for other, value in told[place]}
                # OpenAI tells of the token that was chosen, whether it is among the best or not.
                top.setdefault(self._shown(token), logprob)
            self._held.append((self._made, token, logprob, top))
            self._made += len(self._decoder.feed(token))

    def up_to(self, sent: int) -> dict[str, Any]:
        """The tokens of the text that was sent since the last call, so many characters."""
        self._sent += sent
        told = [entry for entry in self._held if entry[0] < self._sent]
        self._held = self._held[len(told) :]
        return {
            "tokens": [self._shown(token) for _, token, _, _ in told],
            "token_logprobs": [logprob for _, _, logprob, _ in told],
            "top_logprobs": [top for *_, top in told] if self._alternatives else None,
            "text_offset": [start for start, *_ in told],
        }

    def _shown(self, token: int) -> str:
        """A token as OpenAI writes it: its text, or its bytes where it is no whole character."""
        if token == END_ID:
            return "<|endoftext|>"
        if self._vocabulary.level == "byte":
            byte = self._vocabulary.symbols[token]
            return byte if byte.isascii() else f"bytes:\\x{ord(byte):02x}"
        return self._vocabulary.symbols[token]
