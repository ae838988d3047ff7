"""`textgen.blend`: several models from files write one text."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.exact_path import in_float32
from support.small_runs import SMALL, names, russian_text, textgen_cli

import textgen
from textgen.errors import ConfigError, SamplingError
from textgen.model.head import log_softmax
from textgen.sampling.networks import start

RIVERS = ["Volga", "Don", "Ob", "Lena", "Rhine", "Elbe", "Oder", "Tiber", "Loire", "Neva"] * 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], textgen.Model]:
    folder = tmp_path_factory.mktemp("blend")
    texts = {"names": "\n".join(names()), "rivers": "\n".join(RIVERS), "prose": russian_text(2000)}
    made = {}
    for name, text in texts.items():
        how = {} if name == "prose" else {"documents": "line"}
        (folder / f"{name}.txt").write_text(text, "utf-8")
        path = folder / f"{name}.txt"
        result = textgen.train(path, out=folder / name, steps=60, rng=1, **SMALL, **how)
        made[name] = result.load()
        with in_float32():
            # What it samples with is chosen here, and kept.
            assert made[name].networks.one and made[name].networks.many
    return made.__getitem__


def test_probabilities_are_the_weighted_sum(models) -> None:
    first, second = models("names"), models("rivers")
    both = textgen.blend(first, second, weights=[3, 1])
    assert [part.weight for part in both.members] == [0.75, 0.25]
    options = both.sample_options()
    text = "No"
    found = start(both.network_for(options), both.encode(text)).logits_BV[0]
    for symbol, token in both.vocabulary.symbol_index().items():
        expected = 0.0
        for model, weight in ((first, 0.75), (second, 0.25)):
            logits_V = start(model.networks.one, model.fit_seed(text).ids).logits_BV[0]
            own = model.vocabulary.symbol_index().get(symbol)
            if own is not None:
                expected += weight * float(np.exp(log_softmax(logits_V)[own]))
        assert np.exp(found[token]) == pytest.approx(expected, rel=1e-5), symbol


def test_it_writes_as_a_model_does(models) -> None:
    both = textgen.blend(models("names"), models("rivers"))
    texts = both.generate_many(6, "No", rng=2, temperature=0.7, top_p=0.9)
    assert [text.text for text in texts] == [
        text.text for text in both.generate_many(6, "No", rng=2, temperature=0.7, top_p=0.9)
    ]
    assert both.generate("No", rng=2, temperature=0.7, top_p=0.9) == "No" + texts[0].text
    # Both know where an item ends, so a text is one.
    assert both.sample_options().until_end
    assert {text.finish_reason for text in texts} == {"end"}
    assert both.bits_per_char(texts[0].ids, seed="No") == pytest.approx(texts[0].bits_per_char)
    writer = both.writer(length=5)
    writer.feed("No")
    assert len(list(writer.write())) <= 6
    again = pickle.loads(pickle.dumps(both))
    assert again.generate("No", rng=2, temperature=0.7, top_p=0.9) == "No" + texts[0].text
    assert str(both.members[0].model.path) in both.headline


def test_items_stand_in_none_of_the_training_texts(models, tmp_path: Path) -> None:
    for name, text in {"names": names(), "rivers": RIVERS}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(text), "utf-8")
    how = {"documents": "line", "steps": 1, "hidden_size": 4}
    made = [textgen.train(tmp_path / f"{name}.txt", out=tmp_path / name, **how).load()
            for name in ("names", "rivers")]  # fmt: skip
    # In the cache, each in the symbols of its own model.
    tokens = textgen.blend(*made)._training_tokens(None)
    both = textgen.blend(models("names"), models("rivers"), weights=[0.3, 0.7])
    assert set(both.vocabulary.decode(tokens, end="\n").split("\n")) == {"", *names(), *RIVERS}
    items = both.items(20, chars="2..4", novelty_corpus=tmp_path)
    assert len(set(items.texts)) == 20
    assert not set(items.texts) & {*names(), *RIVERS}
    assert set(both.items(400, chars="2..4", new=False, temperature=0.5).texts) & set(RIVERS)


def test_each_model_sees_the_text_as_in_training(models, tmp_path: Path) -> None:
    short = textgen.train(
        text=russian_text(2000), out=tmp_path / "short", steps=20, history=4, hidden_size=8
    ).load()
    both = textgen.blend(models("prose"), short)
    network = both.network_for(both.sample_options())
    texts = ["вчера утром", "однажды утром"]
    # What stands further back moves the first model alone.
    found = [np.exp(start(network, both.encode(text)).logits_BV[0]) for text in texts]
    own = [np.exp(log_softmax(start(models("prose").networks.one, models("prose").encode(text))
                              .logits_BV[0])) for text in texts]  # fmt: skip
    np.testing.assert_allclose(found[0] - found[1], 0.5 * (own[0] - own[1]), atol=1e-6)
    # With 0 each sees all of it, whatever it was trained with.
    network = both.network_for(both.sample_options(history=0))
    carried = [np.exp(start(network, both.encode(text)).logits_BV[0]) for text in texts]
    assert np.abs((carried[0] - carried[1]) - (found[0] - found[1])).max() > 1e-4
    assert both.generate("вчера", history=2, length=20)
    assert "sees a fixed number" in both.choose_mix().reason
    with pytest.raises(SamplingError, match="history=0"):
        both.generate("вчера", mix=True)
    assert len(both.generate("вчера", mix=True, history=0, mix_order=2, length=10)) == 5 + 10


@pytest.mark.parametrize(
    ("names", "settings", "error"),
    [
        (["names"], {}, "1 model was named"),
        (["names", "rivers"], {"weights": [1.0]}, "has 1 number, and there are 2 models"),
        (["names", "rivers"], {"weights": [1.0, 0.0]}, "must be a number above 0"),
        (["names", "rivers"], {"weights": [1.0, float("nan")]}, "must be a number above 0"),
    ],
)
def test_what_is_refused(models, names, settings, error) -> None:
    with pytest.raises(ConfigError, match=error):
        textgen.blend(*map(models, names), **settings)


def test_several_are_not_steered(models) -> None:
    both = textgen.blend(models("names"), models("rivers"))
    with pytest.raises(SamplingError, match="a neuron belongs to one model"):
        both.generate(steer="0:1=+2")


def test_a_label_is_one_of_each_model(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tab ab ab\nb\tba ba ba\n" * 20, "utf-8")
    how = {"label_from": "column", "steps": 20, "hidden_size": 8}
    one = textgen.train(tmp_path / "t.tsv", out=tmp_path / "one", rng=1, **how).load()
    two = textgen.train(tmp_path / "t.tsv", out=tmp_path / "two", rng=2, **how).load()
    both, ids = textgen.blend(one, two, weights=[1, 3]), one.encode("ab").tolist()
    found = start(both.network_for(both.sample_options(label="a")), ids).logits_BV[0]
    own = [start(model.labelled("a").networks.one, ids).logits_BV[0] for model in (one, two)]
    first, second = (np.exp(log_softmax(logits_V)) for logits_V in own)
    np.testing.assert_allclose(np.exp(found), 0.25 * first + 0.75 * second, rtol=1e-5)
    with pytest.raises(ConfigError, match="has a schedule"):
        both.generate(label="a@s1,b@s2..")
    with pytest.raises(ConfigError, match="c"):
        both.generate(label="c")


def test_the_command_writes_with_several_models(models) -> None:
    paths = [str(models(name).path) for name in ("names", "rivers")]
    both = ("--checkpoint", paths[0], "--checkpoint", paths[1])
    how = ("--weights", "0.7,0.3", "--seed", "No", "--count", "3", "--rng", "2", "--no-mix")
    result = textgen_cli("sample", *both, *how, "--json")
    record = json.loads(result.stdout)
    told = record["blend"]
    assert [(own["checkpoint"], own["weight"]) for own in told["models"]] == [
        (paths[0], pytest.approx(0.7)),
        (paths[1], pytest.approx(0.3)),
    ]
    assert told["alternate"] is False
    assert told["models"][1]["lacking"]["J"] == ""
    blend = textgen.blend(*paths, weights=[0.7, 0.3])
    expected = [text.text for text in blend.generate_many(3, "No", rng=2)]
    assert [sample["generated"] for sample in record["samples"]] == expected
    result = textgen_cli("sample", *both, *how)
    assert result.stdout == "".join(f"No{text}\n" for text in expected)
    assert f"70.0 % of the probability: {paths[0]}" in result.stderr
    result = textgen_cli("sample", *both, "--alternate", "--quiet", "--no-mix")
    assert result.stdout == textgen.blend(*paths, alternate=True).generate()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--weights", "0.7,x"), "--weights is '0.7,x'; it must be like --weights 0.7,0.3"),
        (("--weights", "1,2,3"), "--weights has 3 numbers, and there are 2 models"),
        (("--steer", "0:1=+2"), "--steer does not go with several models"),
        (("--adapt", "x.txt"), "--adapt does not go with several models"),
        (("--novelty",), "name a folder with all of them: --novelty-corpus PATH"),
    ],
)
def test_what_the_command_refuses_with_several(models, words, error) -> None:
    paths = [models(name).path for name in ("names", "rivers")]
    result = textgen_cli("sample", "--checkpoint", paths[0], "--checkpoint", paths[1], *words)
    assert result.exit_code != 0
    assert error in result.stderr


@pytest.mark.parametrize("words", [("--weights", "1"), ("--alternate",)])
def test_what_one_model_needs_not(models, words) -> None:
    result = textgen_cli("sample", "--checkpoint", models("names").path, *words)
    assert result.exit_code != 0
    assert f"{' '.join(words)} goes with several models" in result.stderr


def test_counts_are_mixed_into_each_model(tmp_path: Path) -> None:
    made = []
    for number, text in enumerate((russian_text(3000), russian_text(3000, seed=1))):
        (tmp_path / f"{number}.txt").write_text(text, "utf-8")
        how = {"out": tmp_path / str(number), "steps": 5, "hidden_size": 8}
        made.append(textgen.train(tmp_path / f"{number}.txt", **how).load())
    both, text = textgen.blend(*made, weights=[0.2, 0.8]), "вчера утр"
    options = both.sample_options(mix=True, mix_order=3)
    found = np.exp(start(both.network_for(options), both.encode(text)).logits_BV[0])
    letter, expected = "о", 0.0
    for model, weight in zip(made, (0.2, 0.8), strict=True):
        network = model.network_for(model.sample_options(mix=True, mix_order=3))
        logits_V = start(network, model.encode(text)).logits_BV[0]
        token = model.vocabulary.symbol_index()[letter]
        expected += weight * float(np.exp(log_softmax(logits_V)[token]))
    assert found[both.vocabulary.symbol_index()[letter]] == pytest.approx(expected, rel=1e-4)
    assert len(both.generate(mix=True, mix_order=3, length=30)) == 30
    paths = [word for model in made for word in ("--checkpoint", str(model.path))]
    result = textgen_cli("sample", *paths, "--length", "20", "--mix", "--json")
    assert [len(json.loads(result.stdout)[key]) for key in ("mix", "samples")] == [2, 1]
