"""A page in which one types and a model writes on, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from support.shown_page import Shown


class Live(Shown):
    """A live page, as fast as it goes."""

    def __init__(self, browser: Chrome, path: Path | str, **settings: Any) -> None:
        super().__init__(browser, path, **settings)
        self.settle()
        self.browser.execute_script("document.getElementById('speed').value = 'fast'")

    def type(self, text: str) -> None:
        """Put a text into the box, in place of what stands there and of what was written."""
        self.browser.execute_script("document.getElementById('take').click()")
        box = self.element("#given")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(text)
        self.until(lambda: self.text_of("text") == text)
        self.settle()

    def paste(self, text: str) -> None:
        """Put a text into the box at once."""
        self.browser.execute_script(
            "const box = document.getElementById('given'); box.value = arguments[0];"
            "box.dispatchEvent(new Event('input'))",
            text,
        )

    def shut(self) -> None:
        """Hold the gate at 0, wherever the page is scrolled to."""
        self.browser.execute_script("document.querySelector('.gate button').click()")

    def settle(self) -> None:
        """Wait until all has been computed and drawn."""
        busy = "document.querySelector('.readings').getAttribute('aria-busy')"
        self.until(lambda: self.text_of("text") and self.run(busy) == "false")

    def classes(self, reading: int = 0) -> list[str]:
        """The colour of each character of a text."""
        names = self.run(
            "Array.from(document.querySelectorAll('.reading')[arguments[0]]"
            ".querySelectorAll('.text > span'), e => e.className)",
            reading,
        )
        return [name.split()[-1] if name else "" for name in names]

    def begin_slowly(self) -> None:
        """Let it write at a speed at which it can be disturbed."""
        self.browser.execute_script("document.getElementById('speed').value = 'slow'")
        self.element("#write").click()

    def write(self) -> None:
        """Press the button and wait for the end."""
        self.element("#write").click()
        self.wait_for_the_end()

    def wait_for_the_end(self) -> None:
        self.until(lambda: self.text_of("write") == "Write on")
        self.settle()

    def texts(self) -> list[str]:
        """The texts that can be seen."""
        return [
            e.text for e in self.browser.find_elements(By.CSS_SELECTOR, ".text") if e.is_displayed()
        ]
