"""Forms: what texts are held to while they are written, by automata that look ahead."""

from __future__ import annotations

from textgen.sampling.forms.asked import form_of as form_of
from textgen.sampling.forms.form import Form as Form
