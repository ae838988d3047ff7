"""What computes a network: the native engine, torch or NumPy, and why it was chosen.

torch is loaded only where it may take part.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from textgen.cells import BUILT_IN, Cell, try_step
from textgen.errors import BackendError, ConfigError, named
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.network import Engine, Floats, Network, no_states
from textgen.native import library
from textgen.runtime import PATH_VARIABLE, require_torch

if TYPE_CHECKING:
    import torch

PATH_NAMES = ("native", "torch", "reference")
PRECISIONS = ("auto", "fp32", "bf16")
#: What a network is opened for.
Use = Literal["train", "read", "write"]
#: Why a registered cell is slow; the factor is that of a GRU (docs/log.md).
OWN_CELL = (
    "'{name}' is a cell of your own, which the native engine does not know; it trains about ten "
    "times slower"
)


def choose_engine(
    cell: Cell,
    device: str = "cpu",
    precision: str = "auto",
    threads: int = 1,
    *,
    use: Use = "train",
    head: str = "softmax",
) -> Engine:
    """Choose what computes a network of `cell`.

    Args:
        cell: The cell.
        device: `cpu`, `cuda` or `mps`.
        precision: `auto` takes bf16 where the hardware multiplies it faster than fp32.
        threads: Computing threads.
        use: `train` is for training and evaluating, on any device; `read` is for seeing states and
            changing them, `write` for reading token by token. The last two work on a CPU. NumPy
            computes them where the native engine does not, and torch is not loaded.
        head: The model's head; writing with a distance head takes NumPy.
    Returns:
        The engine and why it was chosen.
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
    if forced and forced not in (*PATH_NAMES, *library.ISA_NAMES):
        names = (*PATH_NAMES, *library.isas_of_this_machine())
        raise ConfigError(
            f"{PATH_VARIABLE}={forced} names no path; choose one of: {', '.join(names)}"
        )
    if use != "train" and (reason := _why_numpy(forced, cell, use, head)):
        return Engine("numpy", "fp32", reason)
    if forced == "native" or forced in library.ISA_NAMES:
        return _forced_native(forced, cell, device, precision, threads)
    missing = ""
    if not forced and device == "cpu" and cell.name in BUILT_IN:
        if supported := library.supported_isas():
            return _native(supported, precision, threads, "the native engine")
        missing = library.missing_reason()
    return _in_torch(forced, cell, device, precision, threads, missing)


def _why_numpy(forced: str, cell: Cell, use: Use, head: str) -> str:
    """Return why NumPy computes and not the native engine; "" where it does not."""
    if forced == "reference":
        return f"{PATH_VARIABLE} asks for it"
    if forced == "torch":
        return f"{'sampling' if use == 'write' else 'reading states'} has no torch path"
    if use == "write" and head != "softmax":
        return f"a head by {head} distance is computed with NumPy"
    if cell.name not in BUILT_IN:
        return f"the native engine has no cell '{cell.name}'"
    if forced or library.supported_isas():
        return ""
    return library.missing_reason() or "the native engine has no code for this CPU"


def open_network(
    config: ModelConfig,
    engine: Engine,
    weights: Mapping[str, Floats] | None,
    edits: Edits = NO_EDITS,
) -> Network:
    """Open a model on an engine; torch is loaded only where the engine is torch's.

    Args:
        config: The model's shape.
        engine: From `choose_engine`.
        weights: Arrays as `config.tensor_shapes()` names them; None leaves the weights for
            `load_arrays` to fill.
        edits: Changes of the states under which `Network.nll` reads.
    Raises:
        BackendError: There are edits, and the engine changes no states.
    """
    network: Network
    if engine.name == "numpy":
        from textgen.model.numpy_network import NumpyNetwork

        assert weights is not None, "NumPy does not train"
        network = NumpyNetwork(config, weights, engine)
    elif engine.name == "native":
        from textgen.model.native_network import NativeNetwork

        network = NativeNetwork(config, engine)
    else:
        from textgen.model.torch_network import TorchNetwork

        if edits:
            raise no_states(engine)
        network = TorchNetwork(config, engine)
    if weights is not None and engine.name != "numpy":
        network.load_arrays(weights)
    network.edits = edits
    return network


def open_reader(
    config: ModelConfig, weights: Mapping[str, Floats], threads: int, precision: str = "auto"
) -> Network:
    """Open a model to see its states and to change them, on the fastest engine here.

    Args:
        config: The model's shape.
        weights: Arrays as `config.tensor_shapes()` names them.
        threads: Computing threads.
        precision: As for `choose_engine`.
    """
    engine = choose_engine(config.cell_spec, "cpu", precision, threads, use="read")
    return open_network(config, engine, weights)


def _forced_native(forced: str, cell: Cell, device: str, precision: str, threads: int) -> Engine:
    asked = f"{PATH_VARIABLE}={forced} asks for the native engine"
    if device != "cpu":
        raise BackendError(
            f"{asked}, which computes on a CPU, not on '{device}'; use {named('device', 'cpu')}"
        )
    if cell.name not in BUILT_IN:
        raise BackendError(
            f"{asked}, which computes the cells {', '.join(BUILT_IN)}, not '{cell.name}'; "
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
    own = isa_precision(forced)
    if precision not in ("auto", own):
        others = ", ".join(isa for isa in supported if isa_precision(isa) == precision)
        raise ConfigError(
            f"{PATH_VARIABLE}={forced} computes in {own}, but {precision} is asked for; "
            + (f"of this machine's instructions that is: {others}" if others else "use fp32")
        )
    return _native((forced,), precision, threads, f"the native engine: {PATH_VARIABLE} asks")


def _native(supported: tuple[str, ...], precision: str, threads: int, label: str) -> Engine:
    """The best of `supported` that computes in `precision`."""
    fitting = [isa for isa in supported if precision in ("auto", isa_precision(isa))]
    if not fitting:
        raise BackendError(
            f"bf16 was asked for, but this CPU ({platform.machine()}) has no instructions for it, "
            f"only: {', '.join(supported)}; use {named('precision', 'fp32')}"
        )
    isa = fitting[0]
    own = isa_precision(isa)
    if precision != "auto":
        why = "asked for"
    elif own == "bf16":
        why = "this CPU multiplies it faster than fp32"
    else:
        why = "this CPU has no bf16 instructions"
    reason = f"{label}; {own}: {why}"
    return Engine("native", own, reason, "cpu", isa, threads)


def isa_precision(isa: str) -> str:
    """What an instruction set multiplies: `fp32` or `bf16`."""
    return "bf16" if isa in library.BF16_ISAS else "fp32"


def _in_torch(
    forced: str, cell: Cell, device: str, precision: str, threads: int, missing: str
) -> Engine:
    require_torch(f"{missing}; what takes its place" if missing else "this computation")
    import torch

    from textgen.model.recurrence import bf16_works, kernel_of

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
        return Engine("reference", "fp32", reason, device, threads=threads)
    place = torch.device(device)
    label = f"torch's {cell.name.upper()}"
    fast, why = _bf16_support(place)
    works = (precision == "bf16" or (precision == "auto" and fast)) and bf16_works(kernel, place)
    if precision == "bf16" and not works:
        raise BackendError(
            f"bf16 does not work on this {device} device; use {named('precision', 'fp32')}"
        )
    if precision == "auto" and fast and not works:
        why = f"{why}, but {label} does not work with it here"
    if precision != "auto":
        why = "asked for"
    taken = "bf16" if works else "fp32"
    reason = _joined(f"{label}; {taken}: {why}", missing)
    return Engine("torch", taken, reason, device, threads=threads)


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
