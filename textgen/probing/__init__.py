"""Which neurons carry a property: from labelled texts or places to neurons, a probe and controls.

find                    the whole search
regex_property          whether a character lies in a match
feature_property        a built-in feature of textgen.inspection.features
neuron_target           a found neuron as a steering target
direction_target        a direction as a steering target

scikit-learn is needed (`pip install scikit-learn`) and is loaded when `find` is called.
"""

from __future__ import annotations

from textgen.probing.examples import feature_property as feature_property
from textgen.probing.examples import regex_property as regex_property
from textgen.probing.find_report import FindReport as FindReport
from textgen.probing.find_report import direction_target as direction_target
from textgen.probing.find_report import neuron_target as neuron_target
from textgen.probing.labels import LabelledTexts as LabelledTexts
from textgen.probing.search import PositionTask as PositionTask
from textgen.probing.search import find as find
from textgen.probing.search import open_task as open_task
from textgen.view_options import FindOptions as FindOptions
