"""Drawing plain data in a terminal, and as pictures. Knows no model, corpus or checkpoint.

console     the consoles of stdout and stderr
color       what colours the terminal can show
palette     a value -> a colour
text        a text -> cells with a known width
strip       a text as a heat map
curve       the loss curve
chart       several curves, or rows of points
decay       curves that fall by powers of ten
picture     what all pictures have in common
shell       words of a command that a person copies
tables      tables and panels
format      numbers as people read them
"""
