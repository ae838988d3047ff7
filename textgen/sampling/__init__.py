"""Text from a trained model. NumPy is enough; the native engine is used where it is there."""

from __future__ import annotations

from textgen.options import SampleOptions as SampleOptions
from textgen.sampling.adapted import ADAPTATION as ADAPTATION
from textgen.sampling.adapted import adapted_model as adapted_model
from textgen.sampling.adapted import adapting_engine as adapting_engine
from textgen.sampling.adapted import adapting_reader as adapting_reader
from textgen.sampling.adapted import refuse_adapting as refuse_adapting
from textgen.sampling.choice import SymbolGenerator as SymbolGenerator
from textgen.sampling.choice import choose_symbols as choose_symbols
from textgen.sampling.counted import fitted_mixture as fitted_mixture
from textgen.sampling.counted import usual_mixture as usual_mixture
from textgen.sampling.filters import apply_min_p as apply_min_p
from textgen.sampling.filters import apply_repetition_penalty as apply_repetition_penalty
from textgen.sampling.filters import apply_temperature as apply_temperature
from textgen.sampling.filters import apply_top_k as apply_top_k
from textgen.sampling.filters import apply_top_p as apply_top_p
from textgen.sampling.filters import filter_logits as filter_logits
from textgen.sampling.generate import Generation as Generation
from textgen.sampling.generate import Generations as Generations
from textgen.sampling.generate import LiveSymbol as LiveSymbol
from textgen.sampling.generate import WrittenText as WrittenText
from textgen.sampling.generate import bits_per_char as bits_per_char
from textgen.sampling.generate import generate as generate
from textgen.sampling.generate import generate_live as generate_live
from textgen.sampling.generate import stream_text as stream_text
from textgen.sampling.networks import HistoryNetwork as HistoryNetwork
from textgen.sampling.networks import SamplingNetworks as SamplingNetworks
from textgen.sampling.novelty import CopiedRun as CopiedRun
from textgen.sampling.novelty import Novelty as Novelty
from textgen.sampling.novelty import NoveltyReport as NoveltyReport
from textgen.sampling.novelty import count_documents as count_documents
from textgen.sampling.novelty import find_copies as find_copies
from textgen.sampling.novelty import find_copies_in_each as find_copies_in_each
from textgen.sampling.novelty import least_run as least_run
from textgen.sampling.novelty import training_text as training_text
from textgen.sampling.seed import FittedSeed as FittedSeed
from textgen.sampling.seed import FittedStop as FittedStop
from textgen.sampling.seed import as_source as as_source
from textgen.sampling.seed import fit_seed as fit_seed
from textgen.sampling.seed import fit_stop as fit_stop
from textgen.sampling.stream import GeneratedSymbol as GeneratedSymbol
from textgen.sampling.training_part import training_part as training_part
from textgen.sampling.turns import Writer as Writer
