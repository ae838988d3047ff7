"""Models that learn while they read (dynamic evaluation): how far they step, and the steps."""

from __future__ import annotations

from textgen.adaptation.adaptation_rule import AdaptationRule as AdaptationRule
from textgen.adaptation.adaptation_rule import descend as descend
from textgen.adaptation.adapting_reader import AdaptingReader as AdaptingReader
from textgen.adaptation.adapting_reader import AdaptingTokenReader as AdaptingTokenReader
from textgen.adaptation.fit_adaptation import FIT_TOKENS as FIT_TOKENS
from textgen.adaptation.fit_adaptation import fit_adaptation as fit_adaptation
from textgen.adaptation.guard import GuardedReader as GuardedReader
from textgen.adaptation.guard import guarded as guarded
