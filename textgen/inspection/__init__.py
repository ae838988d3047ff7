"""Looking inside a model: traces, neurons, surprise. Plain data; knows no terminal and no torch.

trace, trace_chunks     a text and a network -> named arrays of states and gates
survey                  the same of a whole corpus, in no order, fast
source_pieces           the text of each token, unknown characters too
survey_neurons          what each neuron does over a corpus, and what it follows
feature_values          what a reader would call each character: in a word, in quotes, ...
most_varying            the neurons worth a look
neuron_view             what to draw or print of them
surprise_view           what each character cost, in bits
influence_view          how each character bears on the next one
memory_curves           how far back a model remembers, by gradients and by replacing text
gradient_lag            one number of that, in a tenth of the time
gate_report             for how much of a text the gates are shut or open
similar_places          where in a corpus the state is like that after a text
page_data               what one page for a browser shows of a text
"""

from __future__ import annotations

from textgen.inspection.features import FEATURES as FEATURES
from textgen.inspection.features import Feature as Feature
from textgen.inspection.features import all_features as all_features
from textgen.inspection.features import feature_values as feature_values
from textgen.inspection.features import regex_feature as regex_feature
from textgen.inspection.features import token_values as token_values
from textgen.inspection.gates import GateReport as GateReport
from textgen.inspection.gates import gate_quantities as gate_quantities
from textgen.inspection.gates import gate_report as gate_report
from textgen.inspection.heat import HeatRow as HeatRow
from textgen.inspection.heat import HeatView as HeatView
from textgen.inspection.influence import influence_view as influence_view
from textgen.inspection.memory import MemoryCurve as MemoryCurve
from textgen.inspection.memory import MemoryReport as MemoryReport
from textgen.inspection.memory import MemoryReports as MemoryReports
from textgen.inspection.memory import Replacement as Replacement
from textgen.inspection.memory import gradient_lag as gradient_lag
from textgen.inspection.memory import memory_curves as memory_curves
from textgen.inspection.neuron_report import NeuronProfile as NeuronProfile
from textgen.inspection.neuron_report import NeuronReport as NeuronReport
from textgen.inspection.neuron_stats import NeuronStats as NeuronStats
from textgen.inspection.neuron_stats import most_varying as most_varying
from textgen.inspection.neuron_stats import neuron_name as neuron_name
from textgen.inspection.neuron_stats import neuron_stats as neuron_stats
from textgen.inspection.neuron_stats import parse_neuron as parse_neuron
from textgen.inspection.neurons import NeuronSurvey as NeuronSurvey
from textgen.inspection.neurons import survey_neurons as survey_neurons
from textgen.inspection.page_data import page_data as page_data
from textgen.inspection.passages import Passage as Passage
from textgen.inspection.similar import SimilarPlaces as SimilarPlaces
from textgen.inspection.similar import similar_places as similar_places
from textgen.inspection.trace import Neuron as Neuron
from textgen.inspection.trace import Trace as Trace
from textgen.inspection.trace import check_neuron as check_neuron
from textgen.inspection.trace import check_quantity as check_quantity
from textgen.inspection.trace import default_quantity as default_quantity
from textgen.inspection.trace import join_chunks as join_chunks
from textgen.inspection.trace import quantities as quantities
from textgen.inspection.trace import survey as survey
from textgen.inspection.trace import survey_model as survey_model
from textgen.inspection.trace import trace as trace
from textgen.inspection.trace import trace_chunks as trace_chunks
from textgen.inspection.view import Surprise as Surprise
from textgen.inspection.view import neuron_view as neuron_view
from textgen.inspection.view import source_pieces as source_pieces
from textgen.inspection.view import surprise as surprise
from textgen.inspection.view import surprise_view as surprise_view
from textgen.inspection.view import token_bits as token_bits
