"""Which rows `benchmarks/speed.py` measures on a CPU, and what it leaves out. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from textgen.native.library import BF16_ISAS

TIME = 64  # steps of a window
VOCABULARY = 67  # tinyshakespeare's 65 characters and two marks
#: Each has a row of its own where it is not the best one.
FP32_ISAS = ("avx512", "avx2", "neon", "generic")

#: What of torch stands against the engine.
AUTOCAST, FP32, BF16_WEIGHTS, LOOP = "autocast", "fp32", "bf16", "reference loop"

#: The gates of the cells that torch has a module for.
BLOCKS = {"lstm": 4, "gru": 3, "rnn": 1}

#: The ratios that were set, most of them for a Xeon with AMX and two cores.
TARGETS = {
    "LSTM 1x512 B64, amx : autocast": 4.5,
    "LSTM 1x512 B64, amx : fp32": 12.0,
    "LSTM 1x1024 B64, amx : autocast": 4.0,
    "LSTM 2x512 B64, amx : autocast": 4.0,
    "LSTM 1x512 B64, avx512 : fp32": 2.0,
    "LSTM 1x512 B64, avx2 : fp32": 1.2,
    "GRU 1x512 B64, amx : autocast": 6.0,
    "peephole 1x512 B64, amx : reference loop": 5.0,
    "coupled 1x512 B64, amx : reference loop": 5.0,
    "mlstm 1x512 B64, amx : reference loop": 5.0,
    "depth-gated 2x512 B64, amx : reference loop": 5.0,
    "training step 1x512 B64, 67 symbols, amx : autocast": 4.0,
    "64 streams 1x512, amx : bf16": 5.0,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row: what is timed, and against what.

    Args:
        kind: `layers` (forward and backward), `step` (a whole training step), `many` (a step of
            `batch` streams, with logits) or `evaluation` (forward alone).
        isa: The instruction set of the engine.
        against: `AUTOCAST`, `FP32`, `BF16_WEIGHTS` or `LOOP`.
        cell: The recurrent cell.
        hidden: Units of a layer.
        layers: Layers.
        batch: Streams.
        symbols: The vocabulary's.
    """

    kind: str
    isa: str
    against: str
    cell: str = "lstm"
    hidden: int = 512
    layers: int = 1
    batch: int = 64
    symbols: int = VOCABULARY

    @property
    def name(self) -> str:
        """The row's name."""
        size = f"{self.layers}x{self.hidden}"
        cell = self.cell.upper() if self.cell in BLOCKS else self.cell
        what = {
            "layers": f"{cell} {size} B{self.batch}",
            "step": f"training step {size} B{self.batch}, {self.symbols} symbols",
            "many": f"{self.batch} streams {size}",
            "evaluation": f"evaluation {size} B{self.batch}",
        }[self.kind]
        return f"{what}, {self.isa} : {self.against}"

    @property
    def tokens(self) -> int:
        """Tokens that one call computes."""
        return self.batch * (1 if self.kind == "many" else TIME)

    @property
    def flops(self) -> float:
        """Floating-point operations of one call's products; 0 where they are not counted.

        The first layer's input is a row of a table: a sum, and no product.
        """
        blocks = BLOCKS.get(self.cell, 0)
        if self.kind not in ("layers", "step") or not blocks:
            return 0.0
        each = 6 * blocks * self.hidden**2 * (2 * self.layers - 1)
        if self.kind == "step":
            each += 6 * self.hidden * self.symbols
        return float(each * self.tokens)


def choose_rows(isas: Sequence[str], known: Sequence[str]) -> tuple[list[Case], list[str]]:
    """The rows for a CPU, and in a line each what is left out and why.

    Args:
        isas: The instruction sets that the engine runs on here, best first; at least one.
        known: Those that there is code for on this architecture.
    """
    best = isas[0]
    has_bf16 = best in BF16_ISAS
    usual = AUTOCAST if has_bf16 else FP32

    layers = partial(Case, kind="layers")
    # What matters most comes first: on a slow machine the time does not do for the last rows.
    step = partial(Case, kind="step", isa=best, against=usual)
    rows = [layers(isa=best, against=usual)]
    if has_bf16:
        rows.append(layers(isa=best, against=FP32))
    rows.append(step())
    rows += [
        layers(isa=best, against=usual, batch=32),
        layers(isa=best, against=usual, batch=32, hidden=256),
        layers(isa=best, against=usual, hidden=128),
        layers(isa=best, against=usual, hidden=1024),
        layers(isa=best, against=usual, layers=2),
    ]
    rows += [layers(isa=isa, against=FP32) for isa in FP32_ISAS if isa in isas and isa != best]
    rows += [layers(isa=best, against=usual, cell=cell) for cell in ("gru", "rnn")]
    # What torch has no module for is measured against the specification, looped over time.
    for cell, count in (("peephole", 1), ("coupled", 1), ("mlstm", 1), ("depth-gated", 2)):
        sets = dict.fromkeys((best, *(isa for isa in isas if isa == "avx2")))
        rows += [layers(isa=isa, against=LOOP, cell=cell, layers=count) for isa in sets]
    rows += [step(symbols=symbols) for symbols in (5000, 30000)]
    rows.append(Case(kind="many", isa=best, against=BF16_WEIGHTS if has_bf16 else FP32))
    rows.append(Case(kind="evaluation", isa=best, against=usual))

    left_out = [
        f"{isa}: this CPU lacks it, or the engine was built without it"
        for isa in known
        if isa not in isas
    ]
    if not has_bf16:
        left_out.append(
            "torch in bf16 (autocast, bf16 weights): torch would emulate it here, so every row is "
            "against fp32"
        )
    return rows, left_out
