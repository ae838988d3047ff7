"""The language model: its shape, and the engines that compute it."""
