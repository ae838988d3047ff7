"""The choice of a path, with its reason. Loads torch only where the native path is not taken."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from textgen.cells import BUILT_IN, Cell, try_step
from textgen.errors import BackendError, ConfigError, named
from textgen.native import library
from textgen.ops.path import Path
from textgen.progress import task

if TYPE_CHECKING:
    import torch

#: Forces a path, or an instruction set of the native one, for tests and comparisons.
PATH_VARIABLE = "TEXTGEN_PATH"
PATH_NAMES = ("native", "torch", "reference")
PRECISIONS = ("auto", "fp32", "bf16")
#: Why a registered cell is slow; the factor is that of a GRU (docs/log.md).
OWN_CELL = (
    "'{name}' is a cell of your own, which the native engine does not know; it trains about ten "
    "times slower"
)
#: The cells that the native engine computes.
NATIVE_CELLS = BUILT_IN


def select(cell: Cell, device: str, precision: str = "auto", threads: int = 1) -> Path:
    """Choose how to compute a network of `cell` on `device`.

    Args:
        cell: The cell.
        device: `cpu`, `cuda` or `mps`.
        precision: `auto` takes bf16 where the hardware multiplies it faster than fp32.
        threads: Computing threads.
    Returns:
        The path and why it was taken.
    Raises:
        ConfigError: The precision, or what `TEXTGEN_PATH` names, is not known, or the two
            contradict each other.
        BackendError: What was asked for does not work here.
    """
    if precision not in PRECISIONS:
        raise ConfigError(
            f"{named('precision')} '{precision}' is not known; "
            f"choose one of: {', '.join(PRECISIONS)}"
        )
    forced = os.environ.get(PATH_VARIABLE, "")
    names = (*PATH_NAMES, *library.ISA_NAMES)
    if forced and forced not in names:
        raise ConfigError(
            f"{PATH_VARIABLE}={forced} names no path; choose one of: {', '.join(names)}"
        )
    if forced == "native" or forced in library.ISA_NAMES:
        return _forced_native(forced, cell, device, precision, threads)
    missing = ""
    if not forced and device == "cpu" and cell.name in NATIVE_CELLS:
        if supported := library.supported_isas():
            return _native(supported, precision, threads, "the native engine")
        missing = library.missing_reason()
    return _in_torch(forced, cell, device, precision, threads, missing)


def _forced_native(forced: str, cell: Cell, device: str, precision: str, threads: int) -> Path:
    asked = f"{PATH_VARIABLE}={forced} asks for the native engine"
    if device != "cpu":
        raise BackendError(f"{asked}, which computes on a CPU, not on '{device}'; use --device cpu")
    if cell.name not in NATIVE_CELLS:
        raise BackendError(
            f"{asked}, which computes the cells {', '.join(NATIVE_CELLS)}, not '{cell.name}'; "
            f"leave {PATH_VARIABLE} unset"
        )
    supported = library.supported_isas()
    if not supported:
        raise BackendError(f"{PATH_VARIABLE}={forced}: {library.missing_reason()}")
    if forced == "native":
        return _native(supported, precision, threads, f"the native engine: {PATH_VARIABLE} asks")
    if forced not in supported:
        raise BackendError(
            f"{PATH_VARIABLE}={forced} asks for instructions that this machine "
            f"({platform.machine()}) lacks; it has: {', '.join(supported)}"
        )
    own = _isa_precision(forced)
    if precision not in ("auto", own):
        others = ", ".join(isa for isa in supported if _isa_precision(isa) == precision)
        raise ConfigError(
            f"{PATH_VARIABLE}={forced} computes in {own}, but {precision} is asked for; "
            + (f"of this machine's instructions that is: {others}" if others else "use fp32")
        )
    return _native((forced,), precision, threads, f"the native engine: {PATH_VARIABLE} asks")


def _native(supported: tuple[str, ...], precision: str, threads: int, label: str) -> Path:
    """The best of `supported` that computes in `precision`."""
    fitting = [isa for isa in supported if precision in ("auto", _isa_precision(isa))]
    if not fitting:
        raise BackendError(
            f"bf16 was asked for, but this CPU ({platform.machine()}) has no instructions for it, "
            f"only: {', '.join(supported)}; use --precision fp32"
        )
    isa = fitting[0]
    own = _isa_precision(isa)
    if precision != "auto":
        why = "asked for"
    elif own == "bf16":
        why = "this CPU multiplies it faster than fp32"
    else:
        why = "this CPU has no bf16 instructions"
    reason = f"{label}; {own}: {why}"
    return Path("native", own, reason, "cpu", isa, threads)


def _isa_precision(isa: str) -> str:
    return "bf16" if isa in library.BF16_ISAS else "fp32"


def _in_torch(
    forced: str, cell: Cell, device: str, precision: str, threads: int, missing: str
) -> Path:
    with task("loading torch"):
        import torch

        from textgen.ops.torch_recurrence import bf16_works, kernel_of

    kernel = kernel_of(cell)
    if cell.name not in BUILT_IN:
        try_step(cell, torch, torch.from_numpy)
    if forced == "reference" or not kernel:
        if forced == "reference":
            why = f"{PATH_VARIABLE} asks for it"
        else:
            nonlinearity = getattr(cell, "nonlinearity", "tanh")
            which = "" if nonlinearity == "tanh" else f" with the nonlinearity '{nonlinearity}'"
            why = f"torch has no kernel for '{cell.name}'{which}"
            if cell.name not in BUILT_IN:
                why = OWN_CELL.format(name=cell.name)
        if precision == "bf16":
            raise BackendError(f"the loop over time steps ({why}) knows no bf16; leave it out")
        reason = _joined(f"a loop over time steps: {why}", missing)
        return Path("reference", "fp32", reason, device, threads=threads)
    place = torch.device(device)
    label = f"torch's {cell.name.upper()}"
    fast, why = _bf16_support(place)
    works = (precision == "bf16" or (precision == "auto" and fast)) and bf16_works(kernel, place)
    if precision == "bf16" and not works:
        raise BackendError(f"bf16 does not work on this {device} device; use --precision fp32")
    if precision == "auto" and fast and not works:
        why = f"{why}, but {label} does not work with it here"
    if precision != "auto":
        why = "asked for"
    taken = "bf16" if works else "fp32"
    reason = _joined(f"{label}; {taken}: {why}", missing)
    return Path("torch", taken, reason, device, threads=threads)


def _joined(reason: str, missing: str) -> str:
    return f"{reason}; {missing}" if missing else reason


def _bf16_support(device: torch.device) -> tuple[bool, str]:
    """Whether `device` multiplies bf16 faster than fp32, and how that is known."""
    import torch

    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return True, f"{torch.cuda.get_device_name(device)} computes it natively"
        return False, f"{torch.cuda.get_device_name(device)} has no native bf16"
    if device.type != "cpu":
        return False, f"the {device.type} device is run in float32"
    capabilities = torch.cpu.get_capabilities()
    for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512")):
        if capabilities.get(flag, False):
            return True, f"this CPU multiplies it in {name} instructions"
    return False, f"this CPU ({platform.machine()}) has no bf16 instructions"
