"""Signals at random moments of every command: what Ctrl-C, SIGTERM and SIGHUP lead to.

    python benchmarks/promises/signals.py [--tries 500] [--only NAME,...] [--seed 0] [--busy N]
        [--script textgen] [--jsonl FILE]

Each try starts a command in a process of its own, in a fresh copy of a small project, and sends it
a signal at a moment drawn uniformly from the time that the command takes when nobody disturbs it;
every third try sends a second signal up to half a second later. Noted are the time from the first
signal to the end, the exit code, whether Python's traceback was printed, and whether each file is
as it was, as it is after the whole command, or sound by its own checksum.

The promise: one line and the code 130, 143 or 129, no traceback, every file whole, and an end
within a second, of `train` too. What Python does before textgen has set its handlers is left out: a
traceback of these milliseconds is counted by itself. After 0 failures in n tries the true share
is below 3/n with 95 % confidence.

`train 1x512` is the size at which a step and a save take longest; it is never left to end.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from campaign import Effort, Figure, Part, repeat
from measuring import environment, made_up_text

from textgen.checkpoint.format import read_file, read_layout
from textgen.errors import TextgenError

#: Seconds after which a command that has not ended counts as one that does not obey.
PATIENCE = 30.0
#: Every so many tries have a second signal, which comes at most so many seconds later.
DOUBLE, LATER = 3, 0.5
#: The promised time from a signal to the end, in seconds.
PROMISED = 1.0
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

_SMALL = ("--hidden", "48", "--batch-size", "8", "--seq-len", "32")
#: Every command by a name of ours: the words, in a project as `make_project` leaves it.
COMMANDS: dict[str, tuple[str, ...]] = {
    "version": ("--version",),
    "help": ("--help",),
    "help of train": ("train", "--help"),
    "list": ("list",),
    "train": ("train", "text.txt", "--steps", "250", "--eval-every", "50", *_SMALL, "--out", "run"),
    "resume": ("train", "stopped", "--resume"),
    "more": ("train", "small", "--more", "150steps"),
    "numbers": ("train", "series.csv", "--numbers", "--out", "series"),
    "sample": ("sample", "--checkpoint", "small", "--length", "20000"),
    "many samples": ("sample", "--checkpoint", "small", "--count", "8", "--length", "4000"),
    "eval": ("eval", "text.txt", "--checkpoint", "small"),
    "corpus": ("corpus", "text.txt"),
    "compress": ("compress", "part.txt", "--checkpoint", "small", "--out", "new.textgen"),
    "decompress": ("decompress", "old.textgen", "--checkpoint", "small", "--out", "new.txt"),
    "export html": ("export", "html", "small.html", "--checkpoint", "small", "--force"),
    "export torch": ("export", "torch", "exported", "--checkpoint", "small", "--force"),
    "export onnx": ("export", "onnx", "small.onnx", "--checkpoint", "small", "--force"),
    "compare": ("compare", "text.txt", "--cells", "rnn,gru", "--params", "3k", "--steps", "10"),
    "inspect": ("inspect", "--checkpoint", "small", "--text", "бав гево жизу"),
    "neurons": ("inspect", "neurons", "part.txt", "--checkpoint", "small"),
    "features": (
        *("inspect", "features", "part.txt", "--checkpoint", "small"),
        *("--latents", "64", "--states", "20000"),
    ),
    "gates": ("inspect", "gates", "part.txt", "--checkpoint", "small"),
    "similar": ("inspect", "similar", "бав гево", "part.txt", "--checkpoint", "small"),
    "memory": ("inspect", "memory", "small", "--file", "part.txt"),
    "influence": ("inspect", "influence", "--checkpoint", "small", "--text", "бав гево жизу"),
    "occurrences": ("inspect", "occurrences", "б*", "text.txt"),
    "cell": ("inspect", "cell", "lstm"),
    "page": ("inspect", "--checkpoint", "small", "--text", "бав гево", "--html", "page.html"),
    "lesson": ("lessons", "2", "--all"),
}
#: Commands that go on for long: the moments are drawn from so many seconds.
ENDLESS: dict[str, tuple[tuple[str, ...], float]] = {
    "train 1x512": (
        ("train", "text.txt", "--steps", "100000", "--hidden", "512", "--out", "run"),
        15.0,
    ),
    "serve": (("serve", "--checkpoint", "small", "--port", "0"), 4.0),
}
#: Commands that end soon and need no project: those of a quick campaign.
WITHOUT_PROJECT = ("version", "help")


@dataclass(frozen=True)
class SignalTry:
    """One command that was sent a signal.

    Args:
        command: Its name in `COMMANDS` or `ENDLESS`.
        signals: The names of what was sent; none where it had ended before.
        moment: Seconds from its start to the first signal.
        share: The same as a share of what the whole command takes.
        latency: Seconds from the first signal to the end.
        answer: Seconds from the first signal to the first word on stderr; None: it ended first.
        computed: Seconds that it computed between the first signal and the end, on all cores: what
            the latency would be on a machine that does nothing else, but for the disk; None where
            the system does not tell.
        code: The exit code; negative: the signal itself ended it; None: it did not end.
        traceback: Whether Python printed one.
        is_pythons: Whether it came before textgen had set its handlers, the first thing it does.
        broken: Files that are neither as before nor whole.
        left_over: Temporary files.
        error_text: The end of what it wrote on stderr.
    """

    command: str
    signals: tuple[str, ...]
    moment: float
    share: float
    latency: float
    answer: float | None
    computed: float | None
    code: int | None
    traceback: bool
    is_pythons: bool
    broken: tuple[str, ...]
    left_over: tuple[str, ...]
    error_text: str

    @property
    def is_kept(self) -> bool:
        """Whether the promise was kept, in all but the time."""
        sent = [int(getattr(signal, name)) for name in self.signals]
        # 0: it was done just then. A signal may also come before Python or after the last word.
        codes = {0, *(code for signum in sent for code in (128 + signum, -signum))}
        ours = self.traceback and not self.is_pythons
        return not ours and not self.broken and (self.is_pythons or self.code in codes)


@dataclass(frozen=True)
class _Whole:
    """A command that nobody disturbs: how long it takes, and the files that it leaves."""

    seconds: float
    files: dict[str, str]


def make_project(folder: Path, program: Sequence[str]) -> None:
    """Texts, a trained model, a run that can go on, a compressed file: what the commands need.

    Args:
        folder: An empty folder.
        program: The words that start textgen.
    Raises:
        subprocess.CalledProcessError: A command failed.
    """
    text = made_up_text(60_000)
    (folder / "text.txt").write_text(text, "utf-8")
    (folder / "part.txt").write_text(text[:6_000], "utf-8")
    series = [1, 1]
    while len(series) < 12:
        series.append(series[-1] + series[-2])
    (folder / "series.csv").write_text("\n".join(map(str, series)) + "\n", "utf-8")
    made = (
        ("train", "text.txt", "--steps", "120", *_SMALL, "--out", "checkpoints/small"),
        ("compress", "part.txt", "--checkpoint", "small", "--out", "old.textgen"),
    )
    for words in made:
        _finish([*program, *words], folder)
    begun = ("train", "text.txt", "--steps", "900", *_SMALL, "--out", "checkpoints/stopped")
    going = subprocess.Popen(
        [*program, *begun, "--save-every", "20"],
        cwd=folder,
        env=child_environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (folder / "checkpoints/stopped/metrics.jsonl").exists():
        time.sleep(0.05)
    going.terminate()
    going.wait()


def child_environment(folder: Path) -> dict[str, str]:
    """The variables of a command: its home and its cache are in the folder."""
    return {**environment(), "HOME": str(folder), "TEXTGEN_CACHE": str(folder / "cache")}


def _finish(words: Sequence[str], folder: Path) -> None:
    subprocess.run(
        words,
        cwd=folder,
        env=child_environment(folder),
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def _files(folder: Path) -> dict[str, str]:
    """Every file below a folder by its path, with its hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _is_sound(path: Path) -> bool:
    """Whether a file that is neither as before nor as after the whole command is whole."""
    try:
        if path.suffix == ".safetensors":
            read_file(path, kind=read_layout(path, kind=None).kind)
        elif path.suffix == ".jsonl":
            for line in path.read_text("utf-8").splitlines():
                json.loads(line)
        elif path.suffix == ".json":
            json.loads(path.read_text("utf-8"))
        elif path.suffix == ".png":
            return path.read_bytes().endswith(b"IEND\xaeB`\x82")
        else:
            return path.name == ".lock" or path.parent.name.startswith("cache")
    except (TextgenError, ValueError):
        return False
    return True


def _whole(words: Sequence[str], project: Path) -> _Whole:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "project"
        shutil.copytree(project, folder)
        began = time.monotonic()
        _finish(words, folder)
        return _Whole(time.monotonic() - began, _files(folder))


def try_once(
    name: str,
    words: Sequence[str],
    whole: _Whole,
    project: Path,
    before: dict[str, str],
    signals: Sequence[int],
    moment: float,
    gap: float,
) -> SignalTry:
    """Start a command and send it signals.

    Args:
        name: Of the command.
        words: That start it.
        whole: What it does when nobody disturbs it.
        project: A folder that is copied for it.
        before: The files of the project.
        signals: What is sent, one or two.
        moment: When, in seconds from the start.
        gap: Seconds between two signals.
    """
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place) / "project"
        shutil.copytree(project, folder)
        said = Path(place) / "stderr"
        errors = stack.enter_context(open(said, "wb"))
        out = stack.enter_context(open(Path(place) / "stdout", "wb"))
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=child_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
        )
        began = time.monotonic()
        computed_before = _computed_by_children()
        computed_first: float | None = None
        sent: list[str] = []
        first = began
        answer: float | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        for signum in signals:
            if process.poll() is not None:
                break
            if sent:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(gap)
                if process.poll() is not None:
                    break
            else:
                computed_first = _computed_by(process.pid)
                first, size = time.monotonic(), said.stat().st_size
            process.send_signal(signum)
            sent.append(signal.Signals(signum).name)
        while process.poll() is None and time.monotonic() - first < PATIENCE:
            if answer is None and said.stat().st_size > size:
                answer = time.monotonic() - first
            time.sleep(0.005)
        latency = time.monotonic() - first
        code = process.poll()
        if code is None:
            process.kill()
            process.wait()
        computed = None
        if computed_first is not None:
            computed = max(0.0, _computed_by_children() - computed_before - computed_first)
        error_text = said.read_text("utf-8", "replace")
        traceback = "Traceback" in error_text or "Exception ignored" in error_text
        after = _files(folder)
        known = {**before}
        left_over = [path for path in after if path.endswith(".tmp")]
        broken = [
            path
            for path, digest in after.items()
            if digest not in (known.get(path), whole.files.get(path))
            and path not in left_over
            and not _is_sound(folder / path)
        ]
        broken += [path for path in before if path not in after]
    return SignalTry(
        command=name,
        signals=tuple(sent),
        moment=round(first - began, 4),
        share=round((first - began) / whole.seconds, 4),
        latency=round(latency, 4),
        answer=None if answer is None else round(answer, 4),
        computed=None if computed is None else round(computed, 4),
        code=code,
        traceback=traceback,
        is_pythons=traceback and is_before_handlers(error_text),
        broken=tuple(broken),
        left_over=tuple(left_over),
        error_text=error_text[-2000:] if traceback or code is None else error_text[-200:],
    )


def is_before_handlers(error_text: str) -> bool:
    """Whether a traceback comes from before textgen had set its handlers, which it does first."""
    frames = re.findall(r'File "[^"]*/textgen/([^"]+)", line \d+, in \S+\n +(.*)', error_text)
    first = ("__init__.py", "cli/first_signals.py")
    return all(path in first or line.startswith("from textgen.cli") for path, line in frames)


def _computed_by(pid: int) -> float | None:
    """CPU seconds of a process that runs; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _computed_by_children() -> float:
    """CPU seconds of all children that have ended and were waited for."""
    times = os.times()
    return times.children_user + times.children_system


def run(
    tries: int,
    *,
    only: Sequence[str] = (),
    seed: int = 0,
    program: Sequence[str] = (sys.executable, "-m", "textgen"),
    first_seconds: float | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Iterator[SignalTry]:
    """Send signals to the commands, one after the other, at random moments.

    Args:
        tries: How many; the commands take turns.
        only: Names of commands; none: all.
        seed: Of the moments and the signals.
        program: The words that start textgen.
        first_seconds: Draw the moments from so many seconds at the start; None: from all the time.
        say: Is told what is prepared.
    Yields:
        A record a try.
    """
    # What starts this in the background has signals ignored, and so would the commands. They do not
    # inherit a handler.
    for signum in SIGNALS:
        if signal.getsignal(signum) == signal.SIG_IGN:
            signal.signal(signum, lambda signum, frame: None)
    rng = random.Random(seed)
    names = list(only) or [*COMMANDS, *ENDLESS]
    with tempfile.TemporaryDirectory(prefix="textgen-signals-") as place:
        project = Path(place)
        if set(names) - set(WITHOUT_PROJECT):
            say("making the project")
            make_project(project, program)
        before = _files(project)
        wholes: dict[str, _Whole] = {}
        for number in range(tries):
            name = names[number % len(names)]
            words = [*program, *(ENDLESS[name][0] if name in ENDLESS else COMMANDS[name])]
            if name not in wholes:
                say(f"{name}: once, undisturbed")
                wholes[name] = (
                    _Whole(ENDLESS[name][1], {}) if name in ENDLESS else _whole(words, project)
                )
            whole = wholes[name]
            moment = rng.uniform(0, first_seconds or whole.seconds)
            count = 2 if number // len(names) % DOUBLE == DOUBLE - 1 else 1
            signals = [rng.choice(SIGNALS) for _ in range(count)]
            gap = rng.uniform(0, LATER)
            yield try_once(name, words, whole, project, before, signals, moment, gap)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def summary(tries: Sequence[SignalTry]) -> list[str]:
    """Lines of figures."""
    sent = [one for one in tries if one.signals]
    lines = [f"{len(tries)} tries, {len(sent)} signalled, the others had ended before"]
    if not sent:
        return lines
    ours = [one for one in sent if one.traceback and not one.is_pythons]
    pythons = [one for one in sent if one.is_pythons]
    failed = [one for one in sent if not one.is_kept]
    lines += [
        f"tracebacks: {len(ours)} of textgen, {len(pythons)} of Python before textgen had handlers"
        + (f" (the last {max(one.moment for one in pythons) * 1000:.0f} ms in)" if pythons else ""),
        f"not ended after {PATIENCE:.0f} s: {sum(one.code is None for one in sent)}",
        f"broken files: {sum(bool(one.broken) for one in sent)}, "
        f"temporary files left: {sum(bool(one.left_over) for one in sent)}",
        f"promise not kept: {len(failed)}"
        + ("" if failed else f" (below {3 / len(sent):.2%} with 95 % confidence)"),
    ]
    groups = {
        "one signal": [one for one in sent if len(one.signals) == 1],
        "two signals": [one for one in sent if len(one.signals) == 2],
        **{name: [one for one in sent if one.command == name] for name in ENDLESS},
    }
    for group, own in groups.items():
        if own:
            latencies = [one.latency for one in own]
            slow = sum(latency > PROMISED for latency in latencies)
            answers = [one.answer for one in own if one.answer is not None]
            lines.append(
                f"{group}, {len(own)}: median {percentile(latencies, 0.5):.3f} s, "
                f"99th percentile {percentile(latencies, 0.99):.3f} s, "
                f"most {max(latencies):.3f} s, {slow} above {PROMISED:g} s"
                + (f"; first word: most {max(answers):.3f} s" if answers else "")
            )
            computed = [one.computed for one in own if one.computed is not None]
            lines.append(
                f"  computed meanwhile: median {percentile(computed, 0.5):.3f} s, "
                f"99th percentile {percentile(computed, 0.99):.3f} s, most {max(computed):.3f} s"
                if computed
                else "  computed meanwhile: not known on this system"
            )
    return lines


def try_promise(effort: Effort) -> Figure:
    """Part 7 of the campaign."""
    only = WITHOUT_PROJECT if effort.is_quick else ()
    tries = run(1_000_000, only=only, seed=effort.seed)
    done = [one for _, one in zip(effort.tries(), tries, strict=False)]
    sent = [one for one in done if one.signals]
    failed = [
        f"{one.command}: {', '.join(one.signals)} after {one.moment} s led to the code {one.code}, "
        f"broken files {one.broken}, stderr {one.error_text[-300:]!r} {repeat(7, effort, number)}"
        for number, one in enumerate(done)
        if one.signals and not one.is_kept
    ]
    slowest = max(sent, key=lambda one: one.latency, default=None)
    late = sum(one.latency > PROMISED for one in sent)
    return Figure(
        tried=len(sent),
        failures=tuple(failed),
        text=f"{late} of them took longer than {PROMISED:g} s to end."
        + "".join(f" {line}." for line in summary(done)[5:] if not line.startswith("  ")),
        worst=f"{slowest.latency:.2f} s from the signal to the end, {slowest.command}"
        if slowest
        else "",
    )


PARTS = (
    Part(
        number=7,
        promise="Ctrl-C, SIGTERM and SIGHUP end every command with one line, the right exit code, "
        "no traceback, and every file whole.",
        not_promised="an end within one second on a machine that is busy with other work; the "
        "first milliseconds, before textgen has set its handlers.",
        seconds=1000,
        run=try_promise,
    ),
)


def main() -> None:
    """Run the tries and print the figures; the exit code is 1 where the promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=500)
    parser.add_argument("--only", default="", help="names of commands, with commas between them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside it")
    parser.add_argument("--script", help="start this script, not `python -m textgen`")
    parser.add_argument("--first", type=float, help="only moments in so many first seconds")
    parser.add_argument("--jsonl", type=Path, help="write the records to this file")
    asked = parser.parse_args()
    program = (asked.script,) if asked.script else (sys.executable, "-m", "textgen")
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(asked.busy)]
    records: list[SignalTry] = []
    try:
        for one in run(
            asked.tries,
            only=[name for name in asked.only.split(",") if name],
            seed=asked.seed,
            program=program,
            first_seconds=asked.first,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        ):
            records.append(one)
            if asked.jsonl:
                with open(asked.jsonl, "a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")
            if one.signals and (not one.is_kept or one.latency > PROMISED):
                print(f"{len(records)}: {one}", file=sys.stderr, flush=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print("\n".join(summary(records)))
    raise SystemExit(any(one.signals and not one.is_kept for one in records))


if __name__ == "__main__":
    main()
