"""The lessons, pages of worked examples: read, run step by step, and made into notebooks.

The pages stand in `docs/lessons` of a clone; an installed package has them beside this file. What
they read of `corpora` is found in the same way.
"""

#: The languages of the pages.
LANGUAGES = ("en", "ru", "mk")
