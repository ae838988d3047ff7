"""Write the layers and the tree of `textgen/` into docs/architecture.md: `make tree`.

The layers are those of `tests/test_architecture.py`. Beside a file of the tree stands the first
sentence of its docstring, or of its comment in C. A test fails while the page holds others.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
LEVELS = ROOT / "tests" / "test_architecture.py"
#: What stands between these two lines is written anew.
MARKS = "<!-- {}: `make tree` writes it -->\n```\n", "```\n<!-- end -->\n"


def layers() -> str:
    """A line for each level, the highest first: the parts that may import those below it."""
    for node in ast.parse(LEVELS.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LEVELS":
            levels: dict[str, int] = ast.literal_eval(node.value)
    return "".join(
        "  ".join(part for part, own in levels.items() if own == level) + "\n"
        for level in sorted(set(levels.values()), reverse=True)
    )


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


def written(page: str) -> str:
    """The page with the layers and the tree of today."""
    for name, text in (("layers", layers()), ("tree", tree())):
        begin = MARKS[0].format(name)
        before, _, rest = page.partition(begin)
        page = before + begin + text + MARKS[1] + rest.partition(MARKS[1])[2]
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
