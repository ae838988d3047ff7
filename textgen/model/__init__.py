"""The language model: its shape, and the networks that compute it natively, in torch, in NumPy."""
