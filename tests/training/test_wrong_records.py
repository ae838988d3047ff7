"""The state of a run that is well-formed and wrong gives one error, which names the key.

`support.mutations` has every change of every file; here are some of each kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.mutations import (
    VALUES,
    campaign,
    kept,
    make_run,
    mutations,
    own_folder,
    places,
    prepare,
    run,
    tensor_mutations,
)

import textgen
from textgen.checkpoint.format import read_file, write_file
from textgen.errors import CheckpointCorruptError, CheckpointError
from textgen.training.folder import RunState, read_reports

#: Values by which nothing of a run can be replaced, whatever it is.
WRONG = ("object of null", "list of list")
#: What any value may be, or nothing looks at.
FREE = ("value", "reason", "versions", "dtype", "utf8_bytes")


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A folder with a run that was stopped."""
    with own_folder() as folder:
        make_run("char", folder / "char")
        yield folder


@pytest.fixture
def resume(base: Path) -> Iterator[Path]:
    """The state of a run, as it was written."""
    restore = kept(base / "char")
    yield base / "char" / "resume.safetensors"
    restore()


def changed(path: Path, *keys: str, value: Any) -> None:
    """Write the file with another value at a place of its header."""
    header, tensors = read_file(path, kind="resume")
    inner: Any = header
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    write_file(path, kind="resume", header=header, tensors=tensors)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("plan.model.num_layers", 2**32, "plan.model.num_layers is 4294967296; it must be"),
        ("plan.seq_len", 10**30, "plan.seq_len is 1000000000000"),
        ("plan.seq_len", 10**5, "plan.seq_len is 100,000, and the text has"),
        ("plan.steps", 10**13, "plan.steps is 10000000000000; it must be at least 1 and at most"),
        ("plan.optimizer.weight_decay", float("inf"), "plan.optimizer.weight_decay is inf"),
        ("plan.rng", -1, "plan.rng is -1"),
        ("record.threads", 0.5, "record.threads is 0.5; it must be a whole number"),
        ("record.threads", 0, "record.threads is 0; it must be at least 1"),
        ("record.threads", 10**12, "threads is 1,000,000,000,000; this machine has"),
        ("record.device", "gpu", "record.device is 'gpu'; it must be one of"),
        ("record.corpus.keys", ["a"], "record.corpus.keys is ['a']; it must be a list of 2"),
        ("record.request.dropout", "x", "record.request.dropout is 'x'; it must be a finite"),
        ("record.request.corpus.min_count", 0, "min_count is 0; it must be at least 1"),
        ("record.request.loss", "none", "loss is 'none'; it must be one of"),
        ("progress.step", 10**6, "progress.step is 1,000,000; it must lie between"),
        ("progress.best_step", 4, "progress.best_step is 4, more than the 3 steps taken"),
        ("progress.best_nats", None, "tensor 'best."),
        ("progress.seconds", float("nan"), "progress.seconds is nan"),
        ("primer", [10**6], "the primer holds 1000000"),
        ("vocabulary", {"level": "byte"}, "the vocabulary has 245 symbols"),
    ],
)
def test_a_wrong_value_is_one_error(resume: Path, place: str, value: Any, told: str) -> None:
    changed(resume, *place.split("."), value=value)
    with pytest.raises(CheckpointError) as caught:
        textgen.train(resume.parent, resume=True)
    assert str(caught.value).startswith(str(resume)) and told in str(caught.value)


def test_every_key_is_named(resume: Path) -> None:
    """Each value of the header, replaced by some that it can never be."""
    header, tensors = read_file(resume, kind="resume")
    told = 0
    for at in places(header):
        if set(at) & set(FREE) or at[:2] == ("record", "request"):
            continue
        for what in WRONG:
            wrong = dict(mutations_of(header, at))[what]
            write_file(resume, kind="resume", header=wrong, tensors=tensors)
            try:
                RunState.load(resume)
            except CheckpointCorruptError as error:
                told += 1
                key = next(part for part in reversed(at) if isinstance(part, str))
                assert at[0] in str(error) and key in str(error), (at, error)
    assert told > 150


def mutations_of(header: Any, at: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """The header with each of `VALUES` at one place."""
    for what, value in VALUES.items():
        if what in WRONG:
            copied = json.loads(json.dumps(header))
            inner = copied
            for key in at[:-1]:
                inner = inner[key]
            inner[at[-1]] = value
            yield what, copied


@pytest.mark.parametrize("name", ["model.head.bias", "optimizer.head.bias.exp_avg", "state.0.h"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(resume: Path, name: str, number: float) -> None:
    header, tensors = read_file(resume, kind="resume")
    tensors[f"train.{name}"].reshape(-1)[-1] = number
    write_file(resume, kind="resume", header=header, tensors=tensors)
    with pytest.raises(CheckpointCorruptError, match=f"'train.{name}' holds numbers that are not"):
        RunState.load(resume)


def test_wrong_tensors_are_refused(resume: Path) -> None:
    header, tensors = read_file(resume, kind="resume")
    for what, wrong in list(tensor_mutations(tensors))[::4]:
        if what.endswith(("3e+38", "0.0", "-1.0")):
            continue
        if what.startswith("train.counters") and what.endswith(("nan", "inf")):
            continue
        write_file(resume, kind="resume", header=header, tensors=wrong)
        with pytest.raises(CheckpointCorruptError):
            RunState.load(resume)


def test_a_sum_of_losses_that_is_not_finite_is_read(resume: Path) -> None:
    """Finite losses may have a sum that is not: the report then says so."""
    header, tensors = read_file(resume, kind="resume")
    tensors["train.counters"][0] = np.inf
    write_file(resume, kind="resume", header=header, tensors=tensors)
    assert RunState.load(resume).tensors["counters"][0] == np.inf


def test_a_text_in_other_symbols_is_not_read_for_the_run(resume: Path, base: Path) -> None:
    """Its tokens would lie beyond the network's."""
    other = textgen.train(text="abcdefgh" * 90, out=base / "other", steps=1, hidden_size=3)
    theirs, _ = read_file(Path(other.folder) / "resume.safetensors", kind="resume")
    changed(resume, "record", "corpus", "keys", value=theirs["record"]["corpus"]["keys"])
    assert textgen.train(resume.parent, resume=True).ended.step == 4


@pytest.mark.parametrize(
    "line",
    [b"", b"\xff\xfe", b"null", b"[]", b"{", b'{"step": 1}', b'{"event": "report"}', b"[" * 10**5],
    ids=lambda line: repr(line[:20]),
)
def test_a_line_that_is_no_report_is_left_out(resume: Path, line: bytes) -> None:
    """It made training fail at its end, where the curve is drawn."""
    path = resume.parent / "metrics.jsonl"
    before = path.read_bytes()
    assert len(read_reports(path.parent)) == 1
    path.write_bytes(line + b"\n" + before)
    assert len(read_reports(path.parent)) == 1
    assert run(["train", str(resume.parent), "--resume", "--quiet"]).kind == "accepted"
    assert len(read_reports(path.parent)) == 2 == len(path.read_bytes().splitlines())


@pytest.mark.slow
def test_some_of_all_files_that_are_wrong() -> None:
    """A small share of what `support.mutations` tries: none is a defect, none takes long."""
    ends: dict[str, int] = {}
    with own_folder() as folder:
        prepare(folder)
        for group, case in list(campaign(folder))[::499]:
            case.write()
            end = run(case.words)
            assert end.kind != "defect", (group, case.what, case.words, end)
            ends[end.kind] = ends.get(end.kind, 0) + 1
    assert ends["refused"] > ends["other"] and ends["accepted"] > 0


def test_the_changes_are_many_and_different() -> None:
    data = {"a": {"b": 1, "c": [1, 2, 3, 4, 5, 6]}, "d": "x"}
    every = [json.dumps(new, sort_keys=True) for _, new in mutations(data)]
    assert len(every) > 150 and len(set(every)) > 0.9 * len(every)
    assert json.dumps(data, sort_keys=True) not in every
