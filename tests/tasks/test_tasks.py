"""Generated tasks: the answer is right, uniform, and nowhere in the filler."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from textgen.errors import ConfigError
from textgen.tasks import (
    LENGTH,
    LETTERS,
    NAMES,
    RESTS,
    TASKS,
    GeneratedTask,
    count_prompt,
    filler,
    get_task,
)

EACH = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


def rest_of(prompt: str) -> int:
    """What is left, read off a prompt of `count` as a person would."""
    total, *parts = re.findall(r"\d+(?:\*\d+)?", prompt)
    left = int(total)
    for part in parts:
        first, _, second = part.partition("*")
        left -= int(first) * int(second or 1)
    return left


@EACH
def test_the_same_seed_draws_the_same(task: GeneratedTask) -> None:
    first, again, other = (list(task.examples(20, range(1, 9), seed=s)) for s in "aab")
    assert first == again != other


@EACH
@pytest.mark.parametrize("lag", [1, 2, 17, 200])
def test_the_lag_is_that_of_the_filler(task: GeneratedTask, lag: int) -> None:
    """However long the lag, everything else is as long as before."""
    kept = {"recall": 4 + 1, "copy": LENGTH + 1}
    for example in task.examples(50, range(lag, lag + 1), seed="lag"):
        if task.name == "count":
            numbers = re.findall(r"^\d+| -\d(?:\*\d)?", example.prompt)
            assert len(example.prompt) - len("".join(numbers)) - 1 == lag
        else:
            assert len(example.prompt) - kept[task.name] == lag
        assert "\t" not in example.prompt and "\n" not in example.prompt


@EACH
def test_the_answer_stands_at_the_beginning_alone(task: GeneratedTask) -> None:
    for example in task.examples(500, range(1, 60), seed="answers"):
        if task.name == "count":
            assert rest_of(example.prompt) == int(example.answer)
        else:
            assert example.prompt.startswith(example.answer)
            assert example.answer not in example.prompt[len(example.answer) :]


def test_the_forty_boys() -> None:
    prompt = count_prompt(40, ["4", "4*4", "4*4"], [" boys", " went", " and", " they"])
    assert prompt == "40 boys -4 went -4*4 and -4*4 they?"
    assert rest_of(prompt) == 40 - (4 + 4 * 4 + 4 * 4) == 4


@pytest.mark.parametrize("name", ["recall", "count"])
def test_chance_is_what_a_guess_gets(name: str) -> None:
    """The answer is uniform, so every constant answer is as good: within four standard errors."""
    task, count = get_task(name), 20_000
    counts = Counter(e.answer for e in task.examples(count, range(1, 2), seed="chance"))
    assert len(counts) == round(1 / task.chance)
    error = (count * task.chance * (1 - task.chance)) ** 0.5
    for found in counts.values():
        assert abs(found - count * task.chance) < 4.5 * error


def test_letters_to_copy_are_uniform() -> None:
    """Each letter at each place; all strings are too many to count."""
    task, count = get_task("copy"), 8000
    assert task.chance == len(LETTERS) ** -LENGTH
    answers = [e.answer for e in task.examples(count, range(1, 2), seed="chance")]
    for place in range(LENGTH):
        counts = Counter(answer[place] for answer in answers)
        assert set(counts) == set(LETTERS)
        assert max(counts.values()) < count / len(LETTERS) + 4.5 * (count / len(LETTERS)) ** 0.5


def test_chance_names_all_answers() -> None:
    assert get_task("recall").chance == 1 / len(NAMES)
    assert get_task("count").chance == 1 / RESTS
    assert len({len(name) for name in NAMES}) == 1


def test_filler_has_words_of_the_length_asked() -> None:
    rng = random.Random(0)
    texts = [filler(rng, 40) for _ in range(50)]
    assert {len(text) for text in texts} == {40}
    assert len(set(texts)) == 50
    assert all(text.startswith(" ") and not re.search(r"\d", text) for text in texts)
    assert filler(rng, 0) == ""


def test_questions_are_not_those_that_were_learned() -> None:
    task = get_task("recall")
    learned = frozenset(e.prompt for e in task.examples(3000, range(8, 9), seed="train"))
    fresh = list(task.examples(300, range(8, 9), seed="test"))
    apart = list(task.examples(300, range(8, 9), seed="test", unlike=learned))
    assert any(example.prompt in learned for example in fresh)
    assert not any(example.prompt in learned for example in apart)


def test_wrong_names_and_lags() -> None:
    with pytest.raises(ConfigError, match="choose one of: recall, count, copy"):
        get_task("remember")
    with pytest.raises(ConfigError, match="at least 1"):
        list(get_task("copy").examples(1, range(3), seed=""))
