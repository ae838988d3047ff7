"""Labels as they are typed: one, a mixture, a schedule."""

from __future__ import annotations

import numpy as np
import pytest

from textgen.errors import ConfigError
from textgen.steering import LabelSteering, parse_labels
from textgen.steering.label_plan import schedule_error

LABELS = ("Austen", "Conan Doyle", "a:0.5", "x@y", "Doyle", "Doyle, A.", "Doyle, A., Sir")


@pytest.mark.parametrize(
    ("text", "char", "sentence", "shares"),
    [
        ("Austen", 0, 1, {"Austen": 1.0}),
        ("Conan Doyle", 900, 9, {"Conan Doyle": 1.0}),
        ("Austen:0.7,Conan Doyle:0.3", 5, 1, {"Austen": 0.7, "Conan Doyle": 0.3}),
        ("Austen:-1", 5, 1, {"Austen": -1.0}),
        ("Austen:1,Austen:.5", 5, 1, {"Austen": 1.5}),
        ("a:0.5", 5, 1, {"a:0.5": 1.0}),
        ("a:0.5:2,x@y:3", 5, 1, {"a:0.5": 2.0, "x@y": 3.0}),
        ("x@y@5..", 5, 1, {"x@y": 1.0}),
        ("Doyle, A.", 5, 1, {"Doyle, A.": 1.0}),
        ("Doyle, A.:0.5,Austen", 5, 1, {"Doyle, A.": 0.5, "Austen": 1.0}),
        ("Doyle, Austen", 5, 1, {"Doyle": 1.0, "Austen": 1.0}),
        ("Austen , Doyle, A., Sir@3.. ,Doyle:2", 2, 1, {"Austen": 1.0, "Doyle": 2.0}),
        ("Austen@0..5,Conan Doyle@5..", 4, 1, {"Austen": 1.0}),
        ("Austen@0..5,Conan Doyle@5..", 5, 1, {"Conan Doyle": 1.0}),
        ("Austen@s1..s3, Conan Doyle:0.5@s2..", 70, 2, {"Austen": 1.0, "Conan Doyle": 0.5}),
        ("Austen@0..5", 5, 1, {}),
        ("Austen:1000,Doyle:-1000", 5, 1, {"Austen": 1000.0, "Doyle": -1000.0}),
    ],
)
def test_what_acts_where(text: str, char: int, sentence: int, shares: dict[str, float]) -> None:
    plan = parse_labels(text, LABELS)
    assert plan.edit_at(char, sentence).shares == shares
    assert plan.is_constant == ("@" not in text or text == "x@y" or text.startswith("a:0.5:2"))


def test_what_steers_knows_when_it_changes() -> None:
    """And gives the same object for the same place, by which writers see that nothing changed."""
    plan = LabelSteering(parse_labels("Austen@0..5,Conan Doyle@9..", LABELS), None)
    assert [plan.next_change(char) for char in (0, 5, 9)] == [5, 9, None]
    assert plan.edits_at(0, 1) is plan.edits_at(4, 1) is not plan.edits_at(5, 1)
    both = LabelSteering(parse_labels("Austen@0..9", LABELS), plan)
    assert [both.next_change(char) for char in (0, 5, 9)] == [5, 9, None]
    assert not plan.counts_sentences
    assert LabelSteering(parse_labels("Austen@s2", LABELS), plan).counts_sentences
    assert parse_labels("Austen@s2,Doyle@5..", LABELS).counts_sentences


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Verne", r"no label 'Verne'; it has: 'Austen', 'Conan Doyle', 'Doyle', 'Doyle, A.', "),
        ("Austen:0.5,Verne:0.5", "no label 'Verne'"),
        ("Austen@later", "not a part of a text"),
        ("Austen:much", "'Austen:much' cannot be read"),
        ("Austen,Doyle, A.:much,Doyle", "'Doyle, A.:much' cannot be read"),
        ("Austen,", "no label ''"),
        ("Austen,Doyle, B.", "no label 'B.'"),
        (f"Austen:{'9' * 400}", "the share of Austen is inf; it must be in -1,000..1,000"),
        ("Austen,x@y:-1000.5", "the share of x@y is -1e.03"),
        ("", "no label ''"),
    ],
)
def test_what_is_wrong_is_said(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        parse_labels(text, LABELS)
    with pytest.raises(ConfigError, match="trained without labels; train one of several voices"):
        parse_labels("Austen", ())


def test_a_label_changes_no_state_by_itself() -> None:
    x_BH = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    edit = parse_labels("Austen:0.5", LABELS).edit_at(0, 1)
    np.testing.assert_array_equal(edit.apply(x_BH), x_BH)


def test_all_mixtures_that_hold_somewhere_are_known() -> None:
    """That of the beginning first, each once, by characters and by sentences."""

    def shares(text: str) -> list[dict[str, float]]:
        return [dict(edit.shares) for edit in parse_labels(text, LABELS).mixtures()]

    assert shares("Austen") == [{"Austen": 1.0}]
    assert shares("Austen@0..5,Doyle@5..") == [{"Austen": 1.0}, {"Doyle": 1.0}]
    both = {"Austen": 1.0, "Doyle": 1.0}
    assert shares("Austen,Doyle@s2..s3") == [{"Austen": 1.0}, both]
    assert shares("Doyle@3..5") == [{}, {"Doyle": 1.0}]
    assert shares("Doyle@1..") == [{}, {"Doyle": 1.0}] == shares("Doyle@s2..")


def test_a_schedule_of_labels_is_refused_in_words() -> None:
    assert "has a schedule, which counts written characters" in str(schedule_error("Austen@0..5"))
