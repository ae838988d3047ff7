"""Write the tree of `textgen/` into docs/architecture.md: each file and what it says of itself.

That is the first sentence of a module's docstring, or of a C file's comment. `make tree` runs it; a
test fails while the page holds another tree.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree: `make tree` writes it -->\n```\n", "```\n<!-- end of the tree -->\n"


def tree() -> str:
    """A line for each package, module and C file: its name, and what it says of itself."""
    return "".join(_lines(ROOT / "textgen", 0))


def _lines(folder: Path, depth: int) -> list[str]:
    package = folder / "__init__.py"
    lines = [_line(f"{folder.name}/", _first_sentence(package) if package.exists() else "", depth)]
    endings = (".py", ".c", ".h", ".inc")
    files = [path for path in sorted(folder.iterdir()) if path.suffix in endings]
    lines += [
        _line(path.name, _first_sentence(path), depth + 1) for path in files if path != package
    ]
    for path in sorted(folder.iterdir()):
        if (path / "__init__.py").exists() or path.name == "src":
            lines += _lines(path, depth + 1)
    return lines


def _line(name: str, said: str, depth: int) -> str:
    return f"{'  ' * depth + name:<28}{said}".rstrip() + "\n"


def _first_sentence(path: Path) -> str:
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        comment = re.match(r"/\* (.*?)\*/", text, re.DOTALL)
        said = re.sub(r"^ \*", "", comment[1], flags=re.MULTILINE) if comment else ""
    return re.split(r"(?<=\.) ", " ".join(said.partition("\n\n")[0].split()))[0]


def with_tree(page: str) -> str:
    """The page with the tree of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tree() + END + after


if __name__ == "__main__":
    PAGE.write_text(with_tree(PAGE.read_text("utf-8")), "utf-8")
