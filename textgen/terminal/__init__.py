"""Drawing plain data in a terminal, and as pictures. Knows no model, corpus or checkpoint."""
