"""What a run keeps about itself in its resumable state, beside the plan: plain data, typed."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from textgen.checkpoint.model_info import MoreRecord
from textgen.corpus.corpus import CorpusRecord
from textgen.errors import CheckpointFormatError
from textgen.model.engine import PRECISIONS
from textgen.options import TrainOptions
from textgen.plain_data import Count, Figure, Some, from_plain, shown_key
from textgen.runtime import DEVICES, ChoiceRecord
from textgen.settings import Setting, settings_of
from textgen.version import UPGRADE


class VectorsRecord(TypedDict):
    """What a file of vectors was when the run began."""

    bytes: Count
    sha256: str


class RequestRecord(TypedDict):
    """What was asked for: the options by name, those on reading the text below `corpus`."""

    corpus: dict[str, Any]
    #: A share of the text, or a file.
    val: str
    vectors: NotRequired[str | None]


class RunRecord(TypedDict):
    """What a run was asked for, what was chosen for it, and what it found.

    What is not required is not in the records of older versions.
    """

    #: The texts; `-` is the standard input.
    paths: list[str]
    #: As `textgen.training.resume.request_of` makes it; see `options_of`.
    request: RequestRecord
    corpus: CorpusRecord
    choices: list[ChoiceRecord]
    command: str
    versions: dict[str, str]
    #: Of each process; of how many, in `processes`.
    threads: Some
    processes: NotRequired[Some]
    precision: Annotated[str, Setting(choices=PRECISIONS)]
    device: Annotated[str, Setting(choices=DEVICES)]
    again: NotRequired[str | None]
    vectors: NotRequired[VectorsRecord | None]
    path: NotRequired[str]
    parent: NotRequired[str | None]
    validation_history: NotRequired[Count | None]
    more: NotRequired[list[MoreRecord]]
    #: Of the best model on the validation text: nats a token, tokens, the share of unknown ones.
    final: NotRequired[tuple[Figure, Count] | tuple[Figure, Count, Figure | None]]
    #: The share of targets that were written exactly, and how many were tried.
    final_pairs: NotRequired[tuple[float, Count]]


def options_of(record: RunRecord) -> TrainOptions:
    """The options that a run was started with; those that it did not know have their default.

    Raises:
        CheckpointFormatError: A newer version began it, with options that are not known here.
        CheckpointCorruptError: An option has a value that it cannot have.
    """
    request = {name: value for name, value in record["request"].items() if name != "from"}
    known = {item.name for item in settings_of(TrainOptions)}
    if unknown := (set(request) | set(record["request"]["corpus"])) - known - {"corpus"}:
        raise CheckpointFormatError(
            "is of a run that a newer version of textgen began, with settings that this one does "
            f"not know ({', '.join(map(shown_key, sorted(unknown)))}); {UPGRADE}"
        )
    return from_plain(TrainOptions, request, "record.request")
