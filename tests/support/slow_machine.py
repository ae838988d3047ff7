"""`textgen` on a machine on which all that may take long takes long: a program for tests.

`python slow_machine.py SECONDS WORDS...` is `textgen WORDS...`, but whatever computes, reads or
writes sleeps so many seconds before it begins, once for each place that calls it. So a place that
works without saying so is found on any machine.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

from textgen.native.library import supported_isas

#: What computes, reads and writes: modules with the functions, or with the classes and methods.
SLOW = {
    "textgen.model.native_network": ["NativeNetwork.nll", "NativeNetwork.trace"],
    "textgen.model.numpy_network": ["NumpyNetwork.step", "NumpyNetwork.step_traced"],
    "textgen.training.learner": ["NativeLearner.update", "NativeLearner.tensors"],
    "textgen.sampling.writing": ["StreamGroup._write_block"],
    "textgen.sampling.novelty": ["_window_hashes"],
    "textgen.corpus.source": ["Source.open"],
    "textgen.corpus.split": ["gather"],
    "textgen.corpus.cache": ["_checksum"],
    "textgen.checkpoint.format": ["_sum_of"],
    "textgen.probing.statistics": ["Ranks.__init__", "thresholds"],
    "textgen.files": ["atomic_write_bytes"],
    "textgen.model.torch_network": ["LanguageModel.forward"],
    "sklearn.linear_model": ["LogisticRegression.fit"],
    "sklearn.feature_extraction.text": ["TfidfVectorizer.fit"],
    "gensim.models": ["Word2Vec.train"],
}
#: What takes seconds to load is slowed down only for the commands with one of these words.
NEEDED_BY = {
    "textgen.model.torch_network": {"influence", "memory", "compare"},
    "sklearn.linear_model": {"find"},
    "sklearn.feature_extraction.text": {"find"},
    "gensim.models": {"word2vec:8"},
}
assert NEEDED_BY.keys() <= SLOW.keys()
#: So many frames tell one place from another.
FRAMES = 3
#: Writing what was asked for, after the work, is of a moment.
QUICK = {"deliver", "_save", "write_page"}


def slowed(function: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    """The function, which sleeps first wherever it is called from for the first time."""
    places: set[tuple[str, ...]] = set()

    def slow(*args: Any, **kwargs: Any) -> Any:
        frame, names = sys._getframe(1), []
        while frame is not None and len(names) < FRAMES:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        if tuple(names) not in places and not QUICK & set(names):
            places.add(tuple(names))
            time.sleep(seconds)
        return function(*args, **kwargs)

    return slow


def is_needed(module_name: str) -> bool:
    """Whether this command may load a module; without the native engine all may load torch."""
    if module_name.startswith("textgen.") and not supported_isas():
        return True
    return module_name not in NEEDED_BY or not NEEDED_BY[module_name].isdisjoint(sys.argv)


def make_slow(seconds: float) -> None:
    """Slow down all of it, wherever it was imported to."""
    for module_name, names in SLOW.items():
        if not is_needed(module_name):
            continue
        module = importlib.import_module(module_name)
        for name in names:
            owner: Any = module
            *classes, last = name.split(".")
            for part in classes:
                owner = getattr(owner, part)
            before = getattr(owner, last)
            after = slowed(before, seconds)
            setattr(owner, last, after)
            if not classes:
                for other in list(sys.modules.values()):
                    if getattr(other, last, None) is before:
                        setattr(other, last, after)


if __name__ == "__main__":
    wait = float(sys.argv.pop(1))
    import textgen.api
    import textgen.comparison
    import textgen.probing
    import textgen.training.start  # noqa: F401

    make_slow(wait)
    from textgen.cli import main

    sys.argv[0] = "textgen"
    main()
