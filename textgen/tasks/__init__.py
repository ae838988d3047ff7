"""Tasks with a known answer, generated: they need nothing but a seed."""

from __future__ import annotations

from textgen.errors import ConfigError
from textgen.tasks.base import Example as Example
from textgen.tasks.base import Task as Task
from textgen.tasks.copying import CopyTask as CopyTask
from textgen.tasks.counting import CountTask as CountTask
from textgen.tasks.recall import RecallTask as RecallTask

#: Every task by the name that `--task` uses.
TASKS: dict[str, Task] = {task.name: task for task in (RecallTask(), CountTask(), CopyTask())}


def get_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in TASKS:
        raise ConfigError(f"task '{name}' is not known; choose one of: {', '.join(TASKS)}")
    return TASKS[name]
