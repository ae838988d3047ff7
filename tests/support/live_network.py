"""The network of the live page alone, in a browser: what it computes, as NumPy arrays."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from textgen.export.packed import PackedModel

#: The files that compute, in the order of the page.
SCRIPTS = ("vocabulary.js", "equations.js", "cells.js", "network.js", "windows.js")
#: A network in the global scope, as `network`.
PAGE = """<!doctype html><meta charset="utf-8"><script>{script}
const numbers = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
const network = opened(new Network({description}, numbers("{data}")));
</script>"""


def program() -> str:
    """The network's part of the page's program."""
    return "\n".join(
        files("textgen.page").joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS
    )


def written(packed: PackedModel, path: Path) -> Path:
    """A page with nothing but a network."""
    html = PAGE.format(
        script=program(),
        description=json.dumps(packed.description).replace("<", "\\u003c"),
        data=base64.b64encode(packed.data).decode(),
    )
    path.write_text(html, encoding="utf-8")
    return path


#: Reads ids and returns a row for each: the logits, then all quantities; `edits` are the holds.
READ = """
const [ids, holds] = arguments;
const state = network.start();
return ids.map((id) => {
  const { logits, values } = network.step(state, id, holds);
  return [Array.from(logits), ...network.quantities.map((name) => Array.from(values[name]))];
});
"""


def read(browser: Any, ids: list[int], holds: list[dict[str, Any]] | None = None) -> list[Any]:
    """What the network of the loaded page does on ids."""
    rows: list[Any] = browser.execute_script(READ, ids, holds or [])
    return rows
