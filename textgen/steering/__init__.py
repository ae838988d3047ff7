"""Steering: neurons and directions that are held, moved or switched off while a model reads."""

from __future__ import annotations

from textgen.steering.hand import LiveSteering as LiveSteering
from textgen.steering.intervention import MODES as MODES
from textgen.steering.intervention import Intervention as Intervention
from textgen.steering.intervention import Mode as Mode
from textgen.steering.intervention import Steering as Steering
from textgen.steering.intervention import SteeringPlan as SteeringPlan
from textgen.steering.intervention import parse_spec as parse_spec
from textgen.steering.intervention import parse_specs as parse_specs
from textgen.steering.label_plan import LabelEdit as LabelEdit
from textgen.steering.label_plan import LabelPlan as LabelPlan
from textgen.steering.label_plan import LabelSteering as LabelSteering
from textgen.steering.label_plan import parse_labels as parse_labels
from textgen.steering.label_plan import schedule_error as schedule_error
from textgen.steering.target import Calibration as Calibration
from textgen.steering.target import Target as Target
from textgen.steering.target import check_name as check_name
from textgen.steering.target import load_target as load_target
from textgen.steering.target import save_target as save_target
from textgen.steering.target import target_names as target_names
from textgen.steering.target import targets_folder as targets_folder
from textgen.text_spans import ALWAYS as ALWAYS
from textgen.text_spans import Span as Span
from textgen.text_spans import parse_span as parse_span
