"""The largest errors of windows on every instruction set of this CPU, for each cell.

`windows.sh` runs it. The shapes, and what is right, are those of `tests/native/test_net.py`.
"""

from __future__ import annotations

from native.test_net import BF16_BOUND, FP32_BOUND, SHAPES, expected

from support.native_windows import CELLS, computed, error
from textgen.native.library import BF16_ISAS, supported_isas


def largest(isa: str, cell: str, nonlinearity: str) -> tuple[float, float]:
    """Of all values, and of all gradients, relative to the largest number of each array."""
    values, gradients = [], []
    for shape, (_, threads) in SHAPES.items():
        case, wanted = expected(cell, nonlinearity, shape)
        found = computed(case, isa, threads)
        values += [error(array, wanted.values[name]) for name, array in found.values.items()]
        gradients += [error(a, wanted.gradients[name]) for name, a in found.gradients.items()]
    return max(values), max(gradients)


if __name__ == "__main__":
    for isa in supported_isas():
        bound = BF16_BOUND if isa in BF16_ISAS else FP32_BOUND
        print(f"{isa}: within {bound:g}, gradients within {2 * bound:g}")
        for cell, nonlinearity in CELLS:
            values, gradients = largest(isa, cell, nonlinearity)
            name = f"{cell}, {nonlinearity}" if cell == "rnn" else cell
            print(f"  {name:<14} {values:.1e}   gradients {gradients:.1e}", flush=True)
