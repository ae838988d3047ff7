"""Compiles the native library while textgen is installed, and brings the lessons' files along.

`pip install .` and `python -m build` put it into the wheel, which is then of one platform;
`pip install -e .` puts it beside its sources. Without a compiler the wheel is pure Python, and a
warning says so: an installation never fails for it. `make wheels` names another platform in the
variable `TEXTGEN_WHEEL_TAG`, and has no wheel without the library.

The lessons' pages, the texts that they read and the trained models stand outside the package, where
a reader of the repository looks for them. A wheel holds a copy of them inside; a clone needs none.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: What a wheel has beside the modules: where it stands here -> where it stands in the wheel. Of
#: `checkpoints` the models that git keeps; runs of one's own may stand there too.
MODELS = ("dostoevsky", "shakespeare")
BROUGHT = {
    "docs/lessons": "textgen/lessons/pages",
    "corpora": "textgen/lessons/corpora",
    **{f"checkpoints/{name}": f"textgen/checkpoints/{name}" for name in MODELS},
}


class NativeLibraryHook(BuildHookInterface[Any]):
    """Called by hatchling before and after it packs a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library, and tell the wheel about it.

        Args:
            version: `standard` for a wheel, `editable` for an installation that stays in the tree.
            build_data: hatchling's: what goes into the wheel, and its tag.
        """
        sys.path.insert(0, self.root)
        try:
            from textgen.native.build import build_library
            from textgen.native.library import BUILD_COMMAND, COST, LIBRARY, is_current
            from textgen.native.targets import target_of
        finally:
            sys.path.remove(self.root)
        editable = version == "editable"
        tag = os.environ.get("TEXTGEN_WHEEL_TAG")
        target = target_of(tag) if tag else None
        if not editable:
            for here, there in BROUGHT.items():
                if not Path(self.root, here).exists():
                    self.app.display_warning(f"textgen is installed without {here}: it is missing")
                    continue
                build_data["force_include"][str(Path(self.root, here))] = there
        self.folder = tempfile.TemporaryDirectory(prefix="textgen-build-")
        name = target.file if target else LIBRARY.name
        output = LIBRARY if editable else Path(self.folder.name) / name
        try:
            if not (editable and is_current(output)):
                build_library(output, target=target, say=self.app.display_info)
        except Exception as error:  # Whatever it is: textgen runs without the library.
            if target:
                raise
            first, _, rest = str(error).partition("\n")
            self.app.display_warning(
                f"textgen is installed without its native engine: {first}; {COST}; "
                f"with a C compiler installed, type: {BUILD_COMMAND}"
            )
            if rest:
                self.app.display_info(rest)
            return
        if not editable:
            build_data["force_include"][str(output)] = f"textgen/native/{output.name}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{tag or self._platform()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built outside the tree; the wheel has it.

        Args:
            version: As for `initialize`.
            build_data: As for `initialize`.
            artifact_path: The wheel.
        """
        self.folder.cleanup()

    def _platform(self) -> str:
        """The platform in the wheel's name: this machine, as pip sees it.

        The library uses nothing of Python's own binary interface, so that any Python will do.
        """
        from packaging.tags import sys_tags

        # A manylinux tag is a promise about old C libraries that is not ours to make.
        return next(
            tag.platform
            for tag in sys_tags()
            if "manylinux" not in tag.platform and "musllinux" not in tag.platform
        )
