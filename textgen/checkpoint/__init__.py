"""Models and runs on the disk: one safetensors file each, no code in it. Knows no training.

`model.safetensors` is a model (`SavedModel`), `resume.safetensors` the state of a run, both in
the format of `textgen.checkpoint.format`; `locate_model` finds the file that a person means.
"""

from __future__ import annotations

from textgen.checkpoint.format import LABELLED as LABELLED
from textgen.checkpoint.format import read_file as read_file
from textgen.checkpoint.format import read_layout as read_layout
from textgen.checkpoint.format import write_file as write_file
from textgen.checkpoint.locate import RESUME_NAME as RESUME_NAME
from textgen.checkpoint.locate import free_folder as free_folder
from textgen.checkpoint.locate import has_checkpoint as has_checkpoint
from textgen.checkpoint.locate import is_path as is_path
from textgen.checkpoint.locate import list_runs as list_runs
from textgen.checkpoint.locate import locate_model as locate_model
from textgen.checkpoint.model_file import ModelHeader as ModelHeader
from textgen.checkpoint.model_file import SavedModel as SavedModel
from textgen.checkpoint.shipped import MODEL_NAME as MODEL_NAME
from textgen.checkpoint.shipped import SHIPPED as SHIPPED
from textgen.checkpoint.shipped import shipped_at as shipped_at
