"""From paths to tokens: reading any text file, normalising it, and numbering its symbols."""
