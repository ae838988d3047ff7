"""The version of textgen."""

__version__ = "0.1.0"
