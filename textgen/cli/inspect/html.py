"""`--html`: a view of `inspect` as one page for a browser."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.progress import task

if TYPE_CHECKING:
    from textgen.api import Model

HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write a page for a browser instead: the text with all neurons to choose from (as "
        "many as 15 MB hold).",
        show_default=False,
    ),
]


def check_page_path(path: Path) -> None:
    """Refuse `-`, which is standard output elsewhere and would be a file's name here.

    Raises:
        InspectionError: It is that.
    """
    from textgen.errors import InspectionError

    if str(path) == "-":
        raise InspectionError(
            "--html - is no file; a page is written to one and opened in a browser: "
            "--html page.html"
        )


def write_page(
    path: Path,
    model: Model,
    source: str,
    *,
    title: str,
    show: str | None = None,
    neuron: list[str] | None = None,
    top: int | None = None,
    quiet: bool = False,
) -> None:
    """Write the page of a text.

    Args:
        path: Where to; a file that is there is replaced.
        model: What reads the text.
        source: The text as it was given.
        title: What the text is.
        show: A quantity, or `surprise`; None: the default quantity.
        neuron: Neurons as typed; None or none: those that vary most.
        top: At most so many of these; None: as many as there is room for.
        quiet: Say nothing of what was written.
    Raises:
        InspectionError: The text is empty, there is no such neuron or quantity, or influence was
            asked for, which is not on the page.
        StorageError: The file cannot be written.
    """
    from textgen.errors import InspectionError
    from textgen.files import atomic_write_bytes
    from textgen.inspection import default_quantity, page_data, parse_neuron
    from textgen.page.render import render
    from textgen.terminal import humanize as fmt

    if show == "influence":
        raise InspectionError(
            "--html shows neurons and surprise, not influence; leave out --html or --show influence"
        )
    config = model.config
    page = page_data(
        model.network,
        model.vocabulary,
        model.saved.normalization.apply(source),
        quantity=show,
        neurons=[
            parse_neuron(
                name,
                num_layers=config.num_layers,
                hidden_size=config.hidden_size,
                quantity=show or default_quantity(config.cell_spec),
            )
            for name in neuron
        ]
        if neuron
        else None,
        top=top,
        survey=model.survey,
        title=title,
        facts=(_name(model), f"{config.cell.upper()} {config.num_layers} × {config.hidden_size}"),
    )
    with task("writing the page"):
        data = render(page).encode("utf-8", errors="backslashreplace")
        atomic_write_bytes(path, data)
    if quiet:
        return
    if page.notice:
        print(page.notice, file=sys.stderr)
    kept = f"{page.neurons:,} of {page.neurons_in_all:,} neurons"
    print(f"written: {path} ({fmt.size(len(data))}, {kept}); open it in a browser", file=sys.stderr)


def page_title(text: str | None, file: Path | None, seed: str | None) -> str:
    """What a page is called: its file, the beginning of its text, or what it was written after."""
    if file is not None:
        return file.name
    if text is not None:
        return textwrap.shorten(text, 60, placeholder=" …") or "a text"
    return f"written after “{textwrap.shorten(seed, 60, placeholder=' …')}”" if seed else "written"


def _name(model: Model) -> str:
    """The run's name, not its path: pages are handed on."""
    path = model.path.resolve()
    return path.parent.name if path.name == "model.safetensors" else path.stem
