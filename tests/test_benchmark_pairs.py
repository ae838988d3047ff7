"""The tasks of `benchmarks/pairs.py` have the answers that they are said to have."""

from __future__ import annotations

import importlib.util
import random
from types import ModuleType

import pytest
from support.small_runs import ROOT


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pairs", ROOT / "benchmarks/pairs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("word", "latin"),
    [
        ("щука", "shchuka"),
        ("борщ", "borshch"),
        ("ель", "yel"),
        ("лес", "les"),
        ("моё", "moyo"),
        ("шёл", "shol"),
        ("поезд", "poyezd"),
        ("объект", "obyekt"),
        ("семья", "semya"),
        ("синий", "sini"),
        ("йод", "yod"),
        ("чай", "chay"),
        ("этюд", "etyud"),
        ("хроника", "khronika"),
    ],
)
def test_words_in_latin(benchmark: ModuleType, word: str, latin: str) -> None:
    assert benchmark.in_latin(word) == latin


def test_it_is_not_one_to_one(benchmark: ModuleType) -> None:
    """One letter is written in several ways, and two words in one."""
    assert benchmark.in_latin("ее") == "yeye" and benchmark.in_latin("те") == "te"
    assert benchmark.in_latin("угол") == benchmark.in_latin("уголь")


def test_every_letter_is_written(benchmark: ModuleType) -> None:
    for letter in "абвгдеёжзийклмнопрстуфхцчшщъыьэюя":
        assert benchmark.in_latin(f"а{letter}а").isascii()


def test_reversed(benchmark: ModuleType) -> None:
    assert benchmark.reversed_word("топор") == "ропот"


def test_words_are_different_and_the_same_each_time(benchmark: ModuleType) -> None:
    words = benchmark.word_list(5000)
    assert len(words) == len(set(words)) == 5000
    assert words == benchmark.word_list(5000)
    real = set(benchmark.words_of(benchmark.CORPUS.read_text("utf-8")))
    assert real < set(words)
    made = benchmark.made_up_words(sorted(real), 50, random.Random(0))
    assert len(set(made)) == 50 and all(benchmark.in_latin(word).isascii() for word in made)
