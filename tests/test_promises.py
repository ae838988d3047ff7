"""The campaign of `benchmarks/promises`: every part runs, and a promise that is broken is seen."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.small_runs import ROOT

FOLDER = ROOT / "benchmarks/promises"


@pytest.fixture(scope="module")
def campaign() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests"))
        patch.syspath_prepend(str(FOLDER.parent))
        patch.syspath_prepend(str(FOLDER))
        import campaign

        yield campaign


#: Numbers of the parts that are there; those that make calls fail, cut the power, kill or race have
#: tests of their own in test_fault_trials.py.
FAULTS = (3, 4, 6, 8, 15)
NUMBERS = (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)


@pytest.mark.parametrize("number", [number for number in NUMBERS if number not in FAULTS])
def test_a_part_runs_and_its_promise_is_kept(campaign: ModuleType, number: int) -> None:
    [part] = [part for part in campaign.all_parts() if part.number == number]
    figure = campaign.run_apart(part, campaign.Effort(seconds=campaign.QUICK, is_quick=True))
    assert not figure.failures
    assert figure.tried or figure.not_run


def test_the_command_lists_the_parts() -> None:
    words = [sys.executable, str(FOLDER), "--list"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(NUMBERS)


def test_the_parts_fit_into_an_hour(campaign: ModuleType) -> None:
    parts = campaign.all_parts()
    assert sum(part.seconds for part in parts) <= campaign.MINUTES * 60
    assert all(set(part.needs) <= set(campaign.NEEDS) for part in parts)


def a_part(campaign: ModuleType, run: Any, **changed: Any) -> Any:
    fields = {"number": 99, "promise": "All is well.", "not_promised": "More.", "seconds": 1.0}
    return campaign.Part(**{**fields, "run": run, **changed})


def test_a_zero_is_told_with_its_bound(campaign: ModuleType) -> None:
    figure = campaign.Figure
    assert figure(tried=1000).share() == "0 of 1,000, below 0.30 % at 95 %"
    assert figure(tried=30).share() == "0 of 30, below 10 % at 95 %"
    assert figure(tried=2).share() == "0 of 2, below 100 % at 95 %"
    assert figure(tried=12, is_drawn=False).share() == "0 of 12, each case once"
    assert figure(tried=12, failures=("x",)).share() == "1 of 12"
    assert figure(tried=0).share() == "not run"


def test_a_part_that_raises_has_failed(campaign: ModuleType) -> None:
    def run(effort: Any) -> Any:
        raise OSError("no disk")

    figure = campaign.run_part(a_part(campaign, run), campaign.Effort(seconds=1.0, seed=5))
    assert not figure.is_kept
    assert "no disk" in figure.failures[0] and "--only 99 --seed 5" in figure.failures[0]


def test_what_is_missing_is_told_and_not_run(
    campaign: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(campaign.NEEDS, "wings", (lambda: False, "needs wings"))
    part = a_part(campaign, lambda effort: 1 / 0, needs=("wings",))
    figure = campaign.run_part(part, campaign.Effort(seconds=1.0))
    assert figure == campaign.Figure(tried=0, not_run=("needs wings",))
    page = campaign.page([part], {99: figure}, ["Head."])
    assert "| 99 | All is well. | not run |  |" in page and "Not run: needs wings." in page


def test_finished_parts_are_taken_from_the_lines(campaign: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    figure = {"tried": 7, "failures": ["x"], "not_run": [], "seconds": 2.0}
    settings = {"minutes": 1.0, "seed": 0}
    lines = [
        json.dumps({"part": 1, "settings": settings, "figure": figure}),
        json.dumps({"part": 2, "settings": {**settings, "seed": 1}, "figure": figure}),
        '{"part": 3, "sett',
    ]
    path.write_text("\n".join(lines))
    kept = campaign.kept_figures(path, settings)
    assert kept == {1: campaign.Figure(tried=7, failures=("x",), seconds=2.0)}
    assert campaign.kept_figures(tmp_path / "none", settings) == {}


def test_the_page_tells_what_failed_and_what_is_missing(campaign: ModuleType) -> None:
    parts = [a_part(campaign, None, number=number) for number in (1, 2)]
    failures = tuple(f"case {number}" for number in range(8))
    figure = campaign.Figure(tried=9, failures=failures, worst="3 s", text="Much.", seconds=61.2)
    page = campaign.page(parts, {2: figure}, ["Measured today."])
    assert "| 1 | All is well. | not run |  |\n| 2 | All is well. | 8 of 9 | 61 s |" in page
    assert "Not run: left out of this campaign." in page
    assert "Failed: case 4" in page and "Failed: case 5" not in page and "... and 3 more." in page
    assert "Failures: 8 of 9. Much." in page and "Worst case: 3 s." in page


@pytest.fixture
def checkout(campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign of two parts, of which the second one breaks its promise, on a clean commit."""
    parts = [a_part(campaign, None, number=number) for number in (1, 2)]
    ran: list[int] = []

    def apart(part: Any, effort: Any) -> Any:
        ran.append(part.number)
        return campaign.Figure(tried=3, failures=("it broke",) if part.number == 2 else ())

    monkeypatch.setattr(campaign, "all_parts", lambda file: parts)
    monkeypatch.setattr(campaign, "run_apart", apart)
    monkeypatch.setattr(campaign, "commit", lambda: ("abc", False))
    monkeypatch.setattr(campaign, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(campaign, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(campaign, "ran", ran, raising=False)
    return tmp_path


def test_a_campaign_goes_on_after_a_stop(
    campaign: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert campaign.main(["--only", "1"]) == 0
    assert "| 2 | All is well. | not run |" in (checkout / "page.md").read_text("utf-8")
    assert campaign.main([]) == 1  # The second promise is broken.
    assert campaign.ran == [1, 2]
    assert "| 2 | All is well. | 1 of 3 |" in (checkout / "page.md").read_text("utf-8")
    assert "FAILED: it broke" in capsys.readouterr().out
    assert campaign.main(["--only", "2", "--seed", "1"]) == 1
    assert campaign.ran == [1, 2, 2]


def test_figures_of_changed_files_are_not_kept(
    campaign: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "commit", lambda: ("abc", True))
    assert campaign.main(["--only", "1"]) == 0 == campaign.main(["--only", "1"])
    assert campaign.ran == [1, 1]
    assert list(checkout.iterdir()) == []


def test_quick_writes_nothing(campaign: ModuleType, checkout: Path) -> None:
    assert campaign.main(["--quick"]) == 1
    assert campaign.ran == [1, 2]
    assert list(checkout.iterdir()) == []


def test_tries_end_with_the_time(campaign: ModuleType) -> None:
    assert list(campaign.Effort(seconds=60.0).tries(3)) == [0, 1, 2]
    assert list(campaign.Effort(seconds=-1.0).tries()) == [0]
    assert list(campaign.Effort(seconds=-1.0).tries(5, least=2)) == [0, 1]


def test_code_that_a_file_could_run_is_seen(campaign: ModuleType) -> None:
    import no_code

    for line in ("subprocess.run(x, shell=True)", "import pickle", "torch.load(f)", "os.system(x)"):
        assert no_code.gates(ast.parse(line)), line
    assert not no_code.gates(ast.parse("subprocess.run(x, shell=False); json.load(f)"))


def test_a_file_that_is_taken_is_seen(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import no_code

    def opens(path: Path) -> None:
        if path.read_bytes()[:1] == b"#":
            Path("ran").mkdir()

    files = {"script": b"#!/bin/sh"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(no_code, "hostile_files", lambda sound: files)
    monkeypatch.setattr(no_code, "doors", lambda: {"open": opens})
    figure = no_code.try_promise(campaign.Effort(seconds=0.0))
    assert len(figure.failures) == 1 and "its code was run" in figure.failures[0]


@pytest.mark.parametrize("text", ["\x1b[2J", "\x07", "\x9b2J", "\u202e", "\r", "\u2028", "\ud800"])
def test_what_steers_a_terminal_is_seen(campaign: ModuleType, text: str) -> None:
    import code_points

    assert code_points.harm(f"a{text}b") == f"U+{ord(text[0]):04X}"
    assert not code_points.harm("aéжあ\n")


def test_draws_that_do_not_follow_the_softmax_are_seen(
    campaign: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import same_seed

    assert same_seed.p_value({}, 1, None, 2) > same_seed.LEAST
    true = same_seed.filter_logits
    monkeypatch.setattr(same_seed, "filter_logits", lambda x, o: 0.9 * true(x, o))
    assert same_seed.p_value({}, 1, None, 2) < same_seed.LEAST
    monkeypatch.setattr(same_seed, "filter_logits", lambda x, o: true(x, replace(o, top_k=2)))
    assert same_seed.p_value({}, 1, None, 1) == 0.0


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("print(1)", ""),
        ("raise ValueError", "a traceback"),
        ("print('\\x1b[1m')", "an escape"),
        ("raise SystemExit(9)", "the exit code 9"),
    ],
)
def test_a_command_that_ends_badly_is_seen(
    campaign: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    wrong: str,
) -> None:
    import strange_surroundings

    script = tmp_path / "program"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c \"{line}\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(strange_surroundings.sys, "executable", str(script))
    told = strange_surroundings.tried("version", "usual", "empty", "file", tmp_path / "case")
    assert told.startswith(wrong) and bool(told) == bool(wrong)


HASHED = {"a-b==1": ("0" * 64,), "c==2": ("1" * 64, "2" * 64)}


def test_a_package_that_is_not_pinned_is_seen(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import supply_chain

    assert supply_chain.unpinned(["A_b==1", "c==2"], HASHED) == []
    assert "does not pin c>=1" in supply_chain.unpinned(["c>=1"], HASHED)[0]
    assert "has no hash" in supply_chain.unpinned(["c==3"], HASHED)[0]
    assert supply_chain.is_free("BSD License") and supply_chain.is_free("MIT AND MPL-2.0")
    for said in ("LGPL-2.1-only", "GNU General Public License (GPL)", "MIT AND GPL-3.0", "", "?"):
        assert not supply_chain.is_free(said), said
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(supply_chain.CONSTRAINTS.read_text("utf-8").split("rich==")))
    monkeypatch.setattr(supply_chain, "CONSTRAINTS", constraints)
    monkeypatch.setattr(supply_chain, "licence", lambda package: "GPL" if package.version else "")
    figure = supply_chain.try_promise(campaign.Effort(seconds=0.0))
    assert any("rich is not pinned" in failure for failure in figure.failures)
    assert any("numpy has the licence 'GPL'" in failure for failure in figure.failures)


def test_another_archive_and_a_known_weakness_are_seen(campaign: ModuleType) -> None:
    import supply_chain

    def taken(name: str, version: str, digest: str) -> dict[str, Any]:
        info = {"archive_info": {"hashes": {"sha256": digest * 64}}}
        return {"metadata": {"name": name, "version": version}, "download_info": info}

    report = {"install": [taken("A.b", "1", "0"), taken("c", "2", "3"), taken("c", "2+cpu", "4")]}
    wrong, others = supply_chain.strange_archives(report, HASHED)
    assert len(wrong) == 1 and "c==2" in wrong[0] and others == ["c==2+cpu"]
    audit = [
        {"name": "a", "version": "1", "vulns": []},
        {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}]},
        {"name": "c", "skip_reason": "not found"},
    ]
    found, looked_up, skipped = supply_chain.weaknesses({"dependencies": audit})
    assert found == ["b 2 has the known weakness CVE-1"] and (looked_up, skipped) == (2, 1)


def test_an_index_that_does_not_answer_is_told(campaign: ModuleType, tmp_path: Path) -> None:
    import supply_chain

    words = [sys.executable, "-c", "import sys; sys.exit('no network')"]
    assert supply_chain._asked(words, tmp_path / "none") == (None, "no answer: no network")
