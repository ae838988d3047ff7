"""The campaign of promises: its parts are run, and docs/promises.md is written.

    python benchmarks/promises [--only N,...] [--minutes 60] [--seed 0] [--quick] [--list]

Each part is a file of this folder with `PARTS`, a tuple of `Part`. A part runs in a process of its
own, so that one that dies or hangs is a failure of that part and not the end of the campaign. What
a finished part found is kept as a line of `build/promises/COMMIT.jsonl`: the same command after a
stop goes on with the parts that are missing. With `--only`, the page has the other parts as an
earlier commit left them, and says so. The exit code is 1 where a promise was not kept.

`--minutes` is for all parts together; each has its share. Parts that compute on one core run two at
a time, beside each other; those that take both cores run alone. `--quick` gives every part two
seconds and writes nothing: it shows that the campaign itself still works.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PAGE = ROOT / "docs" / "promises.md"
README = ROOT / "README.md"
KEPT = ROOT / "build" / "promises"
#: What stands between these two lines of README.md is written anew.
MARKS = ("<!-- promises: `make promises` writes this table -->\n", "<!-- end of promises -->\n")
#: Seconds that a part gets with `--quick`.
QUICK = 2.0
#: A part that takes so many times as long as it may, and this many seconds more, has hung.
PATIENCE = (4.0, 240.0)
#: At most so many failures are told in full.
SHOWN = 5
#: Exit codes of a campaign: every promise kept, one not kept.
KEPT_ALL, BROKEN = 0, 1


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much a part is to try.

    Args:
        seconds: Time for its tries.
        seed: Of all that is drawn. A part draws try number `k` with `draw(k)`.
        is_quick: Whether only the campaign itself is tried: the smallest sizes will do.
    """

    seconds: float
    seed: int = 0
    is_quick: bool = False

    def tries(self, most: int | None = None, *, least: int = 1) -> Iterator[int]:
        """The numbers 0, 1, 2, ... until the time is over.

        Args:
            most: How many at most; None: as many as there is time for.
            least: How many at least, however long they take.
        """
        end = time.monotonic() + self.seconds
        number = 0
        while (most is None or number < most) and (number < least or time.monotonic() < end):
            yield number
            number += 1


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a part found.

    Args:
        tried: How many cases were tried.
        failures: What failed, each with how to repeat it.
        text: More figures, in words; "" for none.
        worst: The worst case among those that were kept, in words: the slowest, the largest.
        is_drawn: Whether the cases were drawn at random out of more. If not, they are all there
            are, and nothing is said about others.
        not_run: What was left out, each with the reason.
        seconds: How long it took; the campaign fills it in.
        commit: At which it was found; the campaign fills it in.
    """

    tried: int
    failures: tuple[str, ...] = ()
    text: str = ""
    worst: str = ""
    is_drawn: bool = True
    not_run: tuple[str, ...] = ()
    seconds: float = 0.0
    commit: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether no case failed; a part that tried nothing has broken nothing."""
        return not self.failures

    def share(self) -> str:
        """The failures among the cases, in words."""
        if not self.tried:
            return "not run"
        words = f"{len(self.failures):,} of {self.tried:,}"
        if self.failures:
            return words
        return f"{words}, {below(self.tried)}" if self.is_drawn else f"{words}, each case once"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One promise, and what tries it.

    Args:
        number: Its place in the table.
        promise: One sentence.
        not_promised: What a reader might take it for, and it is not.
        seconds: Its share of a campaign of `MINUTES` minutes.
        cores: How many it keeps busy. One that takes `CORES` runs alone.
        run: Tries it. It may leave files only in the folder that it is started in, which is empty.
        needs: What it cannot do without, names in `NEEDS`.
    """

    number: int
    promise: str
    not_promised: str
    seconds: float
    cores: int = 1
    run: Callable[[Effort], Figure] = field(repr=False)
    needs: tuple[str, ...] = ()


#: Minutes of a whole campaign on so many cores. The shares of the parts, each times its cores, add
#: up to no more.
MINUTES, CORES = 60.0, 2

#: What a part may need: whether it is there, and what is said where it is not.
NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "linux": (lambda: sys.platform == "linux", "needs Linux"),
    "root": (lambda: hasattr(os, "geteuid") and os.geteuid() == 0, "needs root"),
    "strace": (lambda: shutil.which("strace") is not None, "needs strace"),
    "unshare": (
        lambda: _succeeds(["unshare", "--net", "true"]) or _succeeds(["unshare", "-rn", "true"]),
        "needs a system that lets `unshare` make a network namespace",
    ),
}


def _succeeds(words: Sequence[str]) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def below(tried: int) -> str:
    """What no failure in so many random tries says about the others: the rule of three.

    Source: Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything all right?"
    """
    share = min(1.0, 3 / tried)
    digits = max(0, 1 - math.floor(math.log10(share * 100)))
    return f"below {share * 100:.{digits}f} % at 95 %"


def repeat(number: int, effort: Effort, what: object) -> str:
    """How to see a failure again: for the end of its text.

    Args:
        number: Of the part.
        effort: With which it failed.
        what: Which case.
    """
    return f"(case {what}; `python benchmarks/promises --only {number} --seed {effort.seed}`)"


def all_parts(file: str | None = None) -> list[Part]:
    """The parts of all files of this folder, by number.

    Args:
        file: Only those of this one, without `.py`.
    Raises:
        ValueError: Two parts have one number.
    """
    parts: list[Part] = []
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem != "__main__" and file in (None, path.stem):
            parts += getattr(importlib.import_module(path.stem), "PARTS", ())
    parts.sort(key=lambda part: part.number)
    numbers = [part.number for part in parts]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"two parts have one number: {numbers}")
    return parts


def run_part(part: Part, effort: Effort) -> Figure:
    """Run one part in this process, in the folder it is started in.

    A part that raises has failed: its error is its failure.
    """
    missing = [NEEDS[need][1] for need in part.needs if not NEEDS[need][0]()]
    if missing:
        return Figure(tried=0, not_run=tuple(missing))
    began = time.monotonic()
    try:
        figure = part.run(effort)
    except Exception as error:
        import traceback

        where = "".join(traceback.format_exception(error)[-3:])
        failure = f"the part itself ended: {where} {repeat(part.number, effort, 'unknown')}"
        figure = Figure(tried=1, failures=(failure,))
    return replace(figure, seconds=round(time.monotonic() - began, 1))


def run_apart(part: Part, effort: Effort) -> Figure:
    """Run one part in a process and an empty folder of its own."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="textgen-promises-") as place:
        found = Path(place) / "figure.json"
        folder = Path(place) / "work"
        folder.mkdir()
        words = [sys.executable, str(FOLDER), "--part", str(part.number), "--figure", str(found)]
        words += ["--file", part.run.__module__]
        words += ["--seconds", str(effort.seconds), "--seed", str(effort.seed)]
        words += ["--quick"] if effort.is_quick else []
        env = {**os.environ, "HOME": str(folder), "TEXTGEN_CACHE": str(folder / "cache")}
        limit = effort.seconds * PATIENCE[0] + PATIENCE[1]
        try:
            code = subprocess.run(words, cwd=folder, env=env, timeout=limit, check=False).returncode
            ended = f"the process of the part ended with {code}"
        except subprocess.TimeoutExpired:
            ended = f"the part did not end within {limit:.0f} s"
        if found.exists():
            return figure_of(json.loads(found.read_text("utf-8")))
    seconds = round(time.monotonic() - began, 1)
    failure = f"{ended} {repeat(part.number, effort, 'unknown')}"
    return Figure(tried=1, failures=(failure,), seconds=seconds)


def figure_of(record: Mapping[str, Any]) -> Figure:
    """The figure that was written as JSON."""
    tuples = {key: tuple(record[key]) for key in ("failures", "not_run")}
    return Figure(**{**record, **tuples})


def commit() -> tuple[str, bool]:
    """The commit of the checkout, and whether files differ from it, those of figures apart."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        figures = [f":!{path.relative_to(ROOT)}" for path in (PAGE, README)]
        changed = _git("status", "--porcelain", "--", ".", *figures)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True
    return name, bool(changed)


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def kept_figures(path: Path, settings: Mapping[str, Any]) -> dict[int, Figure]:
    """The figures of parts that finished before, with the same settings."""
    figures: dict[int, Figure] = {}
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:  # the campaign was stopped while it wrote this line
                continue
            if record["settings"] == settings:
                figure = figure_of(record["figure"])
                figures[record["part"]] = replace(figure, commit=path.stem)
    return figures


def earlier_figures(settings: Mapping[str, Any]) -> dict[int, Figure]:
    """The newest figure of each part, at any commit, with the same settings."""
    figures: dict[int, Figure] = {}
    for path in sorted(KEPT.glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        figures |= kept_figures(path, settings)
    return figures


def cores_here() -> int:
    """How many cores this process may use."""
    available = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    return len(available(0))


def machine() -> str:
    """The computer in words."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return (
        f"{cpu}, {cores_here()} of {os.cpu_count()} cores used, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )


def page(
    parts: Sequence[Part], figures: Mapping[int, Figure], head: Sequence[str], name: str
) -> str:
    """docs/promises.md: what is promised, what is not, and what was found.

    Args:
        parts: All parts.
        figures: By the number of the part; a part without one was not run.
        head: Lines on when and where.
        name: The commit of the campaign.
    """
    lines = [
        "# What textgen promises, and what was measured",
        "",
        "`make promises` tries each promise and writes this page. SECURITY.md says what is safe",
        "to open. A share below p % at 95 % means: if the true share of failures were p % or more,",
        "so many tries without a failure would come about in less than one campaign of twenty.",
        "",
        *head,
        "",
        "| # | promise | failures | time |",
        "|---|---|---|---|",
    ]
    for part in parts:
        figure = figures.get(part.number)
        share = "not run" if figure is None else figure.share()
        seconds = "" if figure is None or not figure.tried else f"{figure.seconds:.0f} s"
        lines.append(f"| {part.number} | {part.promise} | {share} | {seconds} |")
    for part in parts:
        figure = figures.get(part.number)
        lines += ["", f"## {part.number}. {part.promise}", ""]
        if figure is None:
            lines.append("Not run: left out of this campaign.")
        else:
            if figure.tried:
                lines.append(f"Failures: {figure.share()}. {figure.text}".rstrip())
            if figure.worst:
                lines += ["", f"Worst case: {figure.worst}."]
            if figure.commit != name:
                lines += ["", f"Measured earlier, at commit {figure.commit}."]
            lines += [f"\nNot run: {reason}." for reason in figure.not_run]
            lines += [f"\nFailed: {one}" for one in figure.failures[:SHOWN]]
            if len(figure.failures) > SHOWN:
                lines.append(f"\n... and {len(figure.failures) - SHOWN} more.")
        lines += ["", f"Not promised: {part.not_promised}"]
    # A traceback names files; where the checkout lies is of this machine alone.
    return ("\n".join(lines) + "\n").replace(f"{ROOT}/", "")


def summary(written: str) -> str:
    """The table of README.md: of each promise its figure, and in short what it does not say.

    Args:
        written: docs/promises.md.
    """
    lines = ["| promise | failures | not promised |", "|---|---|---|"]
    for row in re.findall(r"^\| (\d+) \| (.*) \| (.*) \| .*\|$", written, re.MULTILINE):
        number, promise, share = row
        told = re.search(rf"^## {number}\. .*?^Not promised: (.*?)$", written, re.MULTILINE | re.S)
        # The page has the whole sentence.
        short = re.split("[:;.]", told[1])[0] if told else ""
        lines.append(f"| {promise} | {share} | {short} |")
    return "\n".join(lines) + "\n"


def with_summary(readme: str, written: str) -> str:
    """README.md with the table of docs/promises.md.

    Args:
        readme: README.md.
        written: docs/promises.md.
    Raises:
        ValueError: README.md has no place for it.
    """
    before, start, rest = readme.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (start and end):
        raise ValueError(f"README.md has no lines {MARKS[0].strip()} and {MARKS[1].strip()}")
    return f"{before}{start}\n{summary(written)}\n{end}{after}"


def tell(part: Part, figure: Figure) -> None:
    """Print what a part found: a line, and what failed."""
    print(f"{part.number:>2}  {figure.share()}  ({figure.seconds:.0f} s)  {part.promise}")
    for text in (figure.text, figure.worst and f"worst: {figure.worst}"):
        if text:
            print(f"    {text}")
    for reason in figure.not_run:
        print(f"    not run: {reason}")
    for failure in figure.failures[:SHOWN]:
        print(f"    FAILED: {failure}")
    if len(figure.failures) > SHOWN:
        print(f"    ... and {len(figure.failures) - SHOWN} more")
    sys.stdout.flush()


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def main(words: Iterable[str] | None = None) -> int:
    """Run the campaign; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/promises", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", type=_numbers, default=[], help="numbers of parts, with commas")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all parts together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two seconds each; writes nothing")
    parser.add_argument("--list", action="store_true", help="print the parts and end")
    for inner in ("--part", "--file", "--seconds", "--figure"):  # of the process of one part
        parser.add_argument(inner, help=argparse.SUPPRESS)
    asked = parser.parse_args(None if words is None else list(words))
    parts = all_parts(asked.file)
    by_number = {part.number: part for part in parts}
    if unknown := [number for number in asked.only if number not in by_number]:
        parser.error(f"there is no part {unknown[0]}; the parts are {sorted(by_number)}")
    if asked.part:
        effort = Effort(seconds=float(asked.seconds), seed=asked.seed, is_quick=asked.quick)
        figure = run_part(by_number[int(asked.part)], effort)
        Path(asked.figure).write_text(json.dumps(asdict(figure)), "utf-8")
        return KEPT_ALL
    if asked.list:
        for part in parts:
            print(f"{part.number:>2}  {part.seconds:>4.0f} s  {part.promise}")
        return KEPT_ALL
    return _campaign(parts, asked)


def _campaign(parts: Sequence[Part], asked: argparse.Namespace) -> int:
    name, is_changed = commit()
    settings = {"minutes": asked.minutes, "seed": asked.seed}
    kept = KEPT / f"{name}.jsonl"
    is_kept = not (asked.quick or is_changed)
    figures = kept_figures(kept, settings) if is_kept else {}
    at_once = min(CORES, cores_here())
    share = functools.partial(_effort, asked, at_once)
    meant = [part for part in parts if not asked.only or part.number in asked.only]
    for part in meant:
        if part.number in figures:
            print("    kept from before:")
            tell(part, figures[part.number])
    for part, found in run_all([p for p in meant if p.number not in figures], share, at_once):
        figure = figures[part.number] = replace(found, commit=name)
        if is_kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            record = {"part": part.number, "settings": settings, "figure": asdict(figure)}
            with open(kept, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        tell(part, figure)
    if is_kept:
        head = [f"Measured on {date.today()} at commit {name}, seed {asked.seed}, with a time of"]
        head += [f"{asked.minutes:g} minutes for all parts, on: {machine()}."]
        if at_once > 1:
            head += ["Parts that compute on one core ran two at a time, beside each other."]
        written = page(parts, {**earlier_figures(settings), **figures}, head, name)
        readme = with_summary(README.read_text("utf-8"), written)
        PAGE.write_text(written, "utf-8")
        README.write_text(readme, "utf-8")
        print(f"written: {PAGE}, and the table in {README}")
    elif not asked.quick:
        print(f"not written: files of the checkout differ from commit {name}; commit them first")
    return KEPT_ALL if all(figure.is_kept for figure in figures.values()) else BROKEN


def run_all(
    parts: Sequence[Part], effort: Callable[[Part], Effort], at_once: int
) -> Iterator[tuple[Part, Figure]]:
    """Run parts, each in a process of its own.

    Args:
        parts: What is to be run.
        effort: How much each is to try.
        at_once: How many of one core run beside each other.
    Yields:
        Each part with its figure, when it has ended.
    """

    def run(part: Part) -> Figure:
        print(f"{part.number:>2}  {part.promise} ...", file=sys.stderr, flush=True)
        return run_apart(part, effort(part))

    # The longest begin first, so that none of them is alone at the end.
    beside = sorted((p for p in parts if p.cores < CORES), key=lambda p: p.seconds, reverse=True)
    pool = ThreadPoolExecutor(at_once)
    try:
        running = {pool.submit(run, part): part for part in beside}
        for ended in as_completed(running):
            yield running[ended], ended.result()
    finally:  # After Ctrl-C no other one begins.
        pool.shutdown(cancel_futures=True)
    for part in parts:
        if part not in beside:
            yield part, run(part)


def _effort(asked: argparse.Namespace, at_once: int, part: Part) -> Effort:
    # On one core they run one after the other, and the whole takes no longer.
    fewer = at_once / CORES
    seconds = QUICK if asked.quick else part.seconds * fewer * asked.minutes / MINUTES
    return Effort(seconds=seconds, seed=asked.seed, is_quick=asked.quick)
