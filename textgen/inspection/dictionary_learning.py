"""Learning a dictionary of states: a sparse autoencoder with BatchTopK, on a CPU or a GPU.

Of a batch of B states the B * k largest activations are kept, k for a state on average, and the
rest is 0. So how many act is given, not a penalty that pulls every activation down; and one
threshold, which is fitted afterwards, reads a latent without the others. TopK (Gao et al. 2024,
arXiv:2406.04093, section 2.3) would need all of them; JumpReLU (Rajamanoharan et al. 2024,
arXiv:2407.14435, section 3) learns a threshold for each latent by an estimate of a gradient that
does not exist, and how many act is then found by trying.
Source: Bussmann, Leask and Nanda 2024, arXiv:2412.06410, section 3.

The first 16th of the latents has to stand for the states alone, and so has the first quarter: what
is true of many places keeps a latent of its own, where it would else be divided among latents of
"it, and this letter". Source: Bussmann, Nabeshima, Karvonen and Nanda 2025, arXiv:2503.17547
(Matryoshka), section 3.

Dense is only the encoder's product. What follows has k numbers a state: the decoder and all
gradients are sums of few rows. Latents that were silent for long begin again at states that were
badly reconstructed. Source: Bricken et al. 2023, "Towards Monosemanticity", appendix "Neuron
Resampling"; here a share of the error decides and no other norm than that of the living.

Shape suffixes: `B` states, `H` neurons, `K` latents, `N` activations that are not 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding_bag

from textgen.errors import InspectionError
from textgen.inspection.dictionary import Dictionary
from textgen.inspection.trace import LARGEST
from textgen.model.edit import StateName
from textgen.progress import task

Floats = NDArray[np.float32]
Tensor = torch.Tensor

#: States that are shuffled at once take at most this many bytes, and are at most so many.
POOL_BYTES, POOL_STATES = 256 << 20, 1 << 16
#: The step of Adam, relative to the size of a number in a direction of length 1. On made-up states
#: of 40 known directions a third of it found half of them as well, in 800 steps.
RATE = 0.03
#: The first 16th of the latents alone and the first quarter are to stand for the states too.
NESTED = (16, 4, 1)
#: After so many states in which it never acted, a latent begins again; not in the last third.
SILENT = 10_000
#: So many of the last states say where the threshold lies, and how a latent is distributed.
MEASURED = 16_384
#: One of this many states of a batch says where its threshold lies.
_SAMPLED = 8


@dataclass(frozen=True, kw_only=True)
class LearningPlan:
    """How a dictionary is learned.

    Args:
        latents: How many latents it has.
        active: How many of them act at a time, on average.
        states: How many states are read.
        rng: Seed.
        threads: Computing threads of the CPU.
        device: Where torch computes: `cpu` or `cuda`.
    """

    latents: int
    active: int
    states: int
    rng: int = 0
    threads: int = 1
    device: str = "cpu"

    @property
    def batch(self) -> int:
        """States of a step: more where Adam's pass over the weights would take longest."""
        return min(max(self.latents // 4, 64), 1024)


def learn_dictionary(
    states: Iterable[Floats],
    plan: LearningPlan,
    *,
    layer: int,
    state: StateName,
    model: str = "",
    info: dict[str, Any] | None = None,
) -> Dictionary:
    """Learn a dictionary of states.

    Args:
        states: Chunks of states `(T, H)`, as many as are asked for.
        plan: How it is learned.
        layer: The layer that they are of.
        state: `h` or `c`.
        model: Checksum of the model's weights.
        info: What the dictionary says of its making.
    Raises:
        InspectionError: There are no states, they do not vary, or they grow without limit.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        with torch.no_grad(), _quiet(), task("learning the dictionary", plan.states) as learning:
            learner: _Learner | None = None
            for pool_BH in _pools(states, plan.states, np.random.default_rng(plan.rng)):
                if learner is None:
                    learner = _Learner(pool_BH, plan)
                learner.read(pool_BH)
                learning.advance(len(pool_BH))
            if learner is None:
                raise InspectionError("the text is empty; give at least one character")
            return learner.dictionary(layer, state, model, info or {})
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch says of its sparse matrices, once, that they may change; here they are only used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        warnings.filterwarnings("ignore", message="Sparse invariant checks")
        yield


def _pools(states: Iterable[Floats], count: int, rng: np.random.Generator) -> Iterator[Floats]:
    """The first `count` states in shuffled pools of bounded size."""
    pool: list[Floats] = []
    held, left = 0, count
    for chunk_TH in states:
        if not len(chunk_TH):
            continue
        if not (chunk_TH.min() >= -LARGEST and chunk_TH.max() <= LARGEST):
            raise InspectionError(
                "the states of the network grow without limit on this text, so there is no "
                "dictionary of them"
            )
        part = chunk_TH[:left]
        pool.append(part)
        held, left = held + len(part), left - len(part)
        most = max(256, min(POOL_STATES, POOL_BYTES // (4 * part.shape[1])))
        if held >= most or left == 0:
            whole = np.concatenate(pool)
            yield whole[rng.permutation(held)]
            pool, held = [], 0
        if left == 0:
            return
    if held:
        yield np.concatenate(pool)[rng.permutation(held)]


class _Learner:
    """The weights of a dictionary, and Adam's step on them.

    States are moved by their center and divided by their length, so that one rate fits all
    networks. Adam: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1, with beta 0.9 and 0.999.
    """

    def __init__(self, first_BH: Floats, plan: LearningPlan) -> None:
        self.plan = plan
        center_H = first_BH.mean(axis=0, dtype=np.float64)
        length = float(np.sqrt(((first_BH - center_H) ** 2).sum(axis=1).mean()))
        if not length > 0.0:
            raise InspectionError("the states do not vary on this text; give more of it")
        self.length = length
        self.center_H = self._own(center_H.astype(np.float32))
        generator = torch.Generator().manual_seed(plan.rng)
        size = (plan.latents, first_BH.shape[1])
        decoder_KH = torch.randn(size, generator=generator)
        decoder_KH /= decoder_KH.norm(dim=1, keepdim=True)
        self.decoder_KH = decoder_KH.to(plan.device)
        self.encoder_KH = self.decoder_KH.clone()
        self.bias_K = torch.zeros(plan.latents, device=plan.device)
        self.weights = (self.encoder_KH, self.decoder_KH, self.bias_K)
        # One pass over the weights instead of one for each operation.
        self.adam = torch.optim.Adam(self.weights, fused=True)
        self.silent_K = torch.zeros(plan.latents, device=plan.device)
        #: Where the parts begin and end; each sum of the first parts is to stand for the state.
        sizes = {max(1, plan.latents // part) for part in NESTED}
        self.edges = [0, *sorted(sizes)]
        self.borders = torch.tensor(self.edges[1:-1], device=plan.device)
        self.generator = torch.Generator().manual_seed(plan.rng + 1)
        self.done = self.steps = 0
        #: The last states that were read, for what is fitted after learning.
        self.last_BH = first_BH[:0]

    def _own(self, values: Floats) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.plan.device)

    def read(self, pool_BH: Floats) -> None:
        """Take one step for each batch of a shuffled pool."""
        batch = self.plan.batch
        for start in range(0, len(pool_BH), batch):
            part = pool_BH[start : start + batch]
            # A small rest would count as much as a whole batch; alone it is better than nothing.
            if len(part) == batch or not self.steps:
                self._step((self._own(part) - self.center_H) / self.length)
            self.done += len(part)
        self.last_BH = np.concatenate([self.last_BH, pool_BH[-MEASURED:]])[-MEASURED:]

    def _threshold(self, a_BK: Tensor) -> float:
        """Above it lie `active` activations a state, as far as some of the states say."""
        sample = a_BK[::_SAMPLED].flatten()
        keep = min(len(a_BK[::_SAMPLED]) * self.plan.active, len(sample) - 1)
        return max(float(sample.kthvalue(len(sample) - keep).values), 0.0)

    def _step(self, x_BH: Tensor) -> None:
        size, width, parts = len(self.bias_K), x_BH.shape[1], len(self.edges) - 1
        a_BK = torch.addmm(self.bias_K, x_BH, self.encoder_KH.T)
        row_N, column_N = (a_BK > self._threshold(a_BK)).nonzero(as_tuple=True)
        a_N = a_BK[row_N, column_N]
        # A bag is what one part of the dictionary adds to one state: bag b * parts + part.
        bag_N = row_N * parts + torch.bucketize(column_N, self.borders, right=True)
        bags = _starts(bag_N, len(x_BH) * parts)
        added = _sums(self.decoder_KH, column_N, bags, a_N).view(-1, parts, width)
        # What is wrong where the first part alone, the first two, ... stand for the state.
        errors = added.cumsum(1) - x_BH[:, None]
        # A part is in every sum from its own on. Gradients of half the mean squared error.
        later = errors.flip(1).cumsum(1).flip(1).reshape(-1, width) / (len(x_BH) * parts)
        by_value = _dots(later, self.decoder_KH, bags, column_N)
        order = torch.argsort(column_N, stable=True)
        latents = _starts(column_N[order], size)
        gradients = (
            _sums(x_BH, row_N[order], latents, by_value[order]),
            _sums(later, bag_N[order], latents, a_N[order]),
            torch.zeros_like(self.bias_K).index_add_(0, column_N, by_value),
        )
        self._adam(gradients)
        self.decoder_KH /= self.decoder_KH.norm(dim=1, keepdim=True).clamp_min(1e-12)
        self.silent_K += len(x_BH)
        self.silent_K[column_N] = 0
        self.steps += 1
        if self.done < self.plan.states * 2 // 3:
            self._begin_again(x_BH, errors[:, -1])

    def _adam(self, gradients: Iterable[Tensor]) -> None:
        left = 1.0 - self.done / max(self.plan.states, 1)
        # Warm, then even, then down to zero over the last fifth.
        share = min(1.0, (self.steps + 1) / 100, 5.0 * left + 0.01)
        self.adam.param_groups[0]["lr"] = RATE / self.decoder_KH.shape[1] ** 0.5 * share
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        self.adam.step()

    def _begin_again(self, x_BH: Tensor, error_BH: Tensor) -> None:
        dead = (self.silent_K > min(SILENT, self.plan.states // 10)).nonzero()[:, 0]
        # Not all at once: a batch has few states, and each is to be another one.
        dead = dead[: max(1, len(x_BH) // 16)]
        if not len(dead):
            return
        shares = error_BH.square().sum(dim=1).cpu()
        if not float(shares.sum()) > 0.0:
            return
        rows = torch.multinomial(shares, len(dead), generator=self.generator).to(x_BH.device)
        towards = -error_BH[rows]
        towards /= towards.norm(dim=1, keepdim=True).clamp_min(1e-12)
        lively = self.silent_K == 0
        size = self.encoder_KH[lively].norm(dim=1).mean() if bool(lively.any()) else 1.0
        self.decoder_KH[dead] = towards
        self.encoder_KH[dead] = towards * size
        self.bias_K[dead] = 0.0
        for weight in self.weights:
            for moment in ("exp_avg", "exp_avg_sq"):
                self.adam.state[weight][moment][dead] = 0.0
        self.silent_K[dead] = 0

    def dictionary(
        self, layer: int, state: StateName, model: str, info: dict[str, Any]
    ) -> Dictionary:
        """What was learned, for states as they are, with the threshold that reads it."""
        threshold, count = 0.0, 0
        sums_K = torch.zeros(self.plan.latents, dtype=torch.float64, device=self.plan.device)
        squares_K = torch.zeros_like(sums_K)
        for start in range(0, len(self.last_BH), 1024):
            x_BH = (self._own(self.last_BH[start : start + 1024]) - self.center_H) / self.length
            read_BK = x_BH @ self.encoder_KH.T
            threshold += self._threshold(read_BK + self.bias_K) * len(x_BH)
            sums_K += read_BK.double().sum(dim=0)
            squares_K += read_BK.double().square().sum(dim=0)
            count += len(x_BH)
        mean_K = sums_K / count
        sd_K = (squares_K / count - mean_K**2).clamp_min(0.0).sqrt()
        # An activation is told in the units of a state: x' = center + a . d with d of length 1.
        moved_K = self.encoder_KH.double() @ self.center_H.double()
        length = self.length
        return Dictionary(
            layer=layer,
            state=state,
            center_H=self.center_H.cpu().numpy(),
            encoder_KH=self.encoder_KH.cpu().numpy(),
            bias_K=(self.bias_K.double() * length - moved_K).float().cpu().numpy(),
            decoder_KH=self.decoder_KH.cpu().numpy(),
            threshold=threshold / count * length,
            mean_K=(mean_K * length + moved_K).float().cpu().numpy(),
            sd_K=(sd_K * length).float().cpu().numpy(),
            model=model,
            info=info,
        )


def _starts(bag_N: Tensor, bags: int) -> Tensor:
    """Where each bag begins among numbers that stand bag by bag, and where the last one ends."""
    ends = torch.bincount(bag_N, minlength=bags).cumsum(0)
    return torch.cat([ends.new_zeros(1), ends])


def _sums(rows: Tensor, index_N: Tensor, starts: Tensor, weight_N: Tensor) -> Tensor:
    """For each bag the sum of some rows, each with its weight."""
    return embedding_bag(
        index_N,
        rows,
        starts,
        mode="sum",
        per_sample_weights=weight_N,
        include_last_offset=True,
    )


def _dots(a: Tensor, b: Tensor, starts: Tensor, index_N: Tensor) -> Tensor:
    """The dot products of each row of `a` with the rows of `b` that its bag names, `(N,)`."""
    zeros_N = torch.zeros(len(index_N), device=a.device)
    pattern = torch.sparse_csr_tensor(
        starts, index_N, zeros_N, size=(len(a), len(b)), check_invariants=False
    )
    found_N: Tensor = torch.sparse.sampled_addmm(pattern, a, b.T, beta=0.0).values()
    return found_N
