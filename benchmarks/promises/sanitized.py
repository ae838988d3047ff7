"""Part 20: the C engine under the compiler's sanitizers: every address, operation and thread.

    python benchmarks/promises --only 20

The engine is compiled anew, twice: with AddressSanitizer and UndefinedBehaviorSanitizer, and with
ThreadSanitizer. A process of its own loads such a library, and the first finding ends it. With the
first library files are damaged as in part 2, and those that open are used; with both, networks of
every cell are trained, measured and sampled from on two threads, with sizes that are drawn.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # As in __main__.py: for the process with the library.
    sys.path[:0] = [str(Path(__file__).resolve().parents[up]) for up in (0, 1)]
    sys.path[:0] = [str(Path(__file__).resolve().parents[2] / name) for name in ("", "tests")]

from campaign import FOLDER, Effort, Figure, Part, repeat
from measuring import environment, made_up_text

from textgen.cells import CELLS
from textgen.errors import BackendError
from textgen.model.engine import isa_precision
from textgen.native.build import build_library, find_compiler
from textgen.native.library import LIBRARY_VARIABLE, missing_reason, supported_isas

#: Threads of the trained networks.
THREADS = 2
#: Seconds beyond its time that a process may take: under a sanitizer all is slower.
PATIENCE = 120.0
_TALLY, _CASE = "tally.json", "case.txt"


@dataclass(frozen=True)
class Sanitizer:
    """A way of compiling the engine.

    Args:
        name: In words.
        words: What the compiler is called with, beyond its usual flags; empty: those of
            `build_library(sanitize=True)`.
        runtime: Libraries that are loaded before Python, which is not compiled so.
        options: Variables of the process.
        kinds: What is tried with it, names in `TRIALS`, each for the same time.
        starter: Words before the program.
    """

    name: str
    words: tuple[str, ...]
    runtime: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    kinds: tuple[str, ...]
    starter: tuple[str, ...] = ()


SANITIZERS = (
    Sanitizer(
        "addresses and undefined operations",
        (),
        # The second one: for libraries in C++ that are loaded later and throw.
        ("libasan.so", "libstdc++.so.6"),
        (("ASAN_OPTIONS", "detect_leaks=0"), ("UBSAN_OPTIONS", "print_stacktrace=1")),
        ("files", "networks"),
    ),
    Sanitizer(
        "threads",
        ("-fsanitize=thread", "-g1", "-DTG_AMX_EMULATED"),
        ("libtsan.so",),
        # What Python and NumPy do is not known to it.
        (("TSAN_OPTIONS", "halt_on_error=1 exitcode=66 ignore_noninstrumented_modules=1"),),
        ("networks",),
        # It wants addresses where a kernel that scatters them more widely does not put them.
        ("setarch", "-R"),
    ),
)


def runtime_of(sanitizer: Sanitizer) -> tuple[list[str], str]:
    """The runtime libraries of a sanitizer; why it cannot be had here, or ""."""
    try:
        compiler = find_compiler()
    except BackendError as error:
        return [], f"{sanitizer.name}: {error}"
    if sanitizer.starter and shutil.which(sanitizer.starter[0]) is None:
        return [], f"{sanitizer.name}: needs `{sanitizer.starter[0]}`"
    found = []
    for name in sanitizer.runtime:
        words = [*compiler, f"-print-file-name={name}"]
        path = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
        if not os.path.isabs(path):
            return [], f"{sanitizer.name}: this compiler has no {name}"
        found.append(path)
    return found, ""


def build(sanitizer: Sanitizer, folder: Path) -> Path:
    """Compile the engine for it, for the best instruction set of this machine in each precision.

    Raises:
        BackendError: The compiler fails.
    """
    output = folder / f"{sanitizer.runtime[0]}-engine.so"
    compiler = [*find_compiler(), *sanitizer.words] if sanitizer.words else []
    only = list({isa_precision(isa): isa for isa in reversed(supported_isas())}.values())
    build_library(output, compiler=compiler, sanitize=not sanitizer.words, only=only)
    return output


def run_under(
    sanitizer: Sanitizer, runtime: Sequence[str], library: Path, kind: str, effort: Effort
) -> tuple[int, list[str]]:
    """Try something in a process with the library; how many cases, and what was found."""
    folder = Path(f"{library.stem}-{kind}").resolve()
    folder.mkdir()
    env = {**environment(), **dict(sanitizer.options), LIBRARY_VARIABLE: str(library)}
    env |= {"LD_PRELOAD": " ".join(runtime), "OPENBLAS_NUM_THREADS": "1"}
    env["TEXTGEN_CACHE"] = str(folder / "cache")
    words = [*sanitizer.starter, sys.executable, str(FOLDER / "sanitized.py"), kind]
    words += [str(effort.seconds), str(effort.seed)]
    try:
        ended = subprocess.run(
            words,
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=effort.seconds + PATIENCE,
        )
        code, said = ended.returncode, ended.stderr
    except subprocess.TimeoutExpired:
        code, said = -1, f"it did not end within {effort.seconds + PATIENCE:.0f} s"
    tally = folder / _TALLY
    found: dict[str, Any] = json.loads(tally.read_text("utf-8")) if tally.exists() else {}
    tried, failures = int(found.get("tried", 0)), list(found.get("failures", ()))
    if code:
        case = (folder / _CASE).read_text("utf-8") if (folder / _CASE).exists() else "the first"
        tried += 1
        failures.append(
            f"{sanitizer.name}, {kind}: exit code {code}: {_report(said)} "
            f"{repeat(20, effort, case)}"
        )
    return tried, failures


def _report(said: str) -> str:
    """The lines of a sanitizer's report that say most; the last ones where there is none."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "ERROR:" in line or "WARNING:" in line or "error:" in line]
    frames = [line for line in lines if line.startswith("#")]
    return " / ".join([*telling[:2], *frames[:4]] or lines[-3:])[:900]


def try_promise(effort: Effort) -> Figure:
    """Part 20 of the campaign."""
    not_run: list[str] = []
    failures: list[str] = []
    told = []
    tried = 0
    if effort.is_quick:  # To compile takes longer than such a campaign.
        return Figure(tried=0, not_run=("left out of a quick campaign",))
    if not supported_isas():
        return Figure(tried=0, not_run=("needs the native engine",))
    kinds = sum(len(sanitizer.kinds) for sanitizer in SANITIZERS)
    share = replace(effort, seconds=effort.seconds / kinds)
    for sanitizer in SANITIZERS:
        runtime, why = runtime_of(sanitizer)
        if why:
            not_run.append(why)
            continue
        library = build(sanitizer, Path.cwd())
        for kind in sanitizer.kinds:
            count, found = run_under(sanitizer, runtime, library, kind, share)
            tried += count
            failures += found
            told.append(f"{count:,} {kind} ({sanitizer.name})")
    return Figure(
        tried=tried,
        failures=tuple(failures),
        text=f"{', '.join(told)}, the networks on {THREADS} threads." if told else "",
        not_run=tuple(not_run),
    )


# What follows runs in the process with the library.


def _files(effort: Effort) -> Iterator[str]:
    """Damaged files, as in part 2; each one that opens is used."""
    import fuzzed_files

    fuzzed_files.USED = 1
    fuzzer, tally = fuzzed_files.Fuzzer(), fuzzed_files.Tally()
    for number in effort.tries():
        yield f"file {number}"
        fuzzer.one(tally, effort, number, part=20)
        Path(_TALLY).write_text(json.dumps(asdict(tally)), "utf-8")
        if tally.failures:
            return


def _networks(effort: Effort) -> Iterator[str]:
    """Networks of every cell: trained, measured, sampled from, on several threads."""
    import textgen

    os.sched_getaffinity = lambda pid: set(range(THREADS))  # What writes takes as many threads.
    text = made_up_text(3_000)
    cells = list(CELLS)
    for number in effort.tries(least=len(cells)):
        rng = random.Random(f"{effort.seed} {number}")
        cell = cells[number % len(cells)]
        sizes = {
            "hidden_size": rng.choice((1, 3, 8, 17, 33)),
            "num_layers": rng.choice((1, 2)),
            "batch_size": rng.choice((1, 2, 5)),
            "seq_len": rng.choice((1, 4, 9)),
            "members": 1,
        }
        yield f"network {number}: {cell} {sizes}"
        shutil.rmtree("run", ignore_errors=True)
        made = textgen.train(
            text=text, out="run", cell=cell, steps=4, eval_every=2, threads=THREADS, **sizes
        )
        model = made.load()
        model.generate(length=20)
        model.generate_many(["Б", "Бо", "Г", "д"], length=9)
        model.evaluate(text=text[:300])
        model.evaluate(text=text[:300], streams=3)
        Path(_TALLY).write_text(json.dumps({"tried": number + 1}), "utf-8")


TRIALS = {"files": _files, "networks": _networks}


def _main(words: Sequence[str]) -> None:
    kind, seconds, seed = words
    if why := missing_reason():
        raise RuntimeError(why)
    for case in TRIALS[kind](Effort(seconds=float(seconds), seed=int(seed))):
        Path(_CASE).write_text(case, "utf-8")


PARTS = (
    Part(
        number=20,
        promise="The engine in C reads and writes only its own memory, does nothing that C leaves "
        "undefined, and its threads do not race, whatever a file holds.",
        not_promised="the same of numpy, torch and the other libraries; of AMX instructions the "
        "emulation is checked, and of vector instructions the best set of this machine.",
        seconds=150,
        run=try_promise,
        needs=("linux",),
    ),
)


if __name__ == "__main__":
    _main(sys.argv[1:])
