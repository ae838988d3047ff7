"""Settings out of range are refused where they are made, with the option's name."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import textgen.sampling
from textgen.errors import ConfigError, SamplingError
from textgen.sampling import SampleOptions, filter_logits


def test_defaults_filter_nothing_but_by_temperature():
    logits = np.array([0.1, -0.2, -np.inf, 3.0], np.float32)
    recent = np.array([0, 3])
    result = filter_logits(logits, SampleOptions(temperature=1.0), recent)
    np.testing.assert_array_equal(result, logits)


def test_the_defaults_that_texts_were_written_with_stay():
    before = {
        "length": 500,
        "temperature": 0.8,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "repetition_window": 64,
        "stop": (),
        "until_sentence": False,
        "until_end": False,
        "keep_going": False,
        "separator": "\n\n",
        "history": None,  # as in training
        "rng": 0,
    }
    now = dataclasses.asdict(SampleOptions())
    assert {name: now.get(name) for name in before} == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("length", -1),
        ("length", 1.5),
        ("length", True),
        ("top_k", -1),
        ("top_k", 2.0),
        ("repetition_window", 0),
        ("rng", -1),
        ("rng", 2**64),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "hot"),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", float("nan")),
        ("min_p", -0.01),
        ("min_p", 1.01),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", float("inf")),
        ("stop", ("",)),
        ("stop", "end"),
        ("stop", (1,)),
    ],
)
def test_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(SamplingError, match=name.replace("_", "[-_]")) as caught:
        SampleOptions(**{name: value})
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    "options",
    [
        {"length": 0, "temperature": 0, "top_k": 10**9, "top_p": 1e-9, "min_p": 1},
        {"rng": 2**64 - 1, "repetition_penalty": 0.5, "repetition_window": 1},
        {"temperature": np.float32(0.5), "stop": ["\n", "конец"]},
    ],
)
def test_borders_are_allowed(options):
    assert SampleOptions(**options).stop == tuple(options.get("stop", ()))


def test_package_needs_numpy_alone():
    code = (
        "import sys, textgen.sampling;"
        "print(sorted({'torch', 'typer', 'rich', 'tqdm', 'transformers'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def test_every_public_name_has_a_docstring():
    names = [name for name in vars(textgen.sampling) if not name.startswith("_")]
    public = [getattr(textgen.sampling, name) for name in names]
    public = [obj for obj in public if getattr(obj, "__module__", "").startswith("textgen.")]
    assert len(public) >= 20
    assert all((obj.__doc__ or "").strip() for obj in public)
