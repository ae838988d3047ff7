"""The text in files as people have them: chats, subtitles, screenplays, pages, books, tables.

`file_format` says which format a file has, and each other module reads one. What is read is a
stream of `FilePiece`: text, with a kind where it looks like none of the author's own (a licence, a
menu, the time of a message). Nothing is left out here: who takes the pieces decides.
"""

from textgen.corpus.extraction.piece import KINDS as KINDS
from textgen.corpus.extraction.piece import FilePiece as FilePiece
