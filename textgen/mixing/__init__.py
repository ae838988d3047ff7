"""Counts of the training text, and their mixture with the network."""

from __future__ import annotations

from textgen.mixing.count_model import count_text as count_text
from textgen.mixing.count_model import order_for as order_for
from textgen.mixing.gate import CountMixture as CountMixture
from textgen.mixing.gate import MixedTokenReader as MixedTokenReader
from textgen.mixing.gate import MixtureReader as MixtureReader
from textgen.mixing.mixed_network import MixedNetwork as MixedNetwork
from textgen.mixing.mixed_network import MixedStep as MixedStep
from textgen.mixing.mixed_network import mixed as mixed
