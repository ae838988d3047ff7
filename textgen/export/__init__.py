"""Models for use without textgen: a page that runs one, a folder for torch, a file for ONNX."""

from textgen.export.exported import Exported as Exported
from textgen.export.html_page import ShownModel as ShownModel
from textgen.export.html_page import write_html as write_html
from textgen.export.onnx_file import write_onnx as write_onnx
from textgen.export.torch_folder import write_torch as write_torch
