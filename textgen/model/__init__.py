"""The language model: its shape, the torch module that is trained, the NumPy one that is run."""
