"""Looking inside a model: traces, neurons, surprise. Plain data; knows no terminal and no torch.

trace, trace_chunks     a text and a network -> named arrays of states and gates
survey                  the same of a whole corpus, in no order, fast
source_pieces           the text of each token, unknown characters too
most_varying            the neurons worth a look
neuron_view             what to draw or print of them
surprise_view           what each character cost, in bits
"""

from __future__ import annotations

from textgen.inspection.pieces import source_pieces as source_pieces
from textgen.inspection.selection import NeuronStats as NeuronStats
from textgen.inspection.selection import most_varying as most_varying
from textgen.inspection.selection import neuron_name as neuron_name
from textgen.inspection.selection import neuron_stats as neuron_stats
from textgen.inspection.selection import parse_neuron as parse_neuron
from textgen.inspection.surprise import Surprise as Surprise
from textgen.inspection.surprise import surprise as surprise
from textgen.inspection.surprise import token_bits as token_bits
from textgen.inspection.survey import survey as survey
from textgen.inspection.trace import Neuron as Neuron
from textgen.inspection.trace import Trace as Trace
from textgen.inspection.trace import check_neuron as check_neuron
from textgen.inspection.trace import check_quantity as check_quantity
from textgen.inspection.trace import default_quantity as default_quantity
from textgen.inspection.trace import join_chunks as join_chunks
from textgen.inspection.trace import quantities as quantities
from textgen.inspection.trace import trace as trace
from textgen.inspection.trace import trace_chunks as trace_chunks
from textgen.inspection.view import HeatRow as HeatRow
from textgen.inspection.view import HeatView as HeatView
from textgen.inspection.view import neuron_view as neuron_view
from textgen.inspection.view import surprise_view as surprise_view
