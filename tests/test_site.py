"""The site: every page is in its tree, no warning, nothing from the network."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from support.small_runs import ROOT
from test_guides import PAGES, text_of

INDEX = "docs/README.md"
#: What a page loads by itself, and where it stands.
LOADED = re.compile(
    r"<(?:script|img|iframe|source|audio|video|embed|object)\b[^>]*?\b(?:src|data|srcset)"
    r'="([^"]+)"|<link\b(?![^>]*\brel="(?:canonical|index|search|next|prev|author)")[^>]*?\bhref'
    r'="([^"]+)"'
)
IN_STYLES = re.compile(r"url\(\s*[\"']?([^)\"']+)|@import\s+[\"']([^\"']+)")
#: A link of a page to a file of the site.
OWN_LINK = r'<(?:img|a)\b[^>]*? (?:src|href)="(?!\w+:)([^"#?]+)'


def listed() -> list[str]:
    """The pages that the index lists."""
    found = re.findall(r"^- \[.+?\]\((.+?\.md)\)", text_of(INDEX), re.M)
    return [(ROOT / "docs" / page).resolve().relative_to(ROOT).as_posix() for page in found]


def test_the_index_lists_every_page() -> None:
    """Once; the lessons are listed by their own pages, whose tests know them."""
    pages = listed()
    assert len(pages) == len(set(pages)) > 20
    lesson = re.compile(r"docs/lessons/(?:../)?\d\d_\w+\.md")
    rest = {page for page in PAGES if not lesson.fullmatch(page)}
    assert rest - {INDEX} == {*pages}


def test_the_reference_has_every_public_name() -> None:
    """And names nothing that is not there."""
    import textgen

    text = text_of("docs/reference.md")
    named = re.findall(r"^\.\. auto(?:class|function):: (\S+)$", text, re.M)
    for name in named:
        module, _, own = name.rpartition(".")
        assert hasattr(importlib.import_module(module), own), name
    assert len(named) == len(set(named))
    public = {f"textgen.{name}" for name in textgen.__all__} - {"textgen.__version__"}
    assert public - {*named} == {"textgen.TextgenError"}  # It stands among the errors.
    assert ".. automodule:: textgen.errors" in text


def from_elsewhere(site: Path) -> list[str]:
    """What the files of a site would load from the network."""
    found = []
    for path in sorted(site.rglob("*")):
        pattern = {".html": LOADED, ".svg": LOADED, ".css": IN_STYLES}.get(path.suffix)
        loaded = pattern.findall(path.read_text("utf-8")) if pattern else []
        named = [one or other for one, other in loaded]
        found += [f"{path.name}: {one}" for one in named if re.match(r"(?:\w+:)?//", one)]
    return found


def test_what_comes_from_the_network_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<img alt="x" src="https://a/b.png"><a href="https://c">c</a><script src="_static/d.js">'
        '</script><link rel="stylesheet" href="//e/f.css"><link href="https://g" rel="canonical">'
    )
    (tmp_path / "own.css").write_text('@import "http://h"; a {background: url(data:image/png,)}')
    assert from_elsewhere(tmp_path) == [
        "own.css: http://h",
        "page.html: https://a/b.png",
        "page.html: //e/f.css",
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """And whoever reads it needs no network; each language is marked, each picture is there."""
    site = tmp_path / "site"
    words = ["-m", "sphinx", "--quiet", "--fresh-env", "--fail-on-warning", "--conf-dir", "docs"]
    words += ["--doctree-dir", str(tmp_path / "doctrees"), ".", str(site)]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert from_elsewhere(site) == []
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert {page.removesuffix(".md") + ".html" for page in PAGES} <= pages
    assert (site / "index.html").read_text("utf-8") == (site / "README.html").read_text("utf-8")
    assert '<html class="no-js" lang="ru"' in (site / "docs/guide_ru.html").read_text("utf-8")
    reference = (site / "docs/reference.html").read_text("utf-8")
    for name in ("textgen.train", "textgen.Model.generate", "textgen.errors.StorageError"):
        assert f'id="{name}"' in reference, name
    assert "&lt;function" not in reference and "&lt;factory" not in reference
    for path in site.rglob("*.html"):
        for link in re.findall(OWN_LINK, path.read_text("utf-8")):
            assert (path.parent / unquote(link)).exists(), f"{path.name}: {link}"
