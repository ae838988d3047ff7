"""What the training loop costs over the bare forward, backward and optimiser step.

Prints, at the default size for the given text and budget, the median of a bare step, of a step of
`Trainer`, and a whole run's wall time a step (evaluations, samples, saves and reports included),
and their ratios. Bare steps and trainer steps alternate, so that a noisy machine slows both; the
rest of a run is compared with that run's own training steps.

    python benchmarks/overhead.py [--text FILE] [--budget 60] [--rounds 40]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from measuring import made_up_text, seconds_of

from textgen.api import load  # noqa: F401  (imported here so that no step pays for it)
from textgen.corpus.windows import Batch
from textgen.model.engine import open_network
from textgen.model.initialise import draw_masks, initial_weights
from textgen.options import TrainOptions
from textgen.training.events import Ended, Report
from textgen.training.run import Run
from textgen.training.start import new_run
from textgen.training.trainer import open_learner


class BareLoop:
    """Forward, loss, backward, clipping and optimiser on one batch; nothing else."""

    def __init__(self, run: Run) -> None:
        plan = run.plan
        network = open_network(
            plan.model, run._trainer.network.engine, initial_weights(plan.model, 0)
        )
        self.learner = open_learner(network, plan)
        ids_TB = np.random.default_rng(0).integers(
            2, plan.model.vocab_size, (plan.seq_len + 1, plan.batch_size)
        )
        self.batch = Batch(ids_TB[:-1], ids_TB[1:], np.zeros((plan.seq_len, plan.batch_size), bool))
        self.masks = draw_masks(plan.model, plan.batch_size, 0, plan.recurrent_dropout)
        self.rate = plan.optimizer.learning_rate

    def step(self) -> None:
        """One update."""
        self.learner.update(self.batch, self.masks, self.rate / 100)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = arguments.text
        if text is None:
            text = Path(folder) / "text.txt"
            text.write_text(made_up_text(1_000_000), encoding="utf-8")
        options = TrainOptions(budget=arguments.budget)
        cache = Path(folder) / "cache"
        with new_run([text], options, Path(folder) / "run", cache=cache) as run:
            bare = BareLoop(run)
            trainer = run._trainer
            shape, path = run.plan.model, trainer.network.engine
            print(
                f"{path.name} {path.isa} {path.precision}, {path.threads} threads; {shape.cell} "
                f"{shape.num_layers} x {shape.hidden_size}, batch {run.plan.batch_size}, "
                f"time {run.plan.seq_len}, {run.plan.steps} steps planned"
            )
            state = (trainer.step, trainer.steps_counted, trainer.tensors())
            for _ in range(3):
                bare.step()
                trainer.advance()
            pairs = [
                (seconds_of(bare.step), seconds_of(trainer.advance))
                for _ in range(arguments.rounds)
            ]
            trainer.load(*state)
            bare_step = median(b for b, _ in pairs)
            ratio = median(t / b for b, t in pairs)
            print(f"bare step        {bare_step * 1e3:8.2f} ms (median of {len(pairs)})")
            print(f"trainer step     {ratio:8.3f} x bare (median of {len(pairs)} pairs)")
            training = 0.0
            last = 0
            for event in run.events():
                if isinstance(event, Report):
                    # A report's speed is that of its training steps alone.
                    chars = (event.step - last) * run.plan.tokens_per_step
                    training += chars / event.chars_per_second
                    last = event.step
                if isinstance(event, Ended):
                    ended = event
            rest = ended.seconds / training
            print(f"evaluations, samples, saves, reports: {rest:.3f} x the run's training steps")
            print(f"whole run        {rest * ratio:8.3f} x bare, a step, all included")
            print(
                f"budget           {ended.seconds:8.1f} s used of {arguments.budget:g} "
                f"({ended.seconds / arguments.budget - 1:+.1%})"
            )


if __name__ == "__main__":
    main()
