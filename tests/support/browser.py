"""A real Chromium, headless, for tests marked browser: skipped where there is none, failed where that must not happen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome")
ARGUMENTS = (
    "--no-sandbox --headless --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)

expect.set_options(timeout=20_000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """One for the fixture of a module. Not for the session: while Playwright's loop runs, no other test of this thread
    could run one."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        missing = f"NO BROWSER, so nothing was seen in one: install one of {', '.join(BROWSERS)}."
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS.split())
        yield browser
        browser.close()


# Attempts to come back follow each other quickly: the client's waits are at the short end of what is random.
HASTE = "Math.random = () => 0.05"
