"""What to type for a library that only some commands need."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

#: Each library by its name on the package index -> the extra of this project that brings it.
EXTRAS = {
    "scikit-learn": "probe",
    "gensim": "vectors",
    "constriction": "compress",
    "outlines-core": "forms",
    "optuna": "search",
    "submitit": "submit",
    **dict.fromkeys(("lxml", "ijson"), "files"),
    **dict.fromkeys(("starlette", "uvicorn"), "serve"),
    **dict.fromkeys(("onnx", "onnxscript"), "onnx"),
}
#: The command that an installed textgen has; another project's package of that name has it not.
_COMMAND = "textgen.cli:main"

_HERE = Path(__file__).resolve().parents[1]


def distribution_name(folder: Path) -> str | None:
    """The name under which textgen was installed: that of the package, not of the command.

    Args:
        folder: The one that has the package textgen.
    Returns:
        None where it is not installed in `folder`, but copied there, or a clone.
    """
    for found in metadata.distributions(path=[str(folder)]):
        if any(script.value == _COMMAND for script in found.entry_points):
            return found.name
    return None


def install_hint(library: str) -> str:
    """What to type for a library, by its name on the package index.

    For a key of `EXTRAS` in a clone it is an extra of this tree, else one of the package that was
    installed. Where no torch is made for this machine, that is said instead.
    """
    if library == "torch" and (machine := _machine_without_torch()):
        return f"no torch is made for {machine}: do this on another machine"
    if (extra := EXTRAS.get(library)) is None:
        return f"type: pip install {library}"
    if (_HERE / "pyproject.toml").is_file():
        return f'in the root of the clone, type: pip install ".[{extra}]"'
    if name := distribution_name(_HERE):
        return f'type: pip install "{name}[{extra}]"'
    return f"type: pip install {library}"


def _machine_without_torch() -> str:
    """What this machine is, in words, if torch has no files for it; else ""."""
    machine = (sys.platform, platform.machine().lower())
    if machine == ("darwin", "x86_64"):
        return "Macs with Intel"
    if machine == ("win32", "arm64"):
        return "Windows on ARM"
    if sys.platform == "linux" and platform.libc_ver()[0] != "glibc":
        return "Linux with musl, as Alpine"
    return ""
