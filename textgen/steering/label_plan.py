"""Under which labels a text is written: one, a mixture, or a schedule of them.

    Chekhov                   all of the text
    Chekhov:0.7,Gogol:0.3     both vectors, by these shares
    Chekhov@0..200,Gogol@200..    one after the other; spans as in `parse_span`

Shares are factors of the labels' vectors and need not add up to 1: 0.5 is half the way from no
label to the label, 1.5 goes beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textgen.errors import ConfigError, named
from textgen.messages import call
from textgen.model.edit import Edit, Edits
from textgen.steering.intervention import Steering
from textgen.terminal.humanize import quoted
from textgen.text_spans import ALWAYS, Span, parse_span

#: What may stand after a name, up to the next one. No two runs of digits meet in it.
_REST = re.compile(
    r"(?::(?P<share>[-+−]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)))?(?:@(?P<span>[^,]*))?\s*(?P<more>,|\Z)"
)
#: What stands right after a name, which may have such signs in it.
_NAME_ENDS = re.compile(r"[:@]|\s*(?:,|\Z)")
#: The largest share: beyond it weights would no longer be numbers.
MOST_SHARE = 1000.0


@dataclass(frozen=True)
class LabelPart:
    """A label, its share and when it acts."""

    name: str
    share: float = 1.0
    span: Span = ALWAYS


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelEdit(Edit):
    """Says under which mixture a state is made, and changes nothing by itself.

    Args:
        shares: The mixture.
    """

    shares: Mapping[str, float]


class LabelPlan:
    """The labels of a text, fixed before it is written.

    Args:
        parts: Where several act at the same time, their vectors are added.
    """

    def __init__(self, parts: Sequence[LabelPart]) -> None:
        self.parts = tuple(parts)
        self._known: dict[tuple[int, ...], LabelEdit] = {}

    @property
    def is_constant(self) -> bool:
        """Whether the mixture is the same for all of the text."""
        return all(part.span == ALWAYS for part in self.parts)

    @property
    def counts_sentences(self) -> bool:
        """Whether one of them is scheduled by sentences."""
        return any(part.span.by_sentence for part in self.parts)

    def edit_at(self, char: int, sentence: int) -> LabelEdit:
        """The mixture under which a character is chosen; the same object for the same one."""
        active = tuple(
            number for number, part in enumerate(self.parts) if part.span.holds(char, sentence)
        )
        if active not in self._known:
            shares: dict[str, float] = {}
            for part in (self.parts[number] for number in active):
                shares[part.name] = shares.get(part.name, 0.0) + part.share
            same = (known for known in self._known.values() if known.shares == shares)
            self._known[active] = next(same, None) or LabelEdit(
                layer=0, state="h", scale=1.0, shift=0.0, unit=0, shares=shares
            )
        return self._known[active]

    def mixtures(self) -> list[LabelEdit]:
        """All mixtures that may hold somewhere, each once; the first is that of the beginning."""
        chars, sentences = {0}, {1}
        for span in (part.span for part in self.parts):
            borders = sentences if span.by_sentence else chars
            borders |= {place for place in (span.start, span.stop) if place is not None}
        found = [
            self.edit_at(char, number) for char in sorted(chars) for number in sorted(sentences)
        ]
        return list({id(edit): edit for edit in found}.values())

    def next_change(self, char: int) -> int | None:
        """The next border of a span after `char`."""
        borders = (part.span.next_border(char) for part in self.parts)
        return min((border for border in borders if border is not None), default=None)


class LabelSteering:
    """What steers a text whose labels follow a schedule; a `Steering`.

    Args:
        labels: The schedule.
        steering: What else steers the text; None: nothing.
    """

    def __init__(self, labels: LabelPlan, steering: Steering | None) -> None:
        self._labels, self._steering = labels, steering
        self._known: dict[tuple[int, int], Edits] = {}

    @property
    def counts_sentences(self) -> bool:
        """Whether it asks for the number of the sentence."""
        inner = self._steering
        return self._labels.counts_sentences or (inner is not None and inner.counts_sentences)

    def edits_at(self, char: int, sentence: int) -> Edits:
        """What acts on the state that a character is chosen from; the same object for the same."""
        label = self._labels.edit_at(char, sentence)
        edits = () if self._steering is None else self._steering.edits_at(char, sentence)
        return self._known.setdefault((id(label), id(edits)), (*edits, label))

    def next_change(self, char: int) -> int | None:
        """The first character after `char` at which other edits may act, sentences apart."""
        borders = [self._labels.next_change(char)]
        if self._steering is not None:
            borders.append(self._steering.next_change(char))
        return min((border for border in borders if border is not None), default=None)


def schedule_error(label: str) -> ConfigError:
    """The error where labels with a schedule are given, and one is needed that stays."""
    return ConfigError(
        f"{named('label', label)} has a schedule, which counts written characters; give one label "
        "or one mixture, without @"
    )


def parse_labels(text: str, labels: Sequence[str]) -> LabelPlan:
    """Read the labels of a text as they are typed: `NAME[:SHARE][@SPAN],...`.

    Args:
        text: What was typed. The whole name of a label is that label, whatever signs it has.
        labels: Those of the model.
    Raises:
        ConfigError: It cannot be read, or the model has no such label.
    """
    if not labels:
        raise ConfigError(
            f"{named('label', text)}: this model was trained without labels; train one of several "
            f"voices: {call('train', 'FOLDER', label_from='folder')}"
        )
    if text in labels:
        return LabelPlan([LabelPart(text)])
    parts: list[LabelPart] = []
    rest: str | None = text
    while rest is not None:
        part, rest = _first_part(rest.lstrip(), text, labels)
        parts.append(part)
    return LabelPlan(parts)


def _first_part(text: str, whole: str, labels: Sequence[str]) -> tuple[LabelPart, str | None]:
    """The first label of a mixture, and what stands after its comma; None: it was the last."""
    # A name may have signs in it, so the longest that fits is meant.
    fitting = [
        name for name in labels if text.startswith(name) and _NAME_ENDS.match(text, len(name))
    ]
    name = max(fitting, key=len, default="")
    match = _REST.match(text, len(name))
    if not name or match is None:
        part = name + text[len(name) :].partition(",")[0].rstrip()
        bare = part.partition("@")[0].partition(":")[0]
        wrong = f"'{part}' cannot be read" if name else f"the model has no label '{bare:.60}'"
        raise ConfigError(
            f"{named('label', whole)}: {wrong}; it has: {quoted(sorted(labels))}. Mix them "
            "by shares (A:0.7,B:0.3), or change them on the way (A@0..200,B@200..)"
        )
    share = 1.0 if match["share"] is None else float(match["share"].replace("−", "-"))
    if abs(share) > MOST_SHARE:
        raise ConfigError(
            f"{named('label', whole)}: the share of {name} is {share:.3g}; it must be in "
            f"-{MOST_SHARE:,.0f}..{MOST_SHARE:,.0f}, and 1 is the label itself"
        )
    span = ALWAYS if match["span"] is None else parse_span(match["span"].rstrip())
    return LabelPart(name, share, span), text[match.end() :] if match["more"] else None
