"""What would be trained on: files as people have them, what may not belong to their text, the rest.

`describe` reads files and makes a `CorpusReport`. `read_files` takes each through
`textgen.corpus.extraction`, `gathered_passages` keeps its documents and paragraphs,
`near_duplicates` finds those that stood there before.
"""

from textgen.cleaning.clean_options import CleanOptions as CleanOptions
from textgen.cleaning.corpus_report import CorpusReport as CorpusReport
from textgen.cleaning.describe import describe_files as describe_files
