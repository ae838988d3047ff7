"""The campaign of `benchmarks/promises`: every part runs, and a promise that is broken is seen."""

from __future__ import annotations

import ast
import itertools
import json
import mmap
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from support.small_runs import ROOT

from textgen.errors import CheckpointError

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
NUMBERS = (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)
#: Those that start nothing but themselves and end at once; the others search all modules, compile,
#: train and start commands. What each would see is tried below, quickly.
ALONE = (9, 10)


@pytest.mark.parametrize(
    "number",
    [
        number if number in ALONE else pytest.param(number, marks=pytest.mark.slow)
        for number in NUMBERS
        if number not in FAULTS
    ],
)
def test_a_part_runs_and_its_promise_is_kept(campaign: ModuleType, number: int) -> None:
    [part] = [part for part in campaign.all_parts() if part.number == number]
    figure = campaign.run_apart(part, campaign.Effort(seconds=campaign.QUICK, is_quick=True))
    assert not figure.failures
    assert figure.tried or figure.not_run


def test_the_command_lists_the_parts(
    campaign: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert campaign.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(NUMBERS)


def test_the_parts_fit_into_an_hour(campaign: ModuleType) -> None:
    parts = campaign.all_parts()
    together = sum(part.seconds * part.cores for part in parts)
    assert together <= campaign.CORES * campaign.MINUTES * 60
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
    page = campaign.page([part], {99: figure}, ["Head."], "abc")
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
    assert kept == {1: campaign.Figure(tried=7, failures=("x",), seconds=2.0, commit="kept")}
    assert campaign.kept_figures(tmp_path / "none", settings) == {}


def test_the_page_tells_what_failed_and_what_is_missing(campaign: ModuleType) -> None:
    parts = [a_part(campaign, None, number=number) for number in (1, 2)]
    failures = tuple(f"{campaign.ROOT}/textgen/a.py: case {number}" for number in range(8))
    figure = campaign.Figure(tried=9, failures=failures, worst="3 s", text="Much.", seconds=61.2)
    page = campaign.page(parts, {2: figure}, ["Measured today."], "abc")
    assert "| 1 | All is well. | not run |  |\n| 2 | All is well. | 8 of 9 | 61 s |" in page
    assert "Not run: left out of this campaign." in page
    assert (
        "Failed: textgen/a.py: case 4" in page
        and "case 5" not in page
        and "... and 3 more." in page
    )
    assert "Failures: 8 of 9. Much." in page and "Worst case: 3 s." in page


def test_a_part_alone_takes_its_row_and_the_others_keep_theirs(
    campaign: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert campaign.main([]) == 1
    monkeypatch.setattr(campaign, "commit", lambda: ("def", False))
    monkeypatch.setattr(campaign, "run_apart", lambda part, effort: campaign.Figure(tried=5))
    assert campaign.main(["--only", "2"]) == 0
    page = (checkout / "page.md").read_text("utf-8")
    assert "| 1 | All is well. | 0 of 3, below 100 % at 95 % |" in page
    assert "| 2 | All is well. | 0 of 5, below 60 % at 95 % |" in page
    first, second = page.split("## 2. ")
    assert "Measured earlier, at commit abc." in first and "Measured earlier" not in second


def test_the_table_of_the_readme_is_that_of_the_page(campaign: ModuleType) -> None:
    page = campaign.PAGE.read_text("utf-8")
    readme = campaign.README.read_text("utf-8")
    assert readme == campaign.with_summary(readme, page)
    rows = [line for line in campaign.summary(page).splitlines() if line.startswith("| ")]
    promises = re.findall(r"^## \d+\. (.*)$", page, re.MULTILINE)
    assert len(promises) > 10
    assert [row.split(" | ")[0][2:] for row in rows[1:]] == promises
    with pytest.raises(ValueError, match="has no lines"):
        campaign.with_summary("Text.", page)


def test_the_table_has_a_line_a_promise(campaign: ModuleType) -> None:
    more = "the rest: nobody knows it. Nor do we."
    parts = [a_part(campaign, None, number=n, not_promised=more) for n in (1, 2)]
    page = campaign.page(parts, {2: campaign.Figure(tried=2, failures=("x",))}, ["Head."], "abc")
    assert campaign.summary(page).splitlines()[2:] == [
        "| All is well. | not run | the rest |",
        "| All is well. | 1 of 2 | the rest |",
    ]


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
    monkeypatch.setattr(campaign, "README", tmp_path / "readme.md")
    (tmp_path / "readme.md").write_text(f"Before.\n{''.join(campaign.MARKS)}After.\n")
    monkeypatch.setattr(campaign, "ran", ran, raising=False)
    return tmp_path


def test_a_campaign_goes_on_after_a_stop(
    campaign: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert campaign.main(["--only", "1"]) == 0
    assert "| 2 | All is well. | not run |" in (checkout / "page.md").read_text("utf-8")
    assert campaign.main([]) == 1  # The second promise is broken.
    assert sorted(campaign.ran) == [1, 2]
    assert "| 2 | All is well. | 1 of 3 |" in (checkout / "page.md").read_text("utf-8")
    assert "FAILED: it broke" in capsys.readouterr().out
    readme = (checkout / "readme.md").read_text("utf-8")
    assert readme.startswith("Before.\n") and readme.endswith("After.\n")
    assert "| All is well. | 1 of 3 | More |" in readme
    assert campaign.main(["--only", "2", "--seed", "1"]) == 1
    assert sorted(campaign.ran) == [1, 2, 2]


def test_two_parts_of_one_core_run_at_a_time_and_others_alone(
    campaign: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = ((1, 1.0, 1), (2, 9.0, 2), (3, 3.0, 1), (4, 2.0, 1), (5, 1.0, 1))
    parts = [a_part(campaign, None, number=n, seconds=s, cores=c) for n, s, c in sizes]
    going: set[int] = set()
    seen: list[set[int]] = []
    two = threading.Barrier(2, timeout=30)

    def apart(part: Any, effort: Any) -> Any:
        going.add(part.number)
        if part.cores == 1:
            two.wait()  # It is passed only where another one runs, too.
        seen.append(set(going))
        if part.cores == 1:
            two.wait()
        going.discard(part.number)
        return campaign.Figure(tried=part.number)

    monkeypatch.setattr(campaign, "run_apart", apart)
    ended = list(campaign.run_all(parts, lambda part: campaign.Effort(seconds=1.0), 2))
    assert seen[:2] == [{3, 4}] * 2 and seen[4] == {2}
    assert sorted(part.number for part, _ in ended) == [1, 2, 3, 4, 5]
    assert all(figure.tried == part.number for part, figure in ended)


def test_a_failure_in_the_campaign_begins_no_other_part(
    campaign: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [a_part(campaign, None, number=n) for n in range(1, 20)]
    begun: list[int] = []

    def apart(part: Any, effort: Any) -> Any:
        begun.append(part.number)
        if len(begun) == 1:
            raise KeyboardInterrupt
        time.sleep(0.3)  # In which all the others would not be begun.
        return campaign.Figure(tried=1)

    monkeypatch.setattr(campaign, "run_apart", apart)
    with pytest.raises(KeyboardInterrupt):
        list(campaign.run_all(parts, lambda part: campaign.Effort(seconds=1.0), 1))
    assert len(begun) < 4


def test_on_one_core_a_part_has_half_the_time(
    campaign: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def apart(part: Any, effort: Any) -> Any:
        given.append(effort.seconds)
        return campaign.Figure(tried=1)

    monkeypatch.setattr(campaign, "run_apart", apart)
    for cores in (1, 2, 64):
        monkeypatch.setattr(campaign, "cores_here", lambda cores=cores: cores)
        campaign.main(["--only", "1", "--minutes", "30", "--seed", str(cores)])
    assert given == [0.25, 0.5, 0.5]


def test_figures_of_changed_files_are_not_kept(
    campaign: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "commit", lambda: ("abc", True))
    assert campaign.main(["--only", "1"]) == 0 == campaign.main(["--only", "1"])
    assert campaign.ran == [1, 1]
    assert [path.name for path in checkout.iterdir()] == ["readme.md"]
    assert "| promise |" not in (checkout / "readme.md").read_text("utf-8")


def test_quick_writes_nothing(campaign: ModuleType, checkout: Path) -> None:
    assert campaign.main(["--quick"]) == 1
    assert sorted(campaign.ran) == [1, 2]
    assert [path.name for path in checkout.iterdir()] == ["readme.md"]


def test_tries_end_with_the_time(campaign: ModuleType) -> None:
    assert list(campaign.Effort(seconds=60.0).tries(3)) == [0, 1, 2]
    assert list(campaign.Effort(seconds=-1.0).tries()) == [0]
    assert list(campaign.Effort(seconds=-1.0).tries(5, least=2)) == [0, 1]


def test_code_that_a_file_could_run_is_seen(campaign: ModuleType) -> None:
    import no_code

    for line in ("subprocess.run(x, shell=True)", "import pickle", "torch.load(f)", "os.system(x)"):
        assert no_code.gates(ast.parse(line)), line
    assert not no_code.gates(ast.parse("subprocess.run(x, shell=False); json.load(f)"))


@pytest.mark.slow
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


@pytest.fixture
def fuzzed(campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Part 2 with the targets that a test gives it, in an empty folder."""
    import fuzzed_files

    monkeypatch.chdir(tmp_path)
    return fuzzed_files


def read_as(campaign: ModuleType, fuzzed: ModuleType, read: Any) -> Any:
    """What part 2 finds where files are read so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzzed, "targets", lambda: {"file": fuzzed.Target(b"sound" * 9, read)})
        return fuzzed.tallied(campaign.Effort(seconds=0.0), processes=1)


def test_a_damaged_file_that_is_no_clear_refusal_is_seen(
    campaign: ModuleType, fuzzed: ModuleType
) -> None:
    def defect(path: Path) -> None:
        if path.read_bytes() != b"sound" * 9:
            raise KeyError("embedding")

    def refusal(path: Path) -> None:
        if path.read_bytes() != b"sound" * 9:
            raise CheckpointError("no checkpoint")

    def use(path: Path) -> Any:
        is_sound = path.read_bytes() == b"sound" * 9
        return lambda: None if is_sound else 1 / 0

    kept = read_as(campaign, fuzzed, refusal)
    # Some damage leaves the bytes as they are.
    assert kept.tried == fuzzed.LEAST and not kept.failures and kept.refused > 15
    broken = read_as(campaign, fuzzed, defect)
    assert broken.tried == fuzzed.LEAST and len(broken.failures) == kept.refused
    assert "KeyError: 'embedding' (case 0;" in broken.failures[0]
    used = read_as(campaign, fuzzed, use)
    assert 0 < len(used.failures) < used.tried and "ZeroDivisionError" in used.failures[0]


def test_a_file_that_kills_the_process_is_seen_and_the_others_are_tried(
    campaign: ModuleType, fuzzed: ModuleType
) -> None:
    def dies(path: Path) -> None:
        if len(path.read_bytes()) > 100:
            os.kill(os.getpid(), signal.SIGKILL)  # An abort would leave a dump.

    broken = read_as(campaign, fuzzed, dies)
    assert all("the process ended with -9 (case " in failure for failure in broken.failures)
    assert broken.tried == fuzzed.LEAST > len(broken.failures) > 1


def test_a_file_that_takes_long_or_much_memory_is_seen(
    campaign: ModuleType, fuzzed: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path) -> None:
        while path.read_bytes() != b"sound" * 9:
            pass

    monkeypatch.setattr(fuzzed, "SECONDS", 0.01)
    assert "it took 0 s" in read_as(campaign, fuzzed, slow).failures[0]
    monkeypatch.setattr(fuzzed, "SECONDS", 10.0)
    kept: list[mmap.mmap] = []

    def large(path: Path) -> None:
        # Pages of its own: the heap may still have many that tests before have freed.
        kept.append(mmap.mmap(-1, 2 * 10**7))
        for page in range(0, len(kept[-1]), mmap.PAGESIZE):
            kept[-1][page] = 1

    assert read_as(campaign, fuzzed, large).grown > fuzzed.MEGABYTES


def test_damage_is_drawn_signed_and_repeated(campaign: ModuleType, fuzzed: ModuleType) -> None:
    from checkpoint.test_hostile_files import parts_of

    name = "lstm.safetensors"
    target = fuzzed.Checkpoint((fuzzed.OLD / name).read_bytes(), fuzzed._model)
    sound = parts_of(target.data)[1]["header"]
    forged = [target.forged(random.Random(number)) for number in range(20)]
    assert forged == [target.forged(random.Random(number)) for number in range(20)]
    headers = [parts_of(data)[1]["header"] for data in forged]
    assert sum(header != sound for header in headers) > 10
    lines = fuzzed.Lines(b'{"step": 1}\n{"step": 2}\n', fuzzed._reports)
    assert all(lines.forged(random.Random(n)).count(b"\n") >= 1 for n in range(20))
    assert len({fuzzed.damaged(target.data, random.Random(n)) for n in range(20)}) > 15


def test_a_text_that_is_not_read_well_is_seen(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import any_text

    def defect(pattern: str, name: str) -> None:
        if name == "random.txt":
            raise UnicodeDecodeError("utf-8", b"", 0, 1, "invalid")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(any_text, "_strange", lambda effort: (0, []))
    monkeypatch.setattr(any_text, "_encodings", lambda effort: (0, ""))
    monkeypatch.setattr(any_text.textgen, "occurrences", defect)
    figure = any_text.try_promise(campaign.Effort(seconds=0.0))
    assert len(figure.failures) == figure.tried == 10 and "UnicodeDecode" in figure.failures[0]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("import sys; sys.exit(3)", ""),
        ("1 / 0", "exit code 1"),
        ("import sys; sys.exit(9)", "exit code 9"),
        ("import time; time.sleep(60)", "it did not end"),
    ],
)
def test_a_command_that_reads_a_file_badly_is_seen(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, wrong: str
) -> None:
    import any_text

    script = tmp_path / "program"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c \"{line}\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(any_text.sys, "executable", str(script))
    monkeypatch.setattr(any_text, "PATIENCE", 20.0 if "sleep" not in line else 0.1)
    told = any_text._run("any")
    assert told.startswith(wrong) and bool(told) == bool(wrong)


def test_a_training_that_takes_too_much_memory_is_seen(
    campaign: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import memory_bound

    def measured(words: list[str], **_: Any) -> Any:
        peak = {"8": "90", "64": "501"}.get(words[words.index("--size") + 1])
        told = f"peak {peak} MB anonymous" if peak else "killed"
        return subprocess.CompletedProcess(words, 0, stdout=told, stderr="no memory")

    monkeypatch.setattr(memory_bound.subprocess, "run", measured)
    figure = memory_bound.try_promise(campaign.Effort(seconds=60.0))
    assert figure.tried == 3
    assert "64 MB of text took 501 MB" in figure.failures[0]
    assert "512 MB: no memory" in figure.failures[1] and len(figure.failures) == 2


def test_an_old_model_that_does_something_else_is_seen(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import golden_files

    class Other:
        """A model that writes in capitals, and predicts worse."""

        def __init__(self, model: Any, worse: float) -> None:
            self.model, self.saved, self.worse = model, model.saved, worse

        def evaluate(self, path: str) -> Any:
            found = self.model.evaluate(path)
            return replace(found, nats=found.nats * (1 + self.worse))

        def generate(self, *seed: str, **options: Any) -> str:
            return str(self.model.generate(*seed, **options)).upper()

    shutil.copy(golden_files.OLD / "text.txt", tmp_path)
    shutil.copy(golden_files.OLD / "lstm.safetensors", tmp_path)
    monkeypatch.chdir(tmp_path)
    expected = json.loads((golden_files.OLD / "expected.json").read_text("utf-8"))["lstm"]
    assert golden_files._same("lstm", expected) == ""
    true = golden_files.textgen.load
    monkeypatch.setattr(golden_files.textgen, "load", lambda path: Other(true(path), 0.0))
    assert "it writes" in golden_files._same("lstm", expected)
    monkeypatch.setattr(golden_files.textgen, "load", lambda path: Other(true(path), 0.01))
    assert "bits/char, it was" in golden_files._same("lstm", expected)


def test_a_training_that_ends_before_it_is_killed_is_not_begun_again(
    campaign: ModuleType, tmp_path: Path
) -> None:
    import kills

    started: list[list[str]] = []

    class Ended:
        """Killed in its first moments, then done before it could be killed."""

        pid = 0

        def kill(self) -> None:
            pass

        def wait(self) -> Any:
            code = -9 if len(started) == 1 else 0
            return kills.Finished(code, "", "")

    project = object.__new__(kills._Project)
    project.folder = tmp_path
    project.wholes = {("small", 1): (1.0, {})}
    project.server = SimpleNamespace(start=lambda words: started.append(words) or Ended())
    project.words = lambda training, threads: ["train", "text.txt"]
    made = project.try_once("small", 1, random.Random(0), 3)
    assert started == [["train", "text.txt"]] * 2
    assert made.begun_again and len(made.moments) == 1 and not made.wrong


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ("import socket; socket.getaddrinfo('localhost', 80)", "asks: socket.getaddrinfo"),
        # As a library in C does: Python does not hear it.
        pytest.param(
            "import ctypes; ctypes.CDLL(None).socket(2, 1, 0)",
            "socket(AF_INET, SOCK_STREAM",
            marks=pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace"),
        ),
    ],
)
def test_a_command_that_asks_the_network_is_seen(
    asks: str, said: str, campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import no_network

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(no_network, "_without_network", lambda: ([], ()))
    monkeypatch.setattr(no_network, "WITHOUT_PROJECT", {"asks": (), "fails": ("fails",)})
    monkeypatch.setattr(no_network, "COMMANDS", {"asks": (), "fails": ("fails",)})
    script = no_network.WATCHED.split("runpy.run_module")[0]
    monkeypatch.setattr(no_network, "WATCHED", f"{script}\n{asks}\nsys.exit(len(sys.argv) - 1)\n")
    figure = no_network.try_promise(campaign.Effort(seconds=60.0, is_quick=True))
    assert figure.tried == 2
    assert said in figure.failures[0]
    assert "fails failed without a network" in figure.failures[1]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("", ""),
        (
            "sys.stderr.write('WARNING: ThreadSanitizer: data race\\n  #0 step\\n'); sys.exit(66)",
            "race",
        ),
        ("sys.stderr.write('cell.inc:7: runtime error: overflow\\n'); os.abort()", "overflow"),
        ("import time; time.sleep(60)", "did not end"),
    ],
)
def test_what_a_sanitizer_reports_is_seen(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, wrong: str
) -> None:
    import sanitized

    cases = (
        "Path('case.txt').write_text('network 3'); Path('tally.json').write_text('{\"tried\": 3}')"
    )
    head = "import os, sys; from pathlib import Path"
    (tmp_path / "sanitized.py").write_text(f"{head}\n{cases}\n{line}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sanitized, "FOLDER", tmp_path)
    monkeypatch.setattr(sanitized, "PATIENCE", 2.0 if "sleep" in line else 60.0)
    how = replace(sanitized.SANITIZERS[1], starter=())
    effort = campaign.Effort(seconds=0.0)
    tried, failures = sanitized.run_under(how, (), tmp_path / "engine.so", "networks", effort)
    assert (tried, len(failures)) == ((4, 1) if wrong else (3, 0))
    assert not wrong or (wrong in failures[0] and "(case network 3;" in failures[0])


def test_a_damaged_file_that_breaks_the_engine_is_seen(
    campaign: ModuleType, fuzzed: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sanitized

    def defect(path: Path) -> None:
        if path.read_bytes() != b"sound" * 9:
            raise KeyError("weights")

    monkeypatch.setattr(fuzzed, "targets", lambda: {"file": fuzzed.Target(b"sound" * 9, defect)})
    assert list(sanitized._files(campaign.Effort(seconds=60.0))) == ["file 0"]
    assert "KeyError" in json.loads(Path("tally.json").read_text("utf-8"))["failures"][0]


def course(campaign: ModuleType, memory: Any, ratio: Any) -> Any:
    """A command that was looked at ninety times, a second of computing apart."""
    import soak

    looks = [soak.Look(at + 1.0, 100 * (at + 1), int(memory(at))) for at in range(90)]
    ratios = [(at + 1.0, ratio(at)) for at in range(0, 90, 3)]
    return soak.Course("steps", looks, ratios)


def test_memory_that_grows_and_speed_that_falls_are_seen(campaign: ModuleType) -> None:
    def flat(second: int) -> float:
        return 1e6

    def verdict(memory: Any, ratio: Any = lambda s: 1.0) -> tuple[list[str], list[str], str]:
        return course(campaign, memory, ratio).verdict()

    wrong, unsaid, text = verdict(flat)
    assert not wrong and not unsaid and "memory +0.0% (1 MB), speed 1.000 of" in text
    assert "100 a second" in text
    # What is filled at first is no growth, and a command that was slower at first is none now.
    assert not verdict(lambda s: 1e6 * min(s, 20))[0]
    assert not verdict(flat, lambda s: 0.5 if s < 58 else 1.0)[0]
    assert "memory grew by" in verdict(lambda s: 1e6 * (1 + s / 900))[0][0]
    assert "speed is 0.900 of" in verdict(flat, lambda s: 1.0 if s < 58 else 0.9)[0][0]
    # Turns that differ: one of ten says nothing, half of them leave it open.
    assert verdict(flat, lambda s: 0.5 if s == 66 else 1.0)[:2] == ([], [])
    wrong, unsaid, _ = verdict(flat, lambda s: 0.8 if s % 2 else 1.2)
    assert not wrong and "too uneven for a verdict" in unsaid[0]


def test_a_soak_that_failed_or_was_too_short_is_told(campaign: ModuleType) -> None:
    import soak

    effort = campaign.Effort(seconds=1.0)
    failed = soak.Course("steps", (), said="exit code 1: a defect")
    short = soak.Course("bytes", [soak.Look(1.0, 5, 10)])
    figure = soak.figure_of([failed, short], effort)
    assert figure.tried == 1 and "a defect" in figure.failures[0]
    assert "too few to compare" in figure.not_run[0] and "make soak" in figure.not_run[1]
    whole = replace(course(campaign, lambda s: 1e6, lambda s: 1.0), is_whole=True)
    assert soak.figure_of([whole], effort).not_run == ()


def instead_of_textgen(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have the soak start other code wherever it starts textgen."""
    import soak

    start = subprocess.Popen
    monkeypatch.setattr(
        soak.subprocess, "Popen", lambda words, **asked: start([words[0], "-c", code], **asked)
    )


def test_a_command_is_watched_until_its_time_is_over(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soak

    monkeypatch.chdir(tmp_path)
    # They end by themselves, however slow the machine is, and are looked at often.
    monkeypatch.setattr(soak, "EVERY", 0.05)

    def watched(words: list[str], done: Any) -> Any:
        def start(name: str) -> Any:
            return soak._Started(words, Path(f"{name}.txt"), Path(f"{name}-said.txt"), done)

        return soak.watched("bytes", start, 3600.0)

    failed = watched(["train", "none.txt"], lambda: 1)
    assert "exit code 6" in failed.said and "none.txt" in failed.said and not failed.is_whole

    looked = itertools.count(1)

    def done() -> int:
        if (count := next(looked)) == 8:
            Path("enough").touch()
        return count

    instead_of_textgen(
        monkeypatch,
        "import os, time\nprint('going')\nwhile not os.path.exists('enough'): time.sleep(0.01)",
    )
    short = watched([], done)
    assert short.is_whole and not short.said and len(short.looks) > 4
    assert Path("old.txt").read_text("utf-8") == "going\n"
    # Where no more is done, what the process does after that is left out, and the look at its end.
    assert watched([], lambda: 1).looks == []
    assert soak._memory(os.getpid()) > 10**7
    first = '{"step": 4, "evaluated": false}\n'
    Path("metrics.jsonl").write_text(first)
    assert soak._steps(tmp_path) == 0 == soak._steps(tmp_path / "none")
    Path("metrics.jsonl").write_text(f'{first}{{"step": 8, "evaluated": true}}\n{{"st')
    assert soak._steps(tmp_path) == 8


def test_a_command_that_becomes_slower_is_slower_than_its_twin(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soak

    monkeypatch.chdir(tmp_path)
    for name, value in (("EVERY", 0.02), ("TURN", 0.1), ("PAUSE", 0.2)):
        monkeypatch.setattr(soak, name, value)
    # It computes more and more between two of the bytes that it writes.
    instead_of_textgen(
        monkeypatch,
        "import sys\nsize = 3000\nwhile size < 3e6:\n    sum(range(size := size + size // 40))\n"
        "    sys.stdout.write('.')\n    sys.stdout.flush()",
    )

    def start(name: str) -> Any:
        out = Path(f"{name}.txt")
        return soak._Started([], out, Path(f"{name}-said.txt"), lambda: out.stat().st_size)

    course = soak.watched("bytes", start, 3600.0)
    assert course.is_whole and not course.said and course.ratios[-1][1] < 0.75
