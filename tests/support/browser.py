"""A headless Chromium for the tests, with the switches that keep it quiet and off the network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--lang=en",
    # Whoever would still look up a name gets no answer.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
)


def found() -> tuple[str, str] | None:
    """The paths of browser and driver, or None where one of them is missing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which(DRIVER)
    return None if browser is None or driver is None else (browser, driver)


@contextmanager
def chromium(
    profile: Path, *, width: int = 1280, height: int = 900, scripts: bool = True
) -> Iterator[Chrome]:
    """A browser of its own.

    Args:
        profile: An empty folder for it.
        width: Of the window.
        height: Of the window.
        scripts: Whether pages may run JavaScript.
    """
    paths = found()
    assert paths is not None, "no Chromium"
    options = ChromeOptions()
    options.binary_location = paths[0]
    for switch in (*SWITCHES, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(switch)
    if not scripts:
        options.add_experimental_option(
            "prefs", {"profile.managed_default_content_settings.javascript": 2}
        )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(paths[1]))
    try:
        yield driver
    finally:
        driver.quit()
