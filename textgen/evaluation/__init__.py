"""How well a model does: the likelihood of texts, and the targets of pairs that it writes."""

from textgen.evaluation.exact_match import PairsEvaluation as PairsEvaluation
from textgen.evaluation.exact_match import evaluate_pairs as evaluate_pairs
from textgen.evaluation.prediction import POSITIONS as POSITIONS
from textgen.evaluation.prediction import Evaluation as Evaluation
from textgen.evaluation.prediction import evaluate as evaluate
from textgen.evaluation.prediction import open_corpus as open_corpus
from textgen.evaluation.prediction import read_as_notes as read_as_notes
