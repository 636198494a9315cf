"""The page in a real browser: what a rater would see and do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import chromium
from legible import contrast
from toonlab.votes.server import Server
from toonlab.votes.store import Store
from voting import begun, manifest_of, served

PHOTOS = 4


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return begun(tmp_path / "vote", manifest_of(photos=PHOTOS))


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    with served(store) as running:
        yield running


def visit(browser: Any, server: Server, **context: Any) -> tuple[Any, list[str]]:
    """Open the page as somebody new; return it and everything that it complained of or asked of others."""
    tab = browser.new_context(**({"viewport": {"width": 1200, "height": 800}} | context)).new_page()
    tab.set_default_timeout(30_000)
    trouble: list[str] = []
    tab.on("console", lambda message: trouble.append(message.text))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    own = (server.url, "data:")
    tab.on("request", lambda ask: None if ask.url.startswith(own) else trouble.append(ask.url))
    tab.goto(server.url)
    return tab, trouble


def enter(tab: Any, name: str) -> None:
    tab.wait_for_selector("#name-form:not([hidden])")
    tab.fill("#name", name)
    tab.keyboard.press("Enter")
    up(tab, "1 of")


def up(tab: Any, count: str) -> None:
    """Wait for a question to be on the screen with all its pictures."""
    until(
        tab,
        "count => document.getElementById('count').textContent.startsWith(count)"
        " && document.querySelectorAll('.choose:enabled').length > 0",
        count,
    )


def until(tab: Any, holds: str, argument: str | None = None) -> None:
    """Wait for a condition; the page's own policy forbids what Playwright's wait_for_function does."""
    for _ in range(600):
        if tab.evaluate(holds, argument):
            return
        tab.wait_for_timeout(50)
    pytest.fail(f"never: {holds} {argument}")


def places(store: Store, rater: str) -> list[int]:
    return [vote.place for vote in store.cast() if vote.rater == rater]


def test_a_round_with_keys_and_mouse_a_reload_and_a_change_of_mind(browser, server, store) -> None:
    tab, trouble = visit(browser, server)
    enter(tab, "Ada")
    sizes = tab.eval_on_selector_all("#pictures img", "all => all.map(i => [i.complete, i.naturalWidth])")
    assert sizes == [[True, 120]] * 4
    assert tab.eval_on_selector_all("#pictures img", "all => all.map(i => i.alt)")[0] == "The photo"

    tab.keyboard.press("2")
    up(tab, "2 of 4")
    tab.reload()
    up(tab, "2 of 4")
    tab.get_by_label("Pick picture 3").click()
    up(tab, "3 of 4")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("Enter")
    up(tab, "4 of 4")
    assert places(store, "Ada") == [1, 2, 0]

    tab.keyboard.press("Backspace")
    up(tab, "3 of 4")
    tab.locator("#back").click()
    up(tab, "2 of 4")
    pressed = "all => all.map(b => b.getAttribute('aria-pressed'))"
    assert tab.eval_on_selector_all(".choose", pressed) == ["false", "false", "true"]
    tab.keyboard.press("1")
    up(tab, "4 of 4")
    assert places(store, "Ada") == [1, 0, 0]
    assert store.changes() == 1

    tab.keyboard.press("9")  # no such picture
    tab.keyboard.press("3")
    tab.wait_for_selector("#thanks:not([hidden])")
    assert tab.inner_text("#thanks h1") == "Thank you, Ada!"
    tab.reload()
    tab.wait_for_selector("#thanks:not([hidden])")
    assert places(store, "Ada") == [1, 0, 0, 2]
    assert trouble == []

    tab.get_by_role("button", name="Somebody else").click()
    enter(tab, "Bo")
    tab.keyboard.press("1")
    up(tab, "2 of 4")
    assert places(store, "Bo") == [0]
    assert len(places(store, "Ada")) == 4


def test_a_second_rater_and_a_restart_in_the_middle(browser, store) -> None:
    with served(store) as server:
        tab, trouble = visit(browser, server)
        enter(tab, "Ada")
        tab.keyboard.press("1")
        up(tab, "2 of 4")
        other, _ = visit(browser, server)
        enter(other, "Bo")
        other.keyboard.press("3")
        up(other, "2 of 4")
        port = server.server_address[1]
    tab.keyboard.press("2")
    tab.wait_for_selector("#error:not([hidden])")
    assert "kept" in tab.inner_text("#error")
    assert places(store, "Ada") == [0]
    with served(Store(store.folder), port):
        tab.locator("#retry").click()
        up(tab, "3 of 4")
    assert (places(store, "Ada"), places(store, "Bo")) == ([0, 1], [2])
    assert [text for text in trouble if "ERR_CONNECTION" not in text] == []


def test_a_close_look_compares_in_place_and_picks(browser, server, store) -> None:
    tab, trouble = visit(browser, server)
    enter(tab, "Ada")
    sources = tab.eval_on_selector_all("#pictures img", "all => all.map(i => i.src)")
    tab.get_by_label("Look closely at picture 1").click()
    large = "image => image.src"
    assert tab.eval_on_selector("#large", large) == sources[1]
    tab.keyboard.press("ArrowLeft")
    assert tab.eval_on_selector("#large", large) == sources[0]
    assert tab.locator("#pick").is_disabled()  # the photo is not to be picked
    tab.keyboard.press("ArrowLeft")  # round the end
    assert tab.eval_on_selector("#large", large) == sources[3]
    tab.locator("#size").click()
    assert tab.eval_on_selector("#large", "i => i.getBoundingClientRect().width") == 120
    tab.keyboard.press("Escape")
    assert not tab.locator("#closely").is_visible()
    assert places(store, "Ada") == []
    tab.locator(".choose").nth(1).focus()
    tab.keyboard.press("z")
    assert tab.eval_on_selector("#large", large) == sources[2]
    tab.locator("#pick").click()
    up(tab, "2 of 4")
    assert places(store, "Ada") == [1]
    assert trouble == []


def test_a_double_click_and_a_held_key_count_once(browser, server, store) -> None:
    tab, _ = visit(browser, server)
    enter(tab, "Ada")
    tab.eval_on_selector_all(".choose", "all => { all[1].click(); all[1].click(); }")
    up(tab, "2 of 4")
    held = "new KeyboardEvent('keydown', {key: '1', repeat: true, bubbles: true})"
    for _ in range(4):  # it repeats itself
        tab.evaluate(f"document.body.dispatchEvent({held})")
    tab.wait_for_timeout(200)
    assert places(store, "Ada") == [1]


def test_a_name_is_text(browser, server, store) -> None:
    tab, _ = visit(browser, server)
    tab.wait_for_selector("#name-form:not([hidden])")
    tab.fill("#name", "<img src=x onerror=alert(1)>")
    tab.keyboard.press("Enter")
    until(tab, "document.getElementById('name-error').textContent.startsWith('Please')")
    assert store.progress() == []


LARGER = [pytest.param(*size, marks=pytest.mark.slow) for size in ((844, 390), (1920, 1000))]


@pytest.mark.parametrize(("width", "height"), [(360, 640), *LARGER])
def test_all_of_it_fits_the_screen_in_pairs_too(browser, tmp_path, width: int, height: int) -> None:
    store = begun(tmp_path / "pairs", manifest_of("pairs", photos=2))
    with served(store) as server:
        size = {"width": width, "height": height}
        tab, trouble = visit(browser, server, viewport=size, color_scheme="dark")
        enter(tab, "Ada")
        page = "document.documentElement"
        assert tab.evaluate(f"[{page}.scrollWidth, {page}.scrollHeight]") == [width, height]
        boxes = [tab.locator(".choose").nth(i).bounding_box() for i in range(2)]
        for box in boxes:
            assert box["height"] >= 44  # a thumb
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height
        assert tab.inner_text("#count") == "1 of 6"
        assert trouble == []


def test_colours_are_legible(browser, server) -> None:
    tab, _ = visit(browser, server)
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        read = "name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()"
        for pair in ("ink page", "quiet page", "on-accent accent", "bad page", "ink card"):
            ink, paper = pair.split()
            assert contrast(tab.evaluate(read, ink), tab.evaluate(read, paper)) >= 4.5, (scheme, ink)
