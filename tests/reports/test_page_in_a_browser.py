"""The page in a real browser without a network: what a person would see and do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chromium import chromium
from legible import contrast
from reported import grid_of, run_folder, summary_of, sweep_of
from toonlab.reports.page import page
from toonlab.reports.record import read_run

RUNS, PHOTOS = 3, 4


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str]]]:
    """The page of a sweep of three and one failure, and everything that it complained of or asked for."""
    root = tmp_path_factory.mktemp("sweep")
    runs = [*sweep_of(root, [0.1, 10, 2]), read_run(run_folder(root, "3_lost", status="failed"))]
    file = root / "report.html"
    summary = summary_of(runs, [0.3, 0.1, 0.5, None])
    file.write_text(page(summary, [grid_of(RUNS, PHOTOS)], made="today"), encoding="utf-8")
    with chromium() as browser:
        tab = browser.new_context(offline=True, viewport={"width": 1200, "height": 900}).new_page()
        trouble: list[str] = []
        tab.on("console", lambda message: trouble.append(message.text))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        own = (file.as_uri(), "data:")
        tab.on("request", lambda ask: None if ask.url.startswith(own) else trouble.append(ask.url))
        tab.set_default_timeout(20_000)
        tab.goto(file.as_uri())
        yield tab, trouble


def test_nothing_is_asked_for_and_nothing_complains(opened: tuple[Any, list[str]]) -> None:
    tab, trouble = opened
    tab.wait_for_load_state("networkidle")
    assert trouble == []
    assert tab.title() == "sweep · toonlab report"


def test_the_guard_itself_sees_a_request(opened: tuple[Any, list[str]]) -> None:
    tab, trouble = opened
    tab.evaluate(
        "const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i); i.remove()"
    )
    tab.wait_for_timeout(200)
    assert trouble  # refused by the page's own policy, and heard of here
    trouble.clear()


def test_the_grid_shows_every_run_and_photo(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    sizes = tab.eval_on_selector_all("table.grid img", "all => all.map(i => [i.complete, i.naturalWidth])")
    tab.locator("#pictures").scroll_into_view_if_needed()
    assert len(sizes) == (1 + RUNS) * PHOTOS
    assert sizes == [[True, 64]] * len(sizes)
    first = tab.eval_on_selector_all("table.grid tr", "rows => rows.map(r => r.dataset.name)")
    assert first == ["photo", "0_whitebox", "1_whitebox", "2_whitebox"]


def covered(tab: Any) -> str:
    clip: str = tab.eval_on_selector("#before", "image => getComputedStyle(image).clipPath")
    return clip


def test_the_slider_moves_by_mouse_and_by_keys(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    assert covered(tab) == "inset(0px 50% 0px 0px)"
    box = tab.locator("#divider").bounding_box()
    tab.locator("#divider").scroll_into_view_if_needed()
    box = tab.locator("#divider").bounding_box()
    middle = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] / 2, middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.2, middle, steps=4)
    tab.mouse.up()
    right = float(covered(tab).split()[1].rstrip("%"))
    assert 70 < right < 90
    tab.locator("#divider").press("End")
    assert covered(tab) in ("inset(0px 0% 0px 0px)", "inset(0px)")


def test_any_run_and_photo_can_be_chosen(opened: tuple[Any, list[str]]) -> None:
    tab, trouble = opened
    sources = tab.eval_on_selector_all(
        "table.grid tr", "rows => rows.map(r => [...r.querySelectorAll('img')].map(i => i.src))"
    )
    tab.select_option("#right", label="2_whitebox")
    tab.select_option("#photo", label="3")
    shown = tab.eval_on_selector_all(
        "#before, #after", "two => Object.fromEntries(two.map(i => [i.id, i.src]))"
    )
    assert shown == {"before": sources[0][2], "after": sources[3][2]}
    tab.click("#next")
    tab.click("#next")  # round the end
    assert tab.eval_on_selector("#after", "image => image.src") == sources[3][0]
    tab.locator("table.grid tr").nth(2).locator("button").nth(1).click()
    assert tab.eval_on_selector("#after", "image => image.src") == sources[2][1]
    assert tab.inner_text("#tag-right") == "1_whitebox"
    tab.select_option("#left", label="0_whitebox")
    assert tab.eval_on_selector("#before", "image => image.src") == sources[1][1]
    assert trouble == []


def test_tables_sort_and_curves_hide(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened

    def order() -> list[str]:
        return [name.strip() for name in tab.locator("#scores tbody th").all_inner_texts()]

    tab.locator("#scores thead th", has_text="KID").locator("button").click()
    assert order() == ["1_whitebox", "0_whitebox", "2_whitebox", "3_lost"]
    tab.locator("#scores thead th", has_text="KID").locator("button").click()
    assert order() == ["2_whitebox", "0_whitebox", "1_whitebox", "3_lost"]
    tab.locator("#scores thead th", has_text="tv").locator("button").click()
    assert order()[:3] == ["0_whitebox", "2_whitebox", "1_whitebox"]  # 0.1, 2, 10: as numbers
    lines = tab.locator('.line[data-run="1"]')
    assert lines.count() >= 3
    assert lines.first.is_visible()
    tab.locator('.legend button[data-run="1"]').click()
    assert not any(lines.nth(i).is_visible() for i in range(lines.count()))


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_the_window(opened: tuple[Any, list[str]], width: int) -> None:
    tab, _ = opened
    tab.set_viewport_size({"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_and_light_are_both_legible(opened: tuple[Any, list[str]]) -> None:
    """Text and lines against their card: the contrast that WCAG asks of text, 4.5, and of shapes, 3."""
    tab, _ = opened
    names = ["ink", "quiet", "accent", "good", "bad", "wait", *(f"c{i}" for i in range(8))]
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        read = "name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()"
        card = tab.evaluate(read, "card")
        for name in names:
            least = 3.0 if name[1:].isdigit() else 4.5
            assert contrast(tab.evaluate(read, name), card) >= least, (scheme, name)
