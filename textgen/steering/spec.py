"""Interventions as users type them: `0:137=+2`, `sentiment=-2@s1,+2@s2..`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from textgen.errors import ConfigError
from textgen.steering.intervention import MODES, Intervention, Mode
from textgen.steering.schedule import ALWAYS, parse_span
from textgen.steering.target import Target

HOW_TO = (
    "write TARGET=DOSE, such as 0:137=+2, sentiment=-1.5:add, 0:137=off or "
    "sentiment=-2@0..60,+2@60.."
)


def parse_spec(text: str, target: Callable[[str], Target]) -> list[Intervention]:
    """Read one `--steer`.

        TARGET=DOSE[:MODE][@SPAN][,DOSE[:MODE][@SPAN]]...

    TARGET is LAYER:UNIT, with `.h` or `.c` after it for the output or the cell state (default: the
    cell state where there is one), or a name that was saved. DOSE is in standard deviations. MODE
    is `clamp` (default), `add` or `scale`; `off` stands in place of a dose. SPAN is as in
    `parse_span`.

    Args:
        text: The specification.
        target: Gives the target of a name or of LAYER:UNIT.
    Raises:
        ConfigError: It cannot be read.
    """
    name, equals, doses = text.strip().partition("=")
    if not equals or not name.strip() or not doses.strip():
        raise ConfigError(f"'{text}' does not say what to steer and how; {HOW_TO}")
    if re.fullmatch(r"[-+−]?[0-9]+,[0-9]+", doses.strip()):
        raise ConfigError(
            f"'{text}' has a comma between digits; a fraction is written with a point, such as "
            "0:137=2.5, and two doses need stretches of their own, such as 0:137=2@0..60,5@60.."
        )
    chosen = target(name.strip())
    return [_parse_dose(part.strip(), chosen, text) for part in doses.split(",")]


def _parse_dose(part: str, target: Target, whole: str) -> Intervention:
    match = re.fullmatch(
        r"(?:(?P<dose>[-+−]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)(?::(?P<mode>\w+))?|:?(?P<off>off))(?:@(?P<span>.*))?",
        part,
    )
    if match is None:
        raise ConfigError(f"'{part}' in '{whole}' is no dose; {HOW_TO}")
    mode = match["off"] or match["mode"] or "clamp"
    if mode not in MODES:
        raise ConfigError(f"'{mode}' in '{whole}' is no way to steer; choose: {', '.join(MODES)}")
    known: Mode = mode
    # A minus sign may come out of a text as the typographic one.
    dose = 0.0 if mode == "off" else float(match["dose"].replace("−", "-"))
    span = ALWAYS if match["span"] is None else parse_span(match["span"])
    return Intervention(target=target, dose=dose, mode=known, span=span)


def parse_specs(texts: Iterable[str], target: Callable[[str], Target]) -> tuple[Intervention, ...]:
    """Read several; they act in the order given."""
    return tuple(part for text in texts for part in parse_spec(text, target))
