"""What the command line measures, or why it refuses to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.small_runs import textgen_cli
from support.trained import Trained


def measured(run: Trained, path: Path, *words: str, **env: str) -> dict[str, Any]:
    """What `eval --json` says."""
    result = textgen_cli("eval", path, "-c", run.folder, "--json", *words, **env)
    assert result.exit_code == 0, result.stderr
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def refused(*words: str | Path) -> str:
    """What a command that is refused says."""
    result = textgen_cli(*words)
    assert result.exit_code != 0
    assert not result.stdout
    return result.stderr
