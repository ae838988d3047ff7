"""A folder in which a model lives in plain torch: its module, its weights, a script that writes.

Nothing in it imports textgen. The files of `folder/` are copied as they are; of a cell that torch
has no layer for, the class with its equations is copied, too.
"""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import tempfile
import textwrap
from importlib import resources
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import textgen.cells.cell
from textgen.cells import BUILT_IN, Cell, RNNCell
from textgen.checkpoint import SavedModel
from textgen.errors import BackendError, ConfigError, named
from textgen.export.exported import Exported, compare, refuse_existing, trial, write_all
from textgen.extras import install_hint
from textgen.files import make_folder
from textgen.model.config import ModelConfig
from textgen.model.network import Floats
from textgen.progress import task

#: The cells that torch has a layer for; an `rnn` only with some nonlinearities.
IN_TORCH, NONLINEARITIES_IN_TORCH = ("lstm", "gru", "rnn"), ("tanh", "relu")
#: What the module is made from, of the model's shape.
_SIZES = (
    *("cell", "nonlinearity", "vocab_size", "embedding_size", "hidden_size", "num_layers"),
    *("tie", "residual"),
)
#: What the class of a cell may use of the contract.
_CONTRACT = ("Cell", "Outcome", "RecurrentProduct", "StepInputs", "sigmoid", "split")
_TRIAL = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy, torch
from model import LanguageModel
ids = torch.from_numpy(numpy.load(sys.argv[2]))
with torch.no_grad():
    logits, _ = LanguageModel.load(sys.argv[1])(ids)
numpy.save(sys.argv[3], logits.numpy())
"""


def write_torch(saved: SavedModel, folder: Path, *, force: bool = False) -> Exported:
    """Write a model as a folder for torch.

    Args:
        saved: The model.
        folder: Is made if necessary.
        force: Replace the files if they exist.
    Raises:
        ConfigError: The files exist; the output of the model is a vector; or its cell is one of
            your own, and its class does not stand by itself.
        StorageError: A file cannot be written.
        BackendError: torch is not installed, or the folder computes other numbers.
    """
    if find_spec("torch") is None:
        raise BackendError(f"export torch needs torch, to compare; {install_hint('torch')}")
    files = _files(saved)
    if folder.exists():
        make_folder(folder)  # which a file of that name refuses
        refuse_existing([folder / name for name in files], force=force)
    with task("comparing the folder with the model"):
        ids_TB, expected = trial(saved)
        difference = compare(expected, _logits_of(files, ids_TB, saved.config.cell_spec))
    make_folder(folder)
    return Exported(folder, write_all(folder, files), len(ids_TB), difference)


def _files(saved: SavedModel) -> dict[str, bytes]:
    """What the folder holds, by name."""
    from safetensors.numpy import save

    config, vocabulary = saved.config, saved.vocabulary
    if config.has_vector_output:
        raise ConfigError(
            f"the output of this model is a vector ({named('loss')} {config.head}), and the module "
            "for torch has a score for each symbol; for such a model type: textgen export onnx FILE"
        )
    in_torch = config.cell in IN_TORCH and config.nonlinearity in NONLINEARITIES_IN_TORCH
    told = {
        **{name: getattr(config, name) for name in _SIZES},
        "level": vocabulary.level,
        "folded": vocabulary.folded,
        "spelled": vocabulary.spelled,
        "lower": saved.normalization.fold,
        "pairs": saved.reads_pairs,
        "history": saved.history,
        "primer": [int(token) for token in saved.primer],
        "symbols": list(vocabulary.symbols),
    }
    weights = _torch_names(config, saved.weights) if in_torch else dict(saved.weights)
    weights["head.weight"] = weights["embedding.weight" if config.tie else "head.weight"]
    weights = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}
    files = {
        "config.json": json.dumps(told, ensure_ascii=False, indent=1).encode() + b"\n",
        "model.safetensors": save(weights),
        "model.py": _copied("torch_layers" if in_torch else "cell_layers"),
        "write.py": _copied("write"),
    }
    if not in_torch:
        files["cell.py"] = inspect.getsource(textgen.cells.cell).encode()
        files["equations.py"] = _equations(config.cell_spec).encode()
    return files


def _copied(name: str) -> bytes:
    return (resources.files(__package__) / "folder" / f"{name}.py.txt").read_bytes()


def _torch_names(config: ModelConfig, weights: Any) -> dict[str, Floats]:
    """The weights as torch's layers name them: each layer has two biases there."""
    named_so: dict[str, Floats] = {}
    for name, weight in weights.items():
        layer, _, own = name.rpartition(".")
        if own in ("weight_ih", "weight_hh"):
            named_so[f"{name}_l0"] = weight
        elif own == "bias" and layer != "head":
            named_so[f"{layer}.bias_ih_l0"] = weight
            second = np.zeros_like(weight)
            if config.cell == "gru":
                second[-config.hidden_size :] = weights[f"{layer}.bias_hn"]
            named_so[f"{layer}.bias_hh_l0"] = second
        elif own != "bias_hn":
            named_so[name] = weight
    return named_so


def _equations(cell: Cell) -> str:
    """A module with the class of a cell, and the cell as `CELL`."""
    try:
        source = textwrap.dedent(inspect.getsource(type(cell)))
    except (OSError, TypeError) as error:
        raise _stands_not_by_itself(cell, f"its source is not known ({error})") from error
    (made,) = ast.parse(source).body
    # Without decorators, such as the one that registers it.
    lines = source.splitlines()[made.lineno - 1 :]
    used = {node.id for node in ast.walk(made) if isinstance(node, ast.Name)}
    arguments = repr(cell.nonlinearity) if isinstance(cell, RNNCell) else ""
    head = [
        f'"""The recurrent cell of this model, {cell.name!r}."""',
        "from __future__ import annotations",
    ]
    if taken := [name for name in _CONTRACT if name in used]:
        head.append(f"from cell import {', '.join(taken)}")
    made_so = f"CELL = {type(cell).__name__}({arguments})"
    return "\n\n".join(head) + "\n\n\n" + "\n".join(lines) + f"\n\n\n{made_so}\n"


def _logits_of(
    files: dict[str, bytes], ids_TB: NDArray[np.int64], cell: Cell
) -> NDArray[np.float32]:
    """What the folder computes, in a process of its own that has no textgen."""
    with tempfile.TemporaryDirectory(prefix="textgen-export-") as place:
        folder, ids, logits = Path(place, "folder"), Path(place, "ids.npy"), Path(place, "l.npy")
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        np.save(ids, ids_TB)
        ran = subprocess.run(
            [sys.executable, "-I", "-B", "-c", _TRIAL, folder, ids, logits],
            capture_output=True,
            text=True,
        )
        if ran.returncode == 0:
            found: NDArray[np.float32] = np.load(BytesIO(logits.read_bytes()))
            return found
    last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
    if cell.name not in BUILT_IN:
        raise _stands_not_by_itself(cell, last)
    raise BackendError(f"torch cannot open what was exported: {last}")


def _stands_not_by_itself(cell: Cell, why: str) -> ConfigError:
    return ConfigError(
        f"the class of your cell '{cell.name}' is copied into the folder, and does not stand by "
        f"itself: {why}. It may use Cell, RecurrentProduct, StepInputs, sigmoid, split and what "
        "its own lines define, and is made without arguments"
    )
