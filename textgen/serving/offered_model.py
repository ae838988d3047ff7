"""A model that a server offers: what is asked of it becomes texts to write."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from weakref import WeakValueDictionary

from textgen.api import Model
from textgen.errors import TextgenError
from textgen.export.html_page import ShownModel, served_page
from textgen.export.packed import refuse_unknown
from textgen.inspection.trace import check_quantity
from textgen.messages import marks_of, told
from textgen.model.edit import NO_EDITS
from textgen.model.numpy_network import NumpyNetwork
from textgen.options import SampleOptions
from textgen.runtime import Choice
from textgen.sampling import FittedSeed
from textgen.sampling.choice import INDEX_LIMIT, SymbolGenerator
from textgen.sampling.items import Items, known_items, longest_item, refuse_no_items
from textgen.sampling.networks import seen_by
from textgen.sampling.stream import Cursor, Stream
from textgen.serving.completion import Completion
from textgen.serving.json_fields import in_fields
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions
from textgen.serving.served_text import Order, ReadPrompt, ServedText
from textgen.serving.stepped_text import SteppedText, Walk, check_unit, editors_of
from textgen.serving.steps_request import StepsRequest
from textgen.steering import Steering, Target
from textgen.steering.label_plan import parse_labels

#: Weights of a model that is sent: they travel in 8 bits, and the browser computes with them.
MOST_SENT = 6_000_000
#: Numbers of neurons that a request for steps is told at most: 64 MiB.
MOST_NUMBERS = 2**24
#: Mixtures of labels of a request, and of all requests to a model that are not done: each has
#: weights of its own.
MOST_OF_REQUEST, MOST_IN_USE = 4, 8
#: Labels and mixtures that a request's `label` names at most.
MOST_PARTS = 32
#: Characters of a text whose end is a number of tokens.
_UNBOUNDED = 2**31


@dataclass(frozen=True, eq=False)
class OpenMixture:
    """A mixture of labels under which somebody's texts are written.

    Args:
        model: The model under it, with weights of its own.
    """

    model: Model


class OfferedModel:
    """A model under the name by which requests ask for it.

    Args:
        model: The model.
        limits: What a request may ask for.
    """

    def __init__(self, model: Model, limits: ServeOptions) -> None:
        self.model = model
        self.name = model.name
        self.created = int(model.path.stat().st_mtime)
        self._limits = limits
        self._rng, self._next = secrets.randbits(64), 0
        self._page: bytes | None = None
        self._opening = Lock()
        self._in_use: WeakValueDictionary[tuple[tuple[str, float], ...], OpenMixture] = (
            WeakValueDictionary()
        )

    def describe(self) -> str:
        """What writes its texts, and with what, in one line."""
        mix = self.mix(history=self.model.saved.history or 0)
        mixing = "mixed with counts of the training text" if mix.value else "no counts"
        why = "" if mix.value else f", for {mix.reason}"
        return (
            f"{self.name} ({self.model.path}); {self.model.networks.describe()}; {mixing}{why}; "
            f"engine: {self.model.networks.engine.reason}"
        )

    @cached_property
    def _usual_mix(self) -> Choice:
        return self.model.choose_mix(history=0)

    def mix(self, *, history: int | None, is_steered: bool = False) -> Choice:
        """Whether texts are mixed with counts unasked, and why: as `textgen sample` decides."""
        if is_steered or history:
            return self.model.choose_mix(is_steered=is_steered, history=history)
        return self._usual_mix

    def page(self) -> bytes:
        """The page of the model, in HTML: made once.

        The model runs in it, or asks for its steps here where it is too large to be sent.

        Raises:
            ConfigError: The page cannot show such a model.
        """
        if self._page is None:
            if self.model.config.num_parameters() > MOST_SENT:
                self._page = served_page(
                    self._shown, self._limits.max_tokens, self._limits.max_prompt
                )
            else:
                with TemporaryDirectory() as folder:
                    path = Path(folder) / "page.html"
                    self.model.export_html(path)
                    self._page = path.read_bytes()
        return self._page

    def steps(self, asked: StepsRequest, order: Order) -> SteppedText:
        """The text that a request for steps asks for.

        Raises:
            Refusal: The model has no such symbol, label, neuron or direction.
            ConfigError: Its steps cannot be told.
            InspectionError: It has no such quantity.
        """
        saved, network = self.model.saved, self._network
        if asked.quantity is not None:
            check_quantity(saved.config.cell_spec, asked.quantity)
        if asked.inside is not None:
            check_unit(network, *asked.inside, "inside")
        size = len(saved.vocabulary)
        if any(token >= size for token in (*asked.ids, asked.previous or 0)):
            raise Refusal(f"the symbols of {self.name} are 0..{size - 1}", param="ids")
        if asked.label > (labels := len(self.model.labels)):
            raise Refusal(
                f"there is no label {asked.label}; {self.name} has {labels}, counted from 1",
                param="label",
            )
        steps = len(asked.ids) + asked.tokens
        numbers = steps * network.config.num_layers * network.config.hidden_size
        if asked.quantity is not None and numbers > MOST_NUMBERS:
            raise Refusal(
                f"{asked.quantity} of {steps:,} steps are {numbers:,} numbers, and "
                f"{MOST_NUMBERS:,} are the most; send ids in parts, or ask for fewer max_tokens",
                param="ids",
            )
        targets = self._targets if asked.holds_direction else ()
        editors = editors_of(network, asked.holds, targets)
        options = self.model.sample_options(**asked.settings)
        history = saved.history or 0
        return SteppedText(
            order,
            self.name,
            asked,
            lambda: Walk(network, history, editors, asked.label, asked.after),
            options,
            saved.vocabulary.junctions,
        )

    @cached_property
    def _targets(self) -> list[Target]:
        return self.model._shown_targets()[0]

    @cached_property
    def _shown(self) -> ShownModel:
        return self.model._shown()[0]

    @cached_property
    def _network(self) -> NumpyNetwork:
        """What steps are computed with.

        Raises:
            ConfigError: A page cannot show such a model.
        """
        refuse_unknown(self.model.saved)
        saved = self.model._voices  # Its steps may be those under a label.
        return NumpyNetwork(saved.config, saved.weights)

    def fit(self, asked: Completion) -> list[FittedSeed]:
        """The prompts as the model reads them.

        Raises:
            SamplingError: One is no source, and the model one of pairs.
        """
        return [self.model.fit_seed(prompt) for prompt in asked.prompts]

    def notices(self, seeds: Sequence[FittedSeed], options: SampleOptions) -> list[str]:
        """What of prompts and stop texts the model cannot read or write."""
        fit = self.model.fit_stop
        stops = [fit(stop, keep_going=options.keep_going) for stop in options.stop]
        notices = [*(seed.notice for seed in seeds), *(stop.notice for stop in stops)]
        shown = [told(marks_of(notice), in_fields) for notice in notices if notice is not None]
        return list(dict.fromkeys(shown))

    def texts(
        self, asked: Completion, seeds: Sequence[FittedSeed], order: Order
    ) -> tuple[list[ServedText], SampleOptions]:
        """The texts that a request asks for, in the order of OpenAI's choices.

        Text `k` of a request with a seed is text `k` of `Model.generate_many` with that `rng` and
        `exact`.

        Args:
            asked: The request.
            seeds: From `fit`.
            order: What its texts have in common.
        Raises:
            SamplingError: A setting is out of range, or no text keeps to the form.
            ConfigError: The model has no such neuron, or no counts.
        """
        model, count = self.model, len(seeds) * asked.count
        first = self._first_index(count) if asked.seed is None else 0
        options, steering = self._settled(asked)
        order.mixtures = self._open(options)
        network = seen_by(model.network_for(options), options)
        # What somebody can expect a second time is computed alone, and so is what the loop over
        # many rows does not know: steering, and the logits at each token.
        is_alone = asked.seed is not None or options.temperature == 0 or options.top_k == 1
        is_alone = is_alone or steering is not None or bool(asked.alternatives)
        many = None if is_alone else seen_by(model.network_for(options, together=True), options)
        level = model.vocabulary.level
        limit = None if level == "char" else (asked.tokens or self._limits.max_tokens)
        form = model.form_for(options)
        prompts = [
            ReadPrompt(
                network,
                seed.ids,
                model.saved.primer,
                NO_EDITS if steering is None else steering.edits_at(0, 1),
                asked.alternatives if asked.echo else None,
            )
            for seed in seeds
        ]
        texts = []
        for number in range(count):
            prompt = prompts[number // asked.count]
            generator = SymbolGenerator(options.rng, first + number)
            cursor = None
            if steering is not None:
                cursor = Cursor(steering, model.vocabulary, prompt.ids, options.end_text)
            texts.append(
                ServedText(
                    order,
                    number,
                    self.name,
                    prompt,
                    network,
                    options,
                    Stream(model.vocabulary, options, generator, prompt.ids, form, limit),
                    cursor=cursor,
                    alternatives=asked.alternatives or 0,
                    together=many,
                    kind=None if is_alone else (self.name, options),
                )
            )
        return texts, options

    def _open(self, options: SampleOptions) -> list[OpenMixture]:
        """The mixtures of labels that a text is written under, their weights made ready.

        They are in use, and counted, as long as anybody has what is returned.

        Raises:
            Refusal: They are too many.
        """
        if options.label is None:
            return []
        plan = parse_labels(options.label, self.model.labels)
        # Parts are counted first: a schedule of thousands has millions of places.
        mixtures = plan.mixtures() if len(plan.parts) <= MOST_PARTS else []
        if not 0 < len(mixtures) <= MOST_OF_REQUEST:
            raise Refusal(
                f"label has {len(plan.parts)} parts; a request has at most {MOST_OF_REQUEST} "
                f"different mixtures, in {MOST_PARTS} parts: leave some out",
                param="label",
            )
        plain = replace(options, label=None)
        with self._opening:
            keys = [tuple(sorted(mixture.shares.items())) for mixture in mixtures]
            if len({*self._in_use, *keys}) > MOST_IN_USE:
                gc.collect()  # What is done may wait to be collected.
            if len({*self._in_use, *keys}) > MOST_IN_USE:
                raise Refusal(
                    f"texts are being written under {len(self._in_use)} mixtures of labels, and "
                    f"this server keeps {MOST_IN_USE} at a time; ask again later",
                    status=429,
                    param="label",
                    code="rate_limit_exceeded",
                    retry_after=5,
                )
            found = []
            for key, mixture in zip(keys, mixtures, strict=True):
                opened = self._in_use.get(key)
                if opened is None:
                    opened = self._in_use[key] = OpenMixture(self.model._mixed(mixture.shares))
                opened.model.network_for(plain)
                found.append(opened)
        return found

    def _settled(self, asked: Completion) -> tuple[SampleOptions, Steering | None]:
        """The settings of a request's texts, as `textgen sample` has them, and what steers them."""
        model, settings = self.model, dict(asked.settings)
        settings["rng"] = self._rng if asked.seed is None else asked.seed
        is_listed = asked.listed.items is not None
        if asked.tokens is not None:
            counts_chars = is_listed or model.vocabulary.level == "char" or asked.tokens == 0
            settings["length"] = asked.tokens if counts_chars else _UNBOUNDED
        if settings.get("mix"):
            self._require_counts(settings.get("label"))
        options, steering = model.asked_for(asked.steer or None, settings)
        if asked.tokens is None:
            options = replace(options, length=min(options.length, self._limits.max_tokens))
        if "mix" not in settings:
            usual = self.mix(history=options.history, is_steered=steering is not None)
            options = replace(options, mix=bool(usual.value))
        return options, steering

    def items(self, asked: Completion, seed: FittedSeed) -> tuple[Items, SampleOptions]:
        """The items that a request asks for: with a seed those of `textgen sample`.

        Raises:
            SamplingError: The model knows no items, or a setting is out of range.
            Refusal: Its training text is needed, and is not at hand.
        """
        model, count = self.model, asked.listed.items
        assert count is not None
        options, _ = self._settled(asked)
        if asked.seed is None:
            options = replace(options, rng=secrets.randbits(64))
        settings = asdict(options)
        if asked.tokens is None:
            settings["length"] = self._limits.max_tokens
            # As in `textgen sample`: an item is at most as long as those of the training text.
            if longest_item(model.saved, options, None) <= self._limits.max_tokens:
                del settings["length"]
        refuse_no_items(model.saved, options)
        if asked.listed.how["new"]:
            self._require_known_items()
        steer = asked.steer or None
        opened = self._open(options)
        found = model.items(count, seed, **asked.listed.how, steer=steer, **settings)
        del opened
        return found, options

    def _require_counts(self, label: str | None) -> None:
        """Refuse to mix under a label, or where there are no counts.

        There is not a word on this machine's files.

        Raises:
            Refusal: There are none, or a label is asked for.
        """
        if label is not None:
            # Each mixture of labels has counts and a gate of its own, and requests name any.
            raise Refusal("mix does not go with label here; send one of them", param="mix")
        try:
            self.model.mixture()
        except TextgenError:
            raise Refusal(
                f"mix needs counts of the training text, and {self.name} has none here: "
                f"{self._usual_mix.reason}; leave it out",
                param="mix",
            ) from None

    def _require_known_items(self) -> None:
        """Refuse new items where nobody knows the old ones, without a word on this machine's files.

        Raises:
            Refusal: The training text is not at hand.
        """
        try:
            known_items(self.model.saved, None)
        except TextgenError:
            raise Refusal(
                f"new items are those that the training text of {self.name} does not have, and it "
                'is not at hand here; send "new": false to write items that stand in it, too',
                param="new",
            ) from None

    def _first_index(self, count: int) -> int:
        """The number of the first of some texts without a seed: no two draw the same numbers."""
        if self._next + count > INDEX_LIMIT:
            self._rng, self._next = secrets.randbits(64), 0
        self._next += count
        return self._next - count
