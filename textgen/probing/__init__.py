"""Which neurons carry a property: labelled texts or places in, neurons, a probe, controls out.

find                    the whole search
read_labels             a table of labels and texts
read_two_files          texts of two kinds in two files
regex_property          what lies inside a match
feature_property        a built-in feature of textgen.inspection.features
neuron_target           a found neuron as something that can be steered
direction_target        the direction

scikit-learn is needed (`pip install 'textgen[probe]'`) and is loaded when `find` is called.
"""

from __future__ import annotations

from textgen.probing.examples import Examples as Examples
from textgen.probing.find import FindOptions as FindOptions
from textgen.probing.find import PositionTask as PositionTask
from textgen.probing.find import find as find
from textgen.probing.labels import LabelledTexts as LabelledTexts
from textgen.probing.labels import read_labels as read_labels
from textgen.probing.labels import read_two_files as read_two_files
from textgen.probing.positions import feature_property as feature_property
from textgen.probing.positions import regex_property as regex_property
from textgen.probing.report import Control as Control
from textgen.probing.report import FindReport as FindReport
from textgen.probing.report import FoundNeuron as FoundNeuron
from textgen.probing.targets import direction_target as direction_target
from textgen.probing.targets import neuron_target as neuron_target
