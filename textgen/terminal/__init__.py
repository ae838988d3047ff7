"""Drawing plain data in a terminal, and as pictures. Knows no model, corpus or checkpoint.

text        characters and words that are safe to show: cells, escapes, words for a shell
console     the consoles of stdout and stderr, and their colours
humanize    numbers as people read them
palette     a value -> a colour
strip       a text as a heat map
excerpt     places of a text
chart       curves and rows of points
scatter     points in the unit square
bar         how far something is
gauge       the line of a text that a person steers
screen      a whole screen for one text, and single keys
tables      tables and panels
"""
