"""A real browser on a served page, and everything that it asked for or complained of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from served import Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@contextmanager
def browsed(
    page: Served, *, width: int = 1280, height: int = 900, **more: Any
) -> Iterator[tuple[Any, list[str]]]:
    """Open the page in Chromium with a camera that shows a moving test picture.

    Yields a tab and a list that grows with each complaint, and each request to another host.
    """
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]"
    )
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(
            viewport={"width": width, "height": height}, permissions=["camera"], accept_downloads=True, **more
        )
        tab = context.new_page()
        trouble: list[str] = []
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        own = (f"{page.address}/", "data:", "blob:")
        tab.on("request", lambda ask: None if ask.url.startswith(own) else trouble.append(ask.url))
        tab.on(
            "response",
            lambda answer: trouble.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
        )
        tab.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
        tab.set_default_timeout(90_000)
        tab.goto(page.address)
        tab.wait_for_selector("#paint")
        yield tab, trouble
        browser.close()


def drop(tab: Any, name: str, content: bytes, *, where: str = "#photo", kind: str = "image/png") -> None:
    """Choose a file as a visitor does."""
    with tab.expect_response(lambda answer: "/gradio_api/upload?" in answer.url):
        tab.set_input_files(f"{where} input[type=file]", {"name": name, "mimeType": kind, "buffer": content})
    tab.wait_for_selector(f"{where} img, {where} video")


def shown(tab: Any) -> list[str]:
    """Addresses of the pictures that the slider holds."""
    return list(tab.eval_on_selector_all("#result img", "all => all.map(i => i.src)"))
