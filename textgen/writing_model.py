"""What writes text: the methods that a trained model and several at once have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from textgen.arguments import checked, path_text
from textgen.checkpoint import ModelHeader
from textgen.corpus.vocabulary import Ids, Vocabulary
from textgen.errors import ConfigError, SamplingError, named
from textgen.keywords import SampleSettings, StrPath
from textgen.model.edit import NO_EDITS
from textgen.model.network import StepNetwork
from textgen.notebook import Shown
from textgen.options import form_settings
from textgen.runtime import Choice
from textgen.sampling import (
    FittedSeed,
    FittedStop,
    GeneratedSymbol,
    Generation,
    Generations,
    SampleOptions,
    TextNetworks,
    Writer,
    WrittenText,
    bits_per_char,
    generate,
    stream_text,
)
from textgen.sampling.forms import Form, form_of
from textgen.sampling.items import ItemRequest, Items, find_items, longest_item, refuse_no_items
from textgen.sampling.networks import seen_by
from textgen.sampling.seed import (
    options_of,
    refuse_beside,
    refuse_steering,
    seed_of,
    stop_of,
)
from textgen.settings import plain_value
from textgen.steering import LabelSteering, Steering, SteeringPlan, schedule_error

#: How a text is steered: one specification, several, or what was made of them.
Steer = str | Sequence[str] | Steering


class WritingModel(Shown, ABC):
    """What writes text.

    Args:
        saved: How texts are read and where they end: symbols, normalisation, documents.
        networks: What computes: one text at a time, or many together.
    """

    def __init__(self, saved: ModelHeader, networks: TextNetworks) -> None:
        self.saved = saved
        self.vocabulary: Vocabulary = saved.vocabulary
        self.networks = networks

    @abstractmethod
    def choose_mix(self, *, is_steered: bool = False, history: int | None = None) -> Choice:
        """Whether `textgen sample` mixes in counts of the training text unasked, and why.

        Args:
            is_steered: Whether the text is steered.
            history: As in `sample_options`; None: as in training.
        Returns:
            A choice of True or False, for `mix`.
        """

    @abstractmethod
    def network_for(self, options: SampleOptions, *, together: bool = False) -> StepNetwork:
        """What writes one text, or many together, as the options ask.

        Args:
            options: From `sample_options`.
            together: Whether it writes many texts at each step.
        Raises:
            ConfigError, BackendError: The options ask for counts of a training text, which is not
                there.
        """

    @abstractmethod
    def _plan(self, steer: Steer | None) -> Steering | None:
        """What steers a text."""

    @abstractmethod
    def line_end_words(self) -> Sequence[str]:
        """Words that lines may rhyme with, the most frequent first."""

    @abstractmethod
    def _training_tokens(self, path: str | None) -> Ids:
        """The training text, from a file or folder or from the cache."""

    @checked()
    def fit_seed(self, seed: str) -> FittedSeed:
        """`seed` as tokens of the model, with a notice of what had to be changed.

        For a model of pairs it is a source, and its ids end with the separator. Of several
        documents, cut as the training text was, the text continues the last one.

        Raises:
            SamplingError: It is no source, and the model one of pairs.
        """
        return seed_of(self.saved, seed)

    @checked(SampleOptions)
    def sample_options(self, **settings: Unpack[SampleSettings]) -> SampleOptions:
        """The settings of a text as this model writes it: what is not given is as in training.

        A model of several documents, or of pairs, ends its text where a document ends, unless
        `keep_going` asks for one document after another, separated as they were in training. Stop
        texts are normalised as the model's texts were.

        Args:
            settings: Any of those below, by name.
        Raises:
            SamplingError: A setting lies outside its range, or a model of pairs is to keep going.
        """
        return self._options(settings)

    def _options(self, settings: Mapping[str, Any]) -> SampleOptions:
        """The settings of a text by name; see `sample_options`."""
        return options_of(self.saved, settings)

    def fit_stop(self, stop: str, *, keep_going: bool = False) -> FittedStop:
        """A stop text as this model can write it, with a notice where it never can.

        Args:
            stop: The stop text, taken as it is.
            keep_going: Whether one document is written after another, with a separator between.
        """
        return stop_of(self.saved, stop, keep_going=keep_going)

    def asked_for(
        self, steer: Steer | None, settings: Mapping[str, Any]
    ) -> tuple[SampleOptions, Steering | None]:
        """The settings of a text, and what steers it.

        Args:
            steer: As for `generate`.
            settings: Those that are given, by name; for others see `sample_options`.
        Raises:
            SamplingError: A setting is out of range, or the model cannot be steered.
            ConfigError: The model does not have what is steered.
        """
        options, plan = self._options(settings), self._plan(steer)
        if plan is not None:
            refuse_steering(self.saved, options)
        return options, plan

    def form_for(self, options: SampleOptions) -> Form | None:
        """What holds texts to the form that the options ask for; None: they ask for none.

        Args:
            options: From `sample_options`.
        Raises:
            SamplingError: No text of the model can keep to it.
        """
        if self.saved.reads_pairs and (held := form_settings(options)):
            raise SamplingError(
                "this model writes the targets of pairs, which have no form; leave "
                f"{' and '.join(held)} out"
            )
        return form_of(options, self.vocabulary, self.line_end_words)

    @checked(SampleOptions)
    def stream(
        self,
        seed: str | FittedSeed | None = "",
        *,
        index: int = 0,
        steer: Steer | None = None,
        **settings: Unpack[SampleSettings],
    ) -> Iterator[GeneratedSymbol]:
        """As `generate`, but token by token, as they are made; the seed is not repeated."""
        options, steering = self.asked_for(steer, settings)
        return stream_text(
            self.network_for(options),
            self.vocabulary,
            options,
            seed_ids=seed_of(self.saved, seed).ids,
            primer_ids=self.saved.primer,
            index=index,
            steering=steering,
            form=self.form_for(options),
        )

    @checked(SampleOptions)
    def generate(
        self,
        seed: str | FittedSeed | None = "",
        *,
        steer: Steer | None = None,
        **settings: Unpack[SampleSettings],
    ) -> str:
        """Write text; see `sample_options` for where it ends.

        Args:
            seed: Its beginning; without one it starts as texts of the corpus start.
            steer: What is done to neurons meanwhile, as in `steering`; None: nothing.
            settings: Any of those below, by name. What a model was trained with is its default:
                a model of pairs has `until_end`, one with a history `history`.
        Returns:
            The seed as the model could read it, and what was written after it; by a model of pairs
            the target alone.
        Raises:
            SamplingError: A setting lies outside its range.
        """
        fitted = seed_of(self.saved, seed)
        written = "".join(symbol.text for symbol in self.stream(fitted, steer=steer, **settings))
        if self.saved.reads_pairs:
            return WrittenText(written)
        return WrittenText(fitted.text + written, len(fitted.text))

    @checked(SampleOptions)
    def generate_many(
        self,
        count: int | Iterable[str | FittedSeed],
        seed: str | FittedSeed | None = "",
        *,
        exact: bool = False,
        steer: Steer | None = None,
        **settings: Unpack[SampleSettings],
    ) -> list[Generation]:
        """Write several texts; text `k` draws from a generator of its own.

        Args:
            count: How many. Or a list of seeds: then one text is written after each.
            seed: Their beginning, if `count` is a number.
            exact: Make each what it is when it is written alone. Otherwise many are written
                together, which is faster and rounds differently.
            steer: As for `generate`; each text follows its schedule by itself.
            settings: Any of those below, by name.
        Returns:
            The texts in order, without their seeds.
        Raises:
            SamplingError: A setting lies outside its range.
        Example:
            >>> for text in model.generate_many(["Once", "Never"], length=100):
            ...     print(text.text)
        """
        options, plan = self.asked_for(steer, settings)
        if isinstance(count, str | bytes | FittedSeed):
            raise SamplingError(
                f"count is {count!r:.60}; it must be a number or a list of seeds: "
                "generate_many(4, seed), or generate_many([seed, ...])"
            )
        if isinstance(count, Iterable) and getattr(count, "shape", None) != ():
            if seed:
                raise SamplingError("a list of seeds was given and a seed too; leave one out")
            seeds = [seed_of(self.saved, each).ids for each in count]
            if not seeds:
                raise SamplingError("there is no seed to write after; give at least one")
        else:
            number: int = plain_value("count", count, (int,), SamplingError)
            if number > 1:
                refuse_beside("count", options)
            seeds = [seed_of(self.saved, seed).ids] * number
        return self._write(seeds, options, exact=exact, steering=plan)

    @checked(SampleOptions)
    def items(
        self,
        count: int,
        seed: str | FittedSeed | None = "",
        *,
        new: bool = True,
        unique: bool = True,
        rank: bool = False,
        novelty_corpus: StrPath | None = None,
        exact: bool = False,
        steer: Steer | None = None,
        **settings: Unpack[SampleSettings],
    ) -> Items:
        """Write items of a list, such as names: whole documents, all different and all new.

        They are written until there are as many as asked for, or no more: `why_fewer` of the result
        says so then. What is written freely and is no item is left out; where that is too much, the
        rest is written under a form that leads to nothing else.

        Args:
            count: How many.
            seed: What each begins with.
            new: Leave out what is a document of the training text.
            unique: Leave out what was written before.
            rank: Order them, those with the fewest bits per character first.
            novelty_corpus: A file or folder with the training text; None takes it from the cache.
            exact: As for `generate_many`.
            steer: As for `generate`.
            settings: Any of those below, by name. Without `length` an item has at most as many
                characters as the longest of the training text.
        Raises:
            SamplingError: The model knows no end of a document, or a setting is out of range.
            ConfigError: The training text is needed, and is no longer in the cache.
        Example:
            >>> model.items(100, chars="3..12").texts
        """
        options, plan = self.asked_for(steer, settings)
        refuse_no_items(self.saved, options)
        number: int = plain_value("count", count, (int,), SamplingError)
        fitted = seed_of(self.saved, seed)
        path = None if novelty_corpus is None else path_text(novelty_corpus, "novelty_corpus")

        def write(size: int, first: int, form: Form | None, length: int) -> list[Generation]:
            together = self.networks.are_together(size, exact=exact)
            return generate(
                self.network_for(options, together=together),
                self.vocabulary,
                [fitted.ids] * size,
                replace(options, length=length, until_end=True),
                primer_ids=self.saved.primer,
                first_index=first,
                steering=plan,
                form=form,
                together=together,
            )

        held_to = self.form_for(options)
        most = longest_item(self.saved, options, held_to)
        request = ItemRequest(
            count=number,
            vocabulary=self.vocabulary,
            seed=fitted.ids,
            most=options.length if "length" in settings else most,
            form=held_to,
            asked=form_settings(options),
            training=self._training_tokens(path) if new else None,
            is_unique=unique,
        )
        return find_items(request, write, rank=rank)

    def _write(
        self,
        seeds: Sequence[Sequence[int]],
        options: SampleOptions,
        *,
        exact: bool,
        steering: Steering | None = None,
    ) -> list[Generation]:
        """A text after each of the seeds; one that is empty begins as the corpus's texts do."""
        exact = exact or options.beam > 0
        together = self.networks.are_together(len(seeds), exact=exact)
        texts = generate(
            self.network_for(options, together=together),
            self.vocabulary,
            seeds,
            options,
            primer_ids=self.saved.primer,
            steering=steering,
            form=self.form_for(options),
            together=together,
        )
        return Generations(texts)

    @checked(SampleOptions)
    def bits_per_char(
        self,
        ids: str | Sequence[int],
        *,
        seed: str | FittedSeed = "",
        **settings: Unpack[SampleSettings],
    ) -> float:
        """What a text costs the model when nobody steers it; not a number where it has no
        character.

        Args:
            ids: Its tokens, such as `Generation.ids`; or the text.
            seed: What stands before it and is not charged.
            settings: Those that it was written with. What the model makes of it depends on the
                label, the counts that are mixed in, the history and 8-bit weights alone.
        Raises:
            ConfigError: The label has a schedule.
        """
        options, steering = self.asked_for(None, settings)
        if isinstance(steering, LabelSteering):
            raise schedule_error(options.label or "")
        context = seed_of(self.saved, seed).ids or self.saved.primer
        ids = [int(token) for token in self._tokens(ids)]
        network = seen_by(self.network_for(options), options)
        return bits_per_char(network, self.vocabulary, ids, context)

    @checked(SampleOptions)
    def writer(self, *, steer: Steer | None = None, **settings: Unpack[SampleSettings]) -> Writer:
        """A text that grows by turns: typed, generated, chosen by hand, undone.

        A form holds each turn of the model by itself: with `lines=2` each of them has two lines.

        Raises:
            ConfigError: `steer` has a schedule, which counts from one beginning.
        """
        if self.saved.reads_pairs:
            raise ConfigError("a model of pairs writes targets, not a text by turns")
        options, plan = self.asked_for(steer, settings)
        if isinstance(plan, SteeringPlan) and not plan.is_constant:
            raise ConfigError(f"'{plan}' has a schedule; a text written by turns takes none")
        if isinstance(plan, LabelSteering):
            raise schedule_error(options.label or "")
        refuse_beside("interactive", options)
        if options.temperatures is not None and options.temperatures.parts:
            raise SamplingError(
                f"{named('temperature', options.temperature)} counts from one beginning, and a "
                "text written by turns has many; give one temperature, or several in turns"
            )
        return Writer(
            self.network_for(options),
            self.vocabulary,
            self.saved.normalization,
            options,
            primer_ids=self.saved.primer,
            edits=NO_EDITS if plan is None else plan.edits_at(0, 1),
            form=self.form_for(options),
            open_many=lambda: self.network_for(options, together=True),
        )

    @checked()
    def encode(self, text: str) -> NDArray[np.integer]:
        """The token ids of `text`, normalised as the model's texts were; `(N,)`."""
        return self.vocabulary.encode(self.saved.normalization.apply(text))

    def _tokens(self, text: str | Sequence[int] | NDArray[np.integer]) -> NDArray[np.integer]:
        """The tokens of a text that is given as such, or as its tokens."""
        if isinstance(text, str):
            return self.encode(text)
        ids: NDArray[np.integer] = np.asarray(text)
        if ids.size == 0:
            ids = ids.astype(np.int64)
        if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
            raise ConfigError(f"{text!r:.60} is not a text; give a str, or a list of token ids")
        # A corpus, an array that may be large, is looked at where it is read.
        if ids.size and ids is not text and not 0 <= ids.min() <= ids.max() < len(self.vocabulary):
            raise ConfigError(
                f"the tokens lie in {ids.min()}..{ids.max()}, and the model knows those in "
                f"0..{len(self.vocabulary) - 1}"
            )
        return ids
