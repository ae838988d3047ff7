"""A page in a browser, as a person uses it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement


class Shown:
    """A page in a browser.

    Args:
        browser: It is loaded there.
        path: Its file, or its address.
        width: Of the view in CSS pixels.
        scheme: What the system prefers: `light` or `dark`.
    """

    def __init__(
        self, browser: Chrome, path: Path | str, *, width: int = 1280, scheme: str = "light"
    ) -> None:
        self.browser = browser
        self.see(width, scheme)
        for log in ("browser", "performance"):
            browser.get_log(log)  # what earlier pages left
        browser.get(path if isinstance(path, str) else path.as_uri())

    def see(self, width: int, scheme: str) -> None:
        """Another width, or another scheme."""
        for name, settings in (
            (
                "setDeviceMetricsOverride",
                {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": False},
            ),
            (
                "setEmulatedMedia",
                {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
            ),
        ):
            self.browser.execute_cdp_cmd(f"Emulation.{name}", settings)

    def run(self, script: str, *values: Any) -> Any:
        """The value of a JavaScript expression."""
        return self.browser.execute_script(f"return {script}", *values)

    def text_of(self, name: str) -> str:
        """What the element of that id says."""
        return str(self.run("document.getElementById(arguments[0]).textContent", name))

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        ActionChains(self.browser).send_keys(*keys).perform()

    def hover(self, place: int) -> None:
        """Move the mouse to a character."""
        spans = self.browser.find_elements(By.CSS_SELECTOR, "#text > span")
        ActionChains(self.browser).move_to_element(spans[place]).perform()

    def listed(self) -> list[str]:
        """The rows of the list, from above."""
        return list(
            self.run("Array.from(document.querySelectorAll('#list .name'), e => e.textContent)")
        )

    def click(self, name: str) -> None:
        """Click a neuron in the list."""
        options = self.browser.find_elements(By.CSS_SELECTOR, "#list .option")
        options[self.listed().index(name)].click()

    def colors(self) -> list[str]:
        """The background of every character."""
        return list(
            self.run(
                "Array.from(document.querySelectorAll('#text > span'), "
                "e => getComputedStyle(e).backgroundColor)"
            )
        )

    def focus(self) -> str:
        """The id of what has the focus, or of what it lies in."""
        return str(self.run("document.activeElement.closest('[id]')?.id ?? ''"))

    def element(self, selector: str) -> WebElement:
        """The first element of a CSS selector."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        """Wait for something that the page does by itself."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    def violations(self) -> list[str]:
        """What axe-core has against the page as it is now."""
        axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        found = self.browser.execute_async_script(
            axe + "; axe.run().then((found) => arguments[0](found.violations))"
        )
        return [
            f"{each['id']}: {node['html']}: {node['failureSummary']}"
            for each in found
            for node in each["nodes"]
        ]

    def complaints(self) -> list[str]:
        """What the browser wrote on its console: errors, broken policies."""
        return [entry["message"] for entry in self.browser.get_log("browser")]


def number(text: str) -> float:
    """The first number of a text, as the page writes it."""
    match = re.search(r"−?[\d.]+(?:e−?\d+)?", text)
    assert match is not None, text
    return float(match[0].replace("−", "-"))
