"""The calls of `textgen.h` for NumPy arrays: whole windows, and the step of AdamW.

Shape suffixes: `T` time, `B` streams, `V` vocabulary, `E` embedding, `H` hidden, `L` layers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import (
    POINTER,
    Structure,
    addressof,
    byref,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_void_p,
)
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.cells import BUILT_IN, CELLS, NONLINEARITIES
from textgen.errors import BackendError, named
from textgen.native.library import ISA_NAMES, bind

Floats = NDArray[np.float32]

#: What `Net.read` reads: activated gate blocks by their number, and these. The output is what the
#: next layer reads: the state h with the dropout masks and, if residual, the layer's input added.
READ_CELL, READ_HIDDEN, READ_OUTPUT = 16, 17, 18
#: The states that an edit can change.
STATES = ("h", "c")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A network of the native library: the fields of `tg_config`, in its order.

    Args:
        isa: The instruction set, one of `supported_isas()`.
        cell: One of `textgen.cells.BUILT_IN`.
        nonlinearity: One of `textgen.cells.NONLINEARITIES`; only the rnn reads it.
        vocab: V.
        embedding: E.
        hidden: H.
        layers: L.
        tie: Whether the output multiplies by the embedding.
        residual: Whether each layer above the first adds its input to its output.
        has_head: False: the network ends with the last layer's output, which the caller reads and
            whose gradient the caller gives.
        eight_bit: Whether a sampler keeps its weights in 8 bits; a network takes no notice.
        threads: Computing threads.
    """

    isa: str
    cell: str
    nonlinearity: str
    vocab: int
    embedding: int
    hidden: int
    layers: int
    tie: bool
    residual: bool = False
    has_head: bool = True
    eight_bit: bool = False
    threads: int

    @property
    def num_states(self) -> int:
        """The number of states of a layer: h, and c if the cell has one."""
        return len(CELLS[self.cell].state_names)

    def structure(self) -> Config:
        """The shape as the library takes it: names become numbers."""
        numbers = {
            "isa": ISA_NAMES.index(self.isa),
            "cell": BUILT_IN.index(self.cell),
            "nonlinearity": NONLINEARITIES.index(self.nonlinearity),
        }
        return Config(**{**vars(self), **numbers})


class Config(Structure):
    """`tg_config`."""

    _fields_ = tuple((field.name, c_int32) for field in fields(Shape))


class Layer(Structure):
    """`tg_layer`; the last five are its `peepholes`."""

    _fields_ = tuple(
        (name, c_void_p)
        for name in (
            *("weight_ih", "weight_hh", "weight_mh", "bias", "bias_hn"),
            *("weight_ci", "weight_cf", "weight_co", "weight_cd", "weight_ld"),
        )
    )


class Weights(Structure):
    """`tg_weights`, with the arrays that it points into."""

    arrays: tuple[Floats, ...]

    _fields_ = (
        ("embedding", c_void_p),
        ("head", c_void_p),
        ("head_bias", c_void_p),
        ("layers", POINTER(Layer)),
    )


class EditLike(Protocol):
    """A change of a state, such as `textgen.model.edit.Edit`, which explains the fields."""

    @property
    def layer(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def scale(self) -> float: ...
    @property
    def shift(self) -> float: ...
    @property
    def unit(self) -> int | None: ...
    @property
    def read(self) -> Floats | None: ...
    @property
    def write(self) -> Floats | None: ...


class _Edit(Structure):
    """`tg_edit`."""

    _fields_ = (
        *((name, c_int32) for name in ("layer", "state", "unit")),
        *((name, c_float) for name in ("scale", "shift")),
        *((name, c_void_p) for name in ("read", "write")),
    )


class EditList(Structure):
    """`tg_edits`: the edits of one stream."""

    _fields_ = (("list", c_void_p), ("count", c_int32))


class PackedEdits:
    """The edits of several streams, one stream after the other, with the arrays they point to.

    Args:
        edits_B: The edits of each stream. The library does not check their layers, states and
            neurons.
    """

    def __init__(self, edits_B: Sequence[Sequence[EditLike]]) -> None:
        # Streams that share their edits also share the vectors.
        self._vectors: dict[int, Floats] = {}
        flat = [self._structure(edit) for edits in edits_B for edit in edits]
        self._array = (_Edit * max(1, len(flat)))(*flat)
        self._starts = np.zeros(len(edits_B) + 1, np.int32)
        np.cumsum([len(edits) for edits in edits_B], out=self._starts[1:])
        # The edits are kept, because the id of a vector identifies it only while it exists.
        self._edits_B = edits_B

    @property
    def edits(self) -> int:
        """The address of the first edit."""
        return addressof(self._array)

    @property
    def starts(self) -> int:
        """The address of the first number of `edit_starts`."""
        return int(self._starts.ctypes.data)

    def of_one(self) -> EditList:
        """The edits of the only stream, for a sampler."""
        count = int(self._starts[-1])
        return EditList(self.edits if count else None, count)

    def _structure(self, edit: EditLike) -> _Edit:
        unit = -1 if edit.unit is None else edit.unit
        read, write = self._pointer(edit.read), self._pointer(edit.write)
        state = STATES.index(edit.state)
        return _Edit(edit.layer, state, unit, edit.scale, edit.shift, read, write)

    def _pointer(self, vector: Floats | None) -> int | None:
        if vector is None:
            return None
        kept = self._vectors.setdefault(id(vector), np.ascontiguousarray(vector, np.float32))
        return int(kept.ctypes.data)


class Window(Structure):
    """`tg_window`."""

    _fields_ = (
        ("T", c_int32),
        ("B", c_int32),
        ("ids", c_void_p),
        ("resets", c_void_p),
        ("mask_E", c_void_p),
        ("mask_LBH", c_void_p),
        ("h", c_void_p),
        ("c", c_void_p),
        ("save", c_int32),
        ("edit_starts", c_void_p),
        ("edits", c_void_p),
        ("chained", c_int32),
    )


class AdamWStep(Structure):
    """`tg_adamw`."""

    _fields_ = (
        *((name, c_void_p) for name in ("parameters", "gradient", "exp_avg", "exp_avg_sq")),
        *((name, c_int64) for name in ("size", "decayed", "step")),
        *(
            (name, c_double)
            for name in (
                *("loss", "learning_rate", "beta1", "beta2", "eps", "weight_decay", "clip"),
                "norm",
            )
        ),
    )


class DescentStep(Structure):
    """`tg_descent`."""

    _fields_ = (
        *((name, c_void_p) for name in ("parameters", "start", "gradient", "stops", "rates")),
        ("parts", c_int64),
        *((name, c_double) for name in ("pull", "most")),
    )


@cache
def functions() -> ctypes.CDLL:
    """The library with the types of its calls set.

    Raises:
        BackendError: There is no library.
    """
    return bind(
        {
            "tg_net_new": (c_void_p, [POINTER(Config)]),
            "tg_net_free": (None, [c_void_p]),
            "tg_net_bytes": (c_size_t, [c_void_p]),
            "tg_net_pack": (c_int, [c_void_p, POINTER(Weights), c_int]),
            "tg_net_descend": (c_int, [c_void_p, POINTER(Weights), POINTER(DescentStep)]),
            "tg_net_forward": (c_int, [c_void_p, POINTER(Window)]),
            "tg_net_loss": (c_int, [c_void_p, c_void_p, c_void_p, POINTER(Weights)]),
            "tg_net_backward": (c_int, [c_void_p, POINTER(Weights)]),
            "tg_net_seed": (c_int, [c_void_p, c_void_p]),
            "tg_net_logits": (c_int, [c_void_p, c_int32, c_void_p]),
            "tg_net_read": (c_int, [c_void_p, c_int32, c_int32, c_void_p]),
            "tg_adamw_step": (c_int, [c_int, c_int, POINTER(AdamWStep)]),
            "tg_descend": (c_int, [c_int, c_int, POINTER(DescentStep)]),
        }
    )


def weights_of(arrays: Mapping[str, Floats], layers: int) -> Weights:
    """Pointers to the arrays of a model, named as in `ModelConfig.tensor_shapes`.

    The arrays must be contiguous float32. The result keeps them alive.
    """

    def pointer(name: str) -> int | None:
        # The recurrent weight of the mLSTM's gates has another name: it multiplies the factor.
        other = name.replace("weight_hh", "weight_hm")
        array = arrays.get(name, arrays.get(other))
        if array is None:
            return None
        assert array.dtype == np.float32 and array.flags.c_contiguous
        return array.ctypes.data

    rows = (Layer * layers)(
        *(
            Layer(*(pointer(f"layers.{i}.{field[0]}") for field in Layer._fields_))
            for i in range(layers)
        )
    )
    weights = Weights(
        pointer("embedding.weight"), pointer("head.weight"), pointer("head.bias"), rows
    )
    weights.arrays = tuple(arrays.values())
    return weights


def check_symbols(ids: NDArray[np.integer], vocab: int) -> None:
    """Raise `BackendError` where an id is no symbol, as the engine does."""
    if ids.size and not (int(ids.min()) >= 0 and int(ids.max()) < vocab):
        raise _no_symbol()


def _no_symbol() -> BackendError:
    return BackendError(
        "the text has a token that the model does not know: it was encoded with another "
        "vocabulary; encode it with that of the model"
    )


class Net:
    """A network for windows of many streams. One caller at a time.

    Args:
        shape: Its shape. The results are the same for the same number of threads.
    Raises:
        BackendError: There is no library, or no memory.
    """

    def __init__(self, shape: Shape) -> None:
        self._library = functions()
        self._handle: int | None = None
        self._config = shape.structure()
        handle = self._library.tg_net_new(byref(self._config))
        if not handle:
            raise BackendError(f"the native engine has no network on '{shape.isa}'")
        self._handle = handle
        #: The arrays that the pointers of the last window point to.
        self._kept: tuple[Any, ...] = ()
        self._shape = (0, 0)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.tg_net_free(self._handle)
            self._handle = None

    @property
    def nbytes(self) -> int:
        """The memory of the network, without the arrays of the caller."""
        return int(self._library.tg_net_bytes(self._handle))

    def pack(self, weights: Weights, *, backward: bool) -> None:
        """Copy the weights; `backward`: also for `loss` with gradients and for `backward`."""
        self._check(self._library.tg_net_pack(self._handle, byref(weights), int(backward)))

    def descend(self, weights: Weights, descent: Descent) -> bool:
        """A step of `descent`, whose parameters are these weights, and `pack` with `backward`.

        They were packed so before. Returns as `Descent.step` does; masked, nothing is packed.
        """
        code = self._library.tg_net_descend(self._handle, byref(weights), byref(descent.structure))
        if code == 1:
            return True
        self._check(code)
        return False

    def forward(
        self,
        ids_TB: NDArray[np.int32],
        h: Sequence[Floats],
        c: Sequence[Floats],
        *,
        resets_TB: NDArray[np.uint8] | None = None,
        mask_E: Floats | None = None,
        mask_LBH: Floats | None = None,
        save: bool = False,
        edits: PackedEdits | None = None,
        chained: bool = False,
    ) -> None:
        """Read a window.

        Args:
            ids_TB: Token ids.
            h: The output `(B, H)` of each layer before the window, overwritten with that after it.
            c: The cell state of each layer, likewise; empty for cells without a cell state.
            resets_TB: 1 sets the state of a stream to zero before that token.
            mask_E: Factor on the embeddings.
            mask_LBH: Factor on the output of each layer.
            save: Keep what the gradient and `read` need.
            edits: Changes of the states at every step, for each stream. There is no gradient then.
            chained: The streams are pieces of one text: each begins in the state in which the one
                before it ends. `h` and `c` are then `(1, H)`.
        """
        T, B = ids_TB.shape
        ids = np.ascontiguousarray(ids_TB, np.int32)
        pointers_h = (c_void_p * len(h))(*(array.ctypes.data for array in h))
        pointers_c = (c_void_p * max(1, len(c)))(*(array.ctypes.data for array in c))
        resets = None if resets_TB is None else np.ascontiguousarray(resets_TB).view(np.uint8)
        self._kept = (ids, pointers_h, pointers_c, resets, mask_E, mask_LBH, edits, *h, *c)
        self._shape = (T, B)
        window = Window(
            T,
            B,
            ids.ctypes.data,
            None if resets is None else resets.ctypes.data,
            None if mask_E is None else mask_E.ctypes.data,
            None if mask_LBH is None else mask_LBH.ctypes.data,
            addressof(pointers_h),
            addressof(pointers_c),
            int(save),
            None if edits is None else edits.starts,
            None if edits is None else edits.edits,
            int(chained),
        )
        self._check(self._library.tg_net_forward(self._handle, byref(window)))

    def loss(self, targets_TB: NDArray[np.int32], gradients: Weights | None = None) -> Floats:
        """The negative log-likelihood of each target in nats, `(T, B)`.

        With `gradients`, the gradient of their mean at the output is kept for `backward`. A target
        of -1 does not count: its value is 0, and it has no share in the mean.
        """
        targets = np.ascontiguousarray(targets_TB, np.int32)
        nats = np.empty(self._shape, np.float32)
        code = self._library.tg_net_loss(
            self._handle,
            targets.ctypes.data,
            nats.ctypes.data,
            None if gradients is None else byref(gradients),
        )
        self._check(code)
        return nats

    def seed(self, gradient_TBH: Floats) -> None:
        """Give the gradient of the last layer's output, in place of `loss`."""
        gradient = np.ascontiguousarray(gradient_TBH, np.float32)
        self._check(self._library.tg_net_seed(self._handle, gradient.ctypes.data))

    def backward(self, gradients: Weights) -> None:
        """Write the other gradients of the mean loss."""
        self._check(self._library.tg_net_backward(self._handle, byref(gradients)))

    def logits(self, t: int) -> Floats:
        """The logits `(B, V)` after step `t` of the last window."""
        out = np.empty((self._shape[1], self._config.vocab), np.float32)
        self._check(self._library.tg_net_logits(self._handle, t, out.ctypes.data))
        return out

    def read(self, layer: int, what: int) -> Floats:
        """A quantity of the last window `(T, B, H)`; all but `READ_OUTPUT` need a saved window.

        Args:
            layer: The layer.
            what: The number of a gate block, `READ_CELL`, `READ_HIDDEN` or `READ_OUTPUT`.
        """
        out = np.empty((*self._shape, self._config.hidden), np.float32)
        self._check(self._library.tg_net_read(self._handle, layer, what, out.ctypes.data))
        return out

    @staticmethod
    def _check(code: int) -> None:
        if code == -1:
            raise BackendError(
                "the native engine found no memory for this window; use a smaller "
                f"{named('batch_size')}, {named('seq_len')} or {named('hidden_size')}"
            )
        if code == -3:
            raise _no_symbol()
        assert code == 0, "the native engine was called out of order"


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), masked and clipped.

    Args:
        parameters: Flat array `(P,)`, updated in place.
        gradient: Flat array `(P,)`, read.
        num_decayed: How many decay, counted from the first: the matrices.
        isa: One of `supported_isas()`.
        threads: Computing threads.
        beta1: Decay rate of the first moment.
        beta2: Decay rate of the second moment.
        weight_decay: The share of a weight that a step at learning rate 1 would subtract.
        clip_norm: A gradient with a larger norm is scaled down to this norm.
    """

    def __init__(
        self,
        parameters: Floats,
        gradient: Floats,
        num_decayed: int,
        *,
        isa: str,
        threads: int,
        beta1: float,
        beta2: float,
        weight_decay: float,
        clip_norm: float,
    ) -> None:
        self.exp_avg = np.zeros_like(parameters)
        self.exp_avg_sq = np.zeros_like(parameters)
        #: Updates that were applied.
        self.steps = 0
        self._arrays = (parameters, gradient)
        self._call = functions().tg_adamw_step
        self._isa, self._threads = ISA_NAMES.index(isa), threads
        self._step = AdamWStep(
            *(a.ctypes.data for a in (parameters, gradient, self.exp_avg, self.exp_avg_sq)),
            *(parameters.size, num_decayed, 0, 0.0, 0.0, beta1, beta2, 1e-8),
            *(weight_decay, clip_norm, 0.0),
        )

    def step(self, loss: float, learning_rate: float) -> tuple[bool, float]:
        """Update the parameters.

        Args:
            loss: The loss that was differentiated; a non-finite one masks the update.
            learning_rate: The learning rate of this step.
        Returns:
            Whether the update was masked (nothing has changed), because the loss or the norm of
            the gradient was not finite; and that norm, before clipping.
        """
        update = self._step
        update.loss, update.learning_rate, update.step = loss, learning_rate, self.steps + 1
        masked = bool(self._call(self._isa, self._threads, byref(update)))
        if not masked:
            self.steps += 1
        return masked, float(update.norm)


class Descent:
    """Gradient descent that is pulled back to where it began.

    Args:
        parameters: Flat array `(P,)`, updated in place.
        gradient: Flat array `(P,)`, read.
        stops: Where each part of the arrays ends, rising to `P`.
        rates: The learning rate of each part.
        pull: The share of the way back to the first parameters that each step goes.
        most: The largest root of the mean square of all `rate * gradient`; they are scaled down to
            it where it is larger.
        isa: One of `supported_isas()`.
        threads: Computing threads.
    """

    def __init__(
        self,
        parameters: Floats,
        gradient: Floats,
        stops: Sequence[int],
        rates: Sequence[float],
        *,
        pull: float,
        most: float,
        isa: str,
        threads: int,
    ) -> None:
        assert stops[-1] == parameters.size == gradient.size
        assert len(stops) == len(rates)
        start = parameters.copy()
        self._kept = (
            *(parameters, start, gradient),
            *(np.array(stops, np.int64), np.array(rates, np.float32)),
        )
        self._call = functions().tg_descend
        self._isa, self._threads = ISA_NAMES.index(isa), threads
        pointers = (array.ctypes.data for array in self._kept)
        #: The step as the library takes it.
        self.structure = DescentStep(*pointers, len(stops), pull, most)

    def step(self) -> bool:
        """Update the parameters.

        Returns:
            Whether the update was masked (nothing has changed), because the gradient was not
            finite.
        """
        return bool(self._call(self._isa, self._threads, byref(self.structure)))
