"""The rules of the house: imports go down, a noun has one place, the library knows no flags."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "textgen"

#: A module imports from its own part and from parts of a lower level. Three details: `errors` lies
#: under its neighbours, for everything raises; `terminal` draws plain data and knows nothing else,
#: and lies so low that every message can quote a word as it is typed (`terminal.text`); and
#: training shows samples of the model, so it lies above `sampling`.
LEVELS = {
    "version": -3,
    "extras": -3,
    "progress": -3,
    "messages": -3,
    "table": -3,
    "heat": -2,
    "errors": -2,
    "systems": -2,
    "files": -1,
    "text_spans": -1,
    "terminal": 0,
    "apart": 0,
    "other_names": 0,
    "settings": 0,
    "runtime": 1,
    "temperatures": 1,
    "plain_data": 1,
    "native": 2,
    "corpus": 2,
    "cells": 1,
    "tasks": 2,
    "options": 3,
    "view_options": 4,
    "notebook": 4,
    "arguments": 3,
    "page": 3,
    "model": 4,
    "cleaning": 5,
    "checkpoint": 5,
    "mixing": 5,
    "adaptation": 5,
    "steering": 5,
    "sampling": 6,
    "evaluation": 7,
    "compression": 8,
    "inspection": 8,
    "training": 8,
    "probing": 9,
    "export": 9,
    "comparison": 9,
    "keywords": 9,
    "writing_model": 10,
    "series": 10,
    "lessons": 10,
    "api": 11,
    "blending": 12,
    "serving": 12,
    "cli": 13,
    "__main__": 14,
}

#: Where a library may be imported: the parts, or single modules, that may do it anywhere, and
#: those that may do it inside functions only, because it is slow to load or rarely needed.
LIBRARIES: dict[str, tuple[set[str], set[str]]] = {
    "torch": (
        {
            *("model.recurrence", "model.torch_network"),
            *("training.torch_learner", "training.torch_ranks"),
            *("series.number_network", "series.number_training"),
            "inspection.dictionary_learning",
        },
        {
            *("model.engine", "runtime", "model.torch_nn"),
            *("inspection.influence", "inspection.gradients", "series.number_model"),
            "export.onnx_file",
        },
    ),
    "typer": ({"cli"}, set()),
    "tqdm": (set(), {"terminal.bar"}),
    "rich": ({"terminal", "cli"}, set()),
    "plotext": (set(), {"terminal.chart"}),
    "matplotlib": (set(), {"terminal.chart"}),
    "safetensors": ({"checkpoint"}, {"checkpoint", "export.torch_folder"}),
    **{name: (set(), {"export.onnx_file"}) for name in ("onnx", "onnxscript")},
    **{name: ({"serving"}, set()) for name in ("starlette", "uvicorn")},
    "platformdirs": ({"corpus.cache"}, {"corpus.cache"}),
    "sklearn": (set(), {"probing.probe", "probing.dictionary_controls"}),
    "gensim": (set(), {"training.vectors"}),
    "pandas": (set(), {"inspection.trace"}),
    "constriction": (set(), {"compression.range_coder"}),
    "lxml": (
        set(),
        {f"corpus.extraction.{name}" for name in ("archive", "web_page", "word_document")},
    ),
    "ijson": (set(), {"corpus.extraction.chat_json"}),
    "outlines_core": (set(), {"sampling.forms.regex_index"}),
    "optuna": (set(), {"comparison.study"}),
    "submitit": (set(), {"comparison.submission"}),
    "wcwidth": (set(), {"terminal.text"}),
    "threadpoolctl": (set(), {"runtime"}),
    "IPython": (set(), {"notebook.live_training"}),
}
FREE = {"numpy"}


@dataclass(frozen=True)
class Import:
    """One import: `lazy` inside a function, `typing_only` under `if TYPE_CHECKING`."""

    module: str
    target: str
    lazy: bool
    typing_only: bool

    @property
    def part(self) -> str:
        return self.module.split(".")[0]

    def __str__(self) -> str:
        return f"textgen.{self.module} imports {self.target}"


@cache
def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): (
            ast.parse(path.read_text(encoding="utf-8"))
        )
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def walk(node: ast.AST, lazy: bool = False, typing_only: bool = False) -> Iterator[tuple]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy, typing_only
        inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = typing_only or (
            isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        )
        yield from walk(child, inside, checking)


@cache
def imports() -> tuple[Import, ...]:
    found = []
    every = modules()
    for module, tree in every.items():
        for node, lazy, typing_only in walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                assert node.level == 0, f"textgen.{module}: relative import"
                assert node.module is not None
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [name for name in inside if name.removeprefix("textgen.") in every]
                if node.module == "textgen":
                    targets = inside
                elif len(targets) < len(inside):
                    targets.append(node.module)
            found += [Import(module, target, lazy, typing_only) for target in targets]
    return tuple(found)


def test_every_part_has_a_level() -> None:
    parts = {module.split(".")[0] for module in modules()} - {"__init__"}
    assert parts == set(LEVELS)


def test_imports_go_downward() -> None:
    upward = []
    for found in imports():
        if not found.target.startswith("textgen."):
            continue
        target = found.target.split(".")[1]
        if found.module == "__init__" or target == found.part:
            continue
        if LEVELS[target] >= LEVELS[found.part]:
            upward.append(str(found))
    assert not upward
    assert len(imports()) > 200  # the parser has found something


def test_no_modules_import_each_other() -> None:
    """In no circle, not even inside functions."""
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for found in imports():
        target = found.target.removeprefix("textgen.")
        if target in graph and not found.typing_only:
            graph[found.module].add(target)
    assert circle(graph) == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of one circle of a graph, the first repeated at the end; none where it has none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_file_name_stands_once_in_the_tree() -> None:
    names = Counter(path.name for path in PACKAGE.rglob("*.py"))
    names.update(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    del names["__init__.py"]
    assert not twice(names)


def test_a_class_name_stands_once() -> None:
    nodes = (node for tree in modules().values() for node in ast.walk(tree))
    names = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert not twice(names)


def twice(names: Counter[str]) -> set[str]:
    return {name for name, count in names.items() if count > 1}


#: Modules outside cli/ that may name a flag: a program of its own with its options, custom
#: properties of CSS, and how a message is shown at the prompt, in the docstrings that explain it.
FLAGS_ALLOWED = {"native.build", "page.render", "notebook.fragment", "messages", "errors"}


def test_the_library_knows_no_flags() -> None:
    """A message names a setting with `textgen.messages`; only the command line knows its flag."""
    found = []
    for module, tree in modules().items():
        if module.split(".")[0] == "cli" or module in FLAGS_ALLOWED:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                flags = re.findall(r"(?<![\w-])--[a-z][a-z-]*", node.value)
                found += [f"textgen.{module}:{node.lineno}: {flag}" for flag in flags]
    assert not found


#: What a library or the reader of the package calls; nothing in the package does.
CALLED_FROM_OUTSIDE = {
    *(
        "_buffer_decode",
        "capture_signals",
        "_repr_html_",
        "coerce",
        "format_help",
        "seekable",
        "on_broken_pipe",
        "report_failure",
        "report_success",
        "report_unexpected_exception",
        "reset_parameters",
    ),  # codecs, IPython, click, io, rich, doctest, uvicorn, torch
    *("from_torch_nn", "to_torch_nn"),  # public functions
}


def test_everything_is_used() -> None:
    """Each function, method and class is named somewhere besides its definition."""
    texts = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.html")]
    named = Counter(word for path in texts for word in re.findall(r"\w+", path.read_text("utf-8")))
    defined: Counter[str] = Counter()
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not called(node.decorator_list):
                defined[node.name] += 1
    unused = {name for name, count in defined.items() if named[name] <= count}
    assert {name for name in unused if not name.startswith("__")} == CALLED_FROM_OUTSIDE


def called(decorators: Iterable[ast.expr]) -> bool:
    """Whether typer calls the function."""
    return any(".command(" in name or ".callback(" in name for name in map(ast.unparse, decorators))


def test_the_package_itself_loads_its_names_when_they_are_used() -> None:
    for found in imports():
        if found.module == "__init__" and found.target.startswith("textgen."):
            assert found.typing_only or found.target == "textgen.version", str(found)


def test_libraries_stay_where_they_belong() -> None:
    standard = sys.stdlib_module_names
    stray = []
    for found in imports():
        library = found.target.split(".")[0]
        if library in standard or library == "textgen" or library in FREE or found.typing_only:
            continue
        anywhere, inside = LIBRARIES[library]
        places = {found.part, found.module}
        if not places & anywhere and not (found.lazy and places & inside):
            stray.append(str(found))
    assert not stray


def test_nothing_stored_is_run() -> None:
    """No pickle and nothing that hides one, no code from data."""
    forbidden_modules = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
    assert not [str(i) for i in imports() if i.target.split(".")[0] in forbidden_modules]
    calls = []
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in {"eval", "exec", "compile", "__import__", "torch.load", "torch.save"}:
                    calls.append(f"textgen.{module}: {name}")
                if any(keyword.arg == "allow_pickle" for keyword in node.keywords):
                    calls.append(f"textgen.{module}: {name}(allow_pickle)")
    assert not calls


def test_only_the_command_line_prints_and_exits() -> None:
    calls = []
    for module, tree in modules().items():
        if module.split(".")[0] in ("cli", "__main__"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "sys.exit",
                "exit",
                "quit",
                "os._exit",
                "sys.stdout.write",
                "sys.stderr.write",
            ):
                calls.append(f"textgen.{module}: {ast.unparse(node.func)}")
    assert not calls


HEAVY = (
    *("torch", "typer", "rich", "tqdm", "matplotlib", "plotext"),
    *("sklearn", "scipy", "gensim", "pandas"),
)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import textgen; textgen.__version__; dir(textgen)", (*HEAVY, "numpy")),
        (
            "import textgen.sampling, textgen.inspection, textgen.probing, textgen.api, "
            "textgen.corpus.corpus, textgen.corpus.windows; import textgen; textgen.load",
            HEAVY,
        ),
        (
            "import textgen.training.start, textgen.evaluation, textgen.training.learner, "
            "textgen.model.engine",
            HEAVY,
        ),
        ("import textgen.cli.app", ("torch", "matplotlib", "plotext")),
        ("import textgen.terminal.chart, textgen.terminal.strip", ("torch", "typer", "tqdm")),
    ],
    ids=["textgen", "library", "training", "cli", "terminal"],
)
def test_importing_loads_nothing_heavy(statement: str, absent: tuple[str, ...]) -> None:
    code = f"{statement}; import sys; print(*sorted({{n.split('.')[0] for n in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not set(result.stdout.split()) & set(absent)


def test_names_of_the_package_are_all_there() -> None:
    import textgen

    for name in textgen.__all__:
        assert getattr(textgen, name) is not None
    assert set(textgen.__all__) <= set(dir(textgen))
    with pytest.raises(AttributeError, match="has no attribute 'tarin'"):
        _ = textgen.tarin


#: Programs that fetch a package by its name, with the word that has them do it.
INSTALLERS = (
    r"(?:(?:pip3?|pipx|uv pip|uv tool|conda|mamba|micromamba) (?:install|upgrade|update|run)"
    r"|(?:uv|poetry|pdm|hatch) add|uvx|easy_install)"
)
#: Advice that ends at a stranger's package: fetch, update or upgrade `textgen`, by name.
STRANGERS = re.compile(
    rf"\b{INSTALLERS}\b(?:[^`;.¶]|\.(?! ))*?[ '\"]textgen\b(?![/.-])"
    r"|\btextgen\[[a-z, ]*\]"
    r"|\b(?:update|upgrade|reinstall|download) (?:to )?(?:a |the )?(?:new(?:er|est)? |latest )?"
    r"textgen\b(?![/.-])"
    r"|\binstall (?:a |the )?(?:new(?:er|est)? |latest )?textgen\b(?![/.-])"
    r"(?!, in the same way as this one)",
    re.IGNORECASE,
)
#: What a text has pip install: what stands after the options.
INSTALLED = re.compile(
    r"\bpip3? install(?: -c \S+| --?[\w-]+)* ['\"]?([\w.][\w.-]*(?:\[[a-z,]+\])?)"
)


def texts_for_people() -> dict[Path, str]:
    """Every text of the project that somebody may follow.

    The lines of a paragraph are joined, the signs of comments go; `¶` stands between paragraphs.
    """
    paths = [
        *PACKAGE.rglob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "docs").rglob("*.py"),
        *(ROOT / "scripts").iterdir(),
        *(ROOT / "benchmarks").rglob("*.py"),
        *(ROOT / name for name in ("Makefile", "pyproject.toml", "hatch_build.py")),
        *ROOT.glob("*.md"),
        *(ROOT / "checkpoints").glob("*/*.md"),
    ]
    found = {}
    for path in paths:
        if path.is_file():
            text = re.sub(r"^\s*[#>]+:? ?", "", path.read_text("utf-8"), flags=re.MULTILINE)
            found[path] = " ".join(re.sub(r"\n\s*\n", " ¶ ", text).split())
    return found


@pytest.mark.parametrize(
    "advice",
    [
        "pip install -U textgen",
        "type: pip install 'textgen[all]'",
        "python -m pip install --upgrade textgen",
        "uv pip install textgen",
        "uv add textgen",
        "pipx install textgen",
        "uvx textgen",
        "pip install scikit-learn textgen",
        "textgen[probe]",
        "update textgen",
        "upgrade to the latest textgen",
        "install the textgen that wrote it",
    ],
)
def test_advice_that_leads_to_a_stranger_is_known(advice: str) -> None:
    assert STRANGERS.search(advice)


def test_no_text_installs_the_package_of_another_project() -> None:
    """On the package index the name textgen is not ours: no text has anybody fetch it by name."""
    texts = texts_for_people()
    assert {path.parent.name for path in texts} >= {"textgen", "docs", "lessons", "ru", "mk"}
    said = {path: STRANGERS.findall(text) for path, text in texts.items()}
    assert not {path: found for path, found in said.items() if found}


def test_a_text_installs_the_clone_or_a_library_that_we_name() -> None:
    """A misspelt name would be a stranger's package, too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    libraries = {
        re.match(r"[\w-]+", needed)[0]  # type: ignore[index]
        for needed in (*project["dependencies"], *(x for extra in extras.values() for x in extra))
    }
    ours = {project["name"], "."}
    ours |= {f"{name}[{extra}]" for name in ours for extra in extras}
    # `to_pandas` alone asks for pandas, and `make hashes` for uv: nothing else needs them.
    allowed = ours | libraries | {"pandas", "uv"}
    found = {path: INSTALLED.findall(text) for path, text in texts_for_people().items()}
    found = {path: [name.rstrip(".") or "." for name in names] for path, names in found.items()}
    assert sum(map(len, found.values())) > 20
    assert not {path: set(names) - allowed for path, names in found.items() if set(names) - allowed}
