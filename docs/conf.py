"""The site of these pages: `make docs`. Its pages are those that docs/README.md lists."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from typer.main import get_command
from typer.testing import CliRunner

from textgen.cli.app import app as app_of_commands
from textgen.version import __version__

ROOT = Path(__file__).resolve().parents[1]

os.environ["COLUMNS"] = "88"  # what --help is printed for

project = "textgen"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

# The sources lie where GitHub shows them, so that a link between two of them is the same there.
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "checkpoints/**README.md",
    "corpora/README.md",
    "textgen/*/README.md",
]
exclude_patterns = [".*", "build", "dist", "tests", "benchmarks", "scripts"]
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
suppress_warnings = ["myst.header"]
highlight_language = "none"

# In docstrings `this` is code, as in Markdown.
default_role = "code"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
strip_signature_backslash = True  # else `from_` loses its last letter
nitpicky = True
# Links to other projects would need the network; the others are parts that nobody meets.
nitpick_ignore_regex = [
    ("py:.*", r"(?!textgen\.).*"),
    ("py:.*", r"textgen\.(options|model|mixing|adaptation|messages|notebook|comparison\.runs)\..*"),
    ("py:.*", r"textgen\.(series\.scaling|cells\.registry)\..*"),
    ("py:.*", r"textgen\.(checkpoint\.model_file|sampling\.forms|sampling\.items)\..*"),
]

html_theme = "furo"
html_title = f"textgen {__version__}"
html_show_sphinx = html_show_copyright = html_copy_source = False


def contents() -> str:
    """The tree of pages: each heading of docs/README.md, with the pages below it."""
    text = (ROOT / "docs/README.md").read_text("utf-8")
    trees = []
    for heading, part in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        pages = re.findall(r"^- \[(.+?)\]\((.+?\.md)\)", part, re.M)
        trees += ["```{toctree}", ":hidden:", f":caption: {heading}", ""]
        for title, page in pages:
            path = (ROOT / "docs" / page).resolve().relative_to(ROOT)
            trees.append(f"{title} </{path}>" if str(path) != "README.md" else "self")
        trees += ["```", ""]
    return "\n".join(trees)


def helps(command: Any, words: list[str]) -> Iterator[str]:
    """What `--help` prints for a command and for those below it, in Markdown."""
    shown = CliRunner().invoke(app_of_commands, [*words, "--help"], prog_name="textgen")
    yield f"\n## {' '.join(['textgen', *words])}\n\n```text\n{shown.stdout.strip()}\n```\n"
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from helps(below, [*words, name])


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the tree of pages into the first one, where GitHub would show its source."""
    if page == root_doc:
        source[0] += "\n" + contents()
    elif page == "docs/options":
        source[0] += "\n".join(helps(get_command(app_of_commands), []))
    elif page == "docs/README":
        source[0] = "---\norphan: true\n---\n" + source[0]
    elif re.fullmatch(r"docs/lessons/(../)?README", page):
        lessons = sorted((ROOT / page).parent.glob("[0-9]*.md"))
        names = [path.stem for path in lessons]
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", "", *names, "```\n"])


def list_settings(
    app: Sphinx, what: str, name: str, own: Any, options: Any, lines: list[str]
) -> None:
    """Make a list of the settings that `textgen.arguments.checked` adds to a docstring."""
    titles = [number for number, line in enumerate(lines) if line.startswith("Settings, with")]
    for number in titles:
        settings = [re.sub(r"([\\*_|])", r"\\\1", line) for line in lines[number + 1 :]]
        settings = [
            re.sub(r"^ {4}(\S+) = (.+?):(?: |$)", r"* **\1** = \2: ", line) for line in settings
        ]
        lines[number + 1 :] = ["", *(re.sub(r"^ {8}", "  ", line) for line in settings)]


def plain_defaults(
    app: Sphinx, what: str, name: str, own: Any, options: Any, *signature: str | None
) -> tuple[str | None, ...]:
    """A signature in which a default that is a function is no `<function <lambda>>`."""
    shown = r"<function (<lambda>|[\w.]+)( at \w+)?>|<factory>"
    return tuple(part and re.sub(shown, "...", part) for part in signature)


def set_language(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Say which language a page is in, for those who hear it."""
    found = re.search(r"(?:[._/])(ru|mk)(?:/|$)", page)
    context["language"] = found[1] if found else "en"


def add_index(app: Sphinx, error: Exception | None) -> None:
    """The first page is the one that a folder opens with."""
    if error is None:
        shutil.copy(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    # Before napoleon, which reads what this writes.
    app.connect("autodoc-process-docstring", list_settings, priority=400)
    app.connect("autodoc-process-signature", plain_defaults)
    app.connect("html-page-context", set_language)
    app.connect("build-finished", add_index)
