"""The loss curve of a run, from what it has reported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textgen.terminal.chart import Chart, loss_chart
from textgen.training.events import Report
from textgen.training.folder import read_reports


def read_curve(folder: Path) -> Chart | None:
    """The loss curve of a run's reports; None where there is too little to draw.

    Raises:
        StorageError: The reports cannot be read.
    """
    return curve_of(read_reports(folder), folder.name)


def curve_of(reports: Iterable[Report], title: str = "") -> Chart | None:
    """The loss curve of reports; None where there is too little to draw.

    Args:
        reports: In the order of their steps.
        title: The heading.
    """
    train, validation = [], []
    for report in reports:
        if report.train_bits_per_char is not None:
            train.append((report.step, report.train_bits_per_char))
        if report.evaluated and report.val_bits_per_char is not None:
            validation.append((report.step, report.val_bits_per_char))
    return loss_chart(train, validation, title=title)
