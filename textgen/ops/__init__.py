"""The recurrence over many time steps: the one seam between a model and whatever computes it.

`reference` loops a cell over time and is the specification. `torch_lstm` is the fast path. A path
is chosen once by `select`, which also says why; nothing outside this package asks which one runs.
Every path has the signature `Recurrence` and agrees with the reference in outputs, final state
and every gradient.
"""

from __future__ import annotations

from textgen.ops.recurrence import LayerWeights as LayerWeights
from textgen.ops.recurrence import Recurrence as Recurrence
from textgen.ops.recurrence import Resets as Resets
from textgen.ops.recurrence import TorchState as TorchState
from textgen.ops.select import Path as Path
from textgen.ops.select import select as select
