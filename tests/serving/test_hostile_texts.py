"""Long texts that a hostile client sends as settings are answered at once: one thread reads all."""

from __future__ import annotations

import json
import subprocess
import sys

from textgen.options import ItemOptions, SampleOptions
from textgen.serving.completion import NO_FIELDS
from textgen.serving.json_fields import LONGEST_SETTING, LONGEST_TEXT, MOST_TEXTS
from textgen.settings import kinds_of, settings_of

#: What a text is filled with. A character at the end keeps a pattern from matching the whole.
FILLINGS = (" ", "1", "=1", ",", "1,", "1 ", ".", "1.", "a=1,", "1@0..1,", "=", "@", "(", "aA", "+")
ENDS = ("", "x", "\n")
#: Run in a process of its own: what hangs in a regular expression can only be ended from outside.
READ = """
import json, sys, time
from textgen.serving.completion import read_completion
from textgen.serving.refusal import Refusal
from textgen.serving.serve_options import ServeOptions
limits, slowest = ServeOptions(), (0.0, "")
for body in sys.stdin:
    began = time.process_time()
    try:
        read_completion(body.encode(), limits)
    except Refusal:
        pass
    slowest = max(slowest, (time.process_time() - began, body[:40]))
print(json.dumps(slowest))
"""


def test_every_text_of_a_setting_is_read_within_a_second() -> None:
    bodies = []
    for item in (*settings_of(SampleOptions), *settings_of(ItemOptions)):
        is_listed = item.annotation.startswith("tuple[str")
        if item.name in NO_FIELDS or not (is_listed or str in (kinds_of(item.annotation) or ())):
            continue
        size = LONGEST_TEXT if is_listed else LONGEST_SETTING
        for filling in FILLINGS:
            for end in ENDS:
                text = (filling * size)[: size - len(end)] + end
                bodies.append(json.dumps({item.name: [text] * MOST_TEXTS if is_listed else text}))
    assert len(bodies) >= 10 * len(FILLINGS) * len(ENDS)
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input="\n".join(bodies),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seconds, body = json.loads(done.stdout)
    assert seconds < 1, body
