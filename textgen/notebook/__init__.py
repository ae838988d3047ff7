"""What results look like in a notebook, and in one line at a prompt.

A result inherits from `Shown` and says what it is made of: sentences, tables, charts, texts. One
function, `to_html` of `fragment.py`, draws all of them.
"""

from textgen.notebook.parts import Colored as Colored
from textgen.notebook.parts import Excerpts as Excerpts
from textgen.notebook.parts import Part as Part
from textgen.notebook.parts import Picture as Picture
from textgen.notebook.parts import Prose as Prose
from textgen.notebook.shown import Shown as Shown
from textgen.notebook.shown import quoted as quoted
