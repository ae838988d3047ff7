"""A small text in its own folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_runs import russian_text


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a text in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(russian_text(6000), encoding="utf-8")
    return "text.txt"
