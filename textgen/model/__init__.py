"""The language model: its shape, and the engines that compute it.

config             the shape of a model
initialise         its first weights, and what dropout leaves out
head               logits or distances from the last layer's outputs
edit               a change of a state on its way; the names of neurons
network            what every engine offers: a zero state, a step, reading windows
engine             which engine computes, and why
native_network     the native engine
numpy_network      NumPy, with the cells' own equations
torch_network      torch, with the recurrences of `recurrence`
torch_nn           the layers as torch.nn modules, and back
"""
