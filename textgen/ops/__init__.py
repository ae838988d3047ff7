"""The recurrence over many time steps: the one seam between a model and whatever computes it.

`reference` loops a cell over time and is the specification; `torch_recurrence` is torch's fused
kernels. A path is chosen once by `select.select`, which also says why, and which loads torch only
where it takes part; `recurrences` turns a path into a function. Every recurrence has the signature
`recurrence.Recurrence` and agrees with the reference in outputs, final state and every gradient.
The native engine is no recurrence: it computes whole networks (`textgen.native`), by the same
specification.

Nothing is imported here, so that the choice of a path costs nothing.
"""
