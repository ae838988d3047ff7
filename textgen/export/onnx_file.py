"""One step of a model as a file for ONNX: ids and state in, logits and state out."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import SavedModel
from textgen.errors import BackendError
from textgen.export.exported import Exported, compare, refuse_existing, trial, write_all
from textgen.extras import install_hint
from textgen.model.network import Engine
from textgen.progress import task


def write_onnx(saved: SavedModel, path: Path, *, force: bool = False) -> Exported:
    """Write one step of a model as a file for ONNX.

    The inputs are `ids` (int64, `(B,)`) and each state of the cell by its name (float32, `(L, B,
    H)`, zeros at the start of a text); the outputs `logits` (`(B, V)`) and each new state with
    `new_` before its name. `B` is free. The file's metadata has the symbols as JSON: the place of a
    symbol in `symbols` is its id; the first two are the end of a text and the unknown symbol.

    Args:
        saved: The model, with any cell.
        path: The file.
        force: Replace it if it exists.
    Raises:
        ConfigError: It exists.
        StorageError: It cannot be written.
        BackendError: torch, onnx or onnxscript is not installed; or the file computes other
            numbers.
    """
    refuse_existing([path], force=force)
    with task("translating the model"):
        data = _translated(saved)
    with task("comparing the file with the model"):
        ids_TB, expected = trial(saved)
        difference = compare(expected, run_onnx(data, ids_TB))
    files = write_all(path.parent, {path.name: data})
    return Exported(path, files, len(ids_TB), difference)


def _translated(saved: SavedModel) -> bytes:
    """The bytes of the file."""
    try:
        import onnx
        import onnxscript  # noqa: F401
        import torch
    except ImportError as error:
        raise BackendError(
            f"export onnx needs {error.name}; {install_hint(error.name or '')}"
        ) from error
    from textgen.model.torch_network import LanguageModel

    config = saved.config
    model = LanguageModel(config, Engine("reference", "fp32", "exported"))
    model.load_arrays(saved.weights)
    names = config.cell_spec.state_names

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids_B: Any, *states_LBH: Any) -> tuple[Any, ...]:
            state = [
                {name: each[layer] for name, each in zip(names, states_LBH, strict=True)}
                for layer in range(config.num_layers)
            ]
            logits, after = self.model(ids_B[None], state)
            return logits[0], *(torch.stack([one[name] for one in after]) for name in names)

    batch = torch.export.Dim("batch", min=1)
    # One each: of one array that is given twice the translator makes one input.
    states = [torch.zeros(config.num_layers, 2, config.hidden_size) for _ in names]
    with _silent():
        program = torch.onnx.export(
            Step().eval(),
            (torch.zeros(2, dtype=torch.long), *states),
            input_names=["ids", *names],
            output_names=["logits", *(f"new_{name}" for name in names)],
            dynamic_shapes=({0: batch}, tuple({1: batch} for _ in names)),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        proto = program.model_proto
    # Where in our files each step comes from is nobody's business, and a third of the file.
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    vocabulary = saved.vocabulary
    told = {"level": vocabulary.level, "symbols": list(vocabulary.symbols)}
    onnx.helper.set_model_props(proto, {"textgen": json.dumps(told, ensure_ascii=False)})
    data: bytes = proto.SerializeToString()
    return data


def run_onnx(data: bytes, ids_TB: NDArray[np.int64]) -> NDArray[np.float32]:
    """The logits after each token, `(T, B, V)`, by the reference of the format.

    onnxruntime would be faster, but writes a number for this computer into the home folder and
    reports to its maker.

    Args:
        data: The bytes of the file.
        ids_TB: Tokens, `(T, B)`.
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator: Any = ReferenceEvaluator(onnx.load_from_string(data))
    texts = ids_TB.shape[1]
    states = {
        told.name: np.zeros(
            [place.dim_value or texts for place in told.type.tensor_type.shape.dim], np.float32
        )
        for told in evaluator.proto_.graph.input[1:]
    }
    rows = []
    for ids_B in ids_TB:
        logits_BV, *after = evaluator.run(None, {"ids": ids_B, **states})
        states = dict(zip(states, after, strict=True))
        rows.append(logits_BV)
    return np.stack(rows)


@contextlib.contextmanager
def _silent() -> Any:
    """What the translator says of its own parts says nothing to a user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
