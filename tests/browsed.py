"""A real browser on a served page, and everything that it asked for or complained of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chromium import CAMERA, chromium
from served import Served


@contextmanager
def browsed(
    page: Served, *, width: int = 1280, height: int = 900, **more: Any
) -> Iterator[tuple[Any, list[str]]]:
    """Open the page in Chromium with a camera that shows a moving test picture.

    Yields a tab and a list that grows with each complaint, and each request to another host.
    """
    with chromium(*CAMERA) as browser:
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


def drop(tab: Any, name: str, content: bytes, *, where: str = "#photo", kind: str = "image/png") -> None:
    """Choose a file as a visitor does."""
    with tab.expect_response(lambda answer: "/gradio_api/upload?" in answer.url):
        tab.set_input_files(f"{where} input[type=file]", {"name": name, "mimeType": kind, "buffer": content})
    tab.wait_for_selector(f"{where} img, {where} video")


def shown(tab: Any) -> list[str]:
    """Addresses of the pictures that the slider holds."""
    return list(tab.eval_on_selector_all("#result img", "all => all.map(i => i.src)"))
