"""Every error a user can meet, and the exit code of each.

    TextgenError
    ├── ConfigError               an option or argument is wrong, or two contradict each other
    │   ├── SamplingError         a sampling setting lies outside its range
    │   └── InspectionError       no such layer, neuron or quantity
    ├── CorpusError               the text cannot be used
    │   ├── EmptyCorpusError      nothing in it, or too little to train on
    │   ├── BadFilesError         several files, and some of them cannot be read
    │   ├── EncodingError         its bytes are no text in the encoding taken
    │   └── BinaryFileError       it is no text at all
    ├── CheckpointError           a file is no checkpoint this version can use
    │   ├── CheckpointFormatError    foreign, or written by a newer version
    │   └── CheckpointCorruptError   truncated or damaged
    ├── CompressionError          a compressed file cannot be restored: damaged, or not here
    ├── TrainingDivergedError     the loss or gradient stayed non-finite
    ├── StorageError              a file is missing, unreadable or cannot be written
    │   └── UnreadableFilesError  several files, and some of them are missing or unreadable
    ├── RunFolderError            a run's folder is taken, locked or holds another run
    │   └── FolderInUseError      a live process works in it
    ├── BackendError              the device asked for is not there
    └── RankError                 another process of the same run is lost

A message says what was found, what was expected and what to type. The command line prints it
without a traceback and ends with the code in `EXIT_CODES`; the library raises it. A message that
names a setting marks it, so that Python reads `hidden_size` and the prompt `--hidden`: see
`textgen.messages`.
"""

from __future__ import annotations

from collections.abc import Callable

from textgen.messages import Call, Named, in_python, told
from textgen.messages import named as named


class TextgenError(Exception):
    """Base class: `except textgen.TextgenError` catches all of them.

    Args:
        rank: Of several processes of one training, the one that alone has this error; None: no
            such.
        is_told: Whether the first of these processes tells of the same error.
    """

    rank: int | None = None
    is_told = False

    def __str__(self) -> str:
        return self.told(in_python)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def marked(self) -> str:
        """The message with its marks, to become part of another message."""
        return super().__str__()

    def told(self, words: Callable[[Named | Call], str]) -> str:
        """The message in the words of a reader; see `textgen.messages`."""
        return told(self.marked, words)


class ConfigError(TextgenError, ValueError):
    """An option or argument is wrong, or two of them contradict each other."""


class SamplingError(ConfigError):
    """A sampling setting lies outside its range."""


class InspectionError(ConfigError):
    """The model has no such layer, neuron or quantity."""


class CorpusError(TextgenError, ValueError):
    """The text cannot be trained on or evaluated."""


class EmptyCorpusError(CorpusError):
    """The text is empty, holds a single symbol, or is too short."""


class BadFilesError(CorpusError):
    """Some of several files cannot be read as text; the message names them, each on a line."""


class EncodingError(CorpusError):
    """The bytes are no text in the encoding that was found or asked for."""


class BinaryFileError(CorpusError):
    """The file is no text: it holds NUL bytes or other binary data."""


class CheckpointError(TextgenError, ValueError):
    """A file is no checkpoint that this version can use."""


class CheckpointFormatError(CheckpointError):
    """The file is foreign, or was written by a newer version."""


class CheckpointCorruptError(CheckpointError):
    """The file is truncated, damaged, or contradicts itself."""


class CompressionError(TextgenError, ValueError):
    """A file cannot be decompressed: it is foreign, damaged, or made by other computations."""


class TrainingDivergedError(TextgenError, ArithmeticError):
    """The loss or the gradient was not finite several steps in a row."""


class StorageError(TextgenError, OSError):
    """A file or folder is missing, unreadable, or cannot be written."""


class UnreadableFilesError(StorageError, BadFilesError):
    """Some of several files are missing or cannot be read, and none is wrong otherwise."""


class RunFolderError(TextgenError):
    """A run's folder holds a checkpoint already, is locked, or belongs to another run."""


class FolderInUseError(RunFolderError):
    """A run's folder is locked by a process that works in it."""


class BackendError(TextgenError):
    """The device or precision asked for is not available here."""


class RankError(TextgenError):
    """Another of the processes that train one network together has ended, or says nothing more."""


#: Exit code by class; the closest base class counts. 0 is success, 1 a defect of the program
#: itself, 130, 143 and 129 an interruption by Ctrl-C, by SIGTERM and by SIGHUP.
EXIT_CODES: dict[type[TextgenError], int] = {
    ConfigError: 2,
    CorpusError: 3,
    CheckpointError: 4,
    TrainingDivergedError: 5,
    StorageError: 6,
    RunFolderError: 7,
    BackendError: 8,
    CompressionError: 9,
    RankError: 10,
}


def exit_code(error: BaseException) -> int:
    """The exit code of `error`: that of the closest class listed in `EXIT_CODES`, else 1."""
    for cls in type(error).__mro__:
        if cls in EXIT_CODES:
            return EXIT_CODES[cls]
    return 1
