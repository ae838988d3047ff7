"""Files made smaller by a model that predicts their text, and made again byte by byte."""

from textgen.compression.codec import compress as compress
from textgen.compression.codec import decompress as decompress
from textgen.compression.codec import model_hash as model_hash
