"""The page for those who have no mouse, no sight or little of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from repro.claims.judge import Verdict

OpenPage = Callable[..., Page]
READABLE = 4.5  # contrast of text to its ground, WCAG 2.2, level AA
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((c) => c / 255).map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * R + .7152 * G + .0722 * B;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility({ opacityProperty: true })
    && [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim()));
  return texts.map((e) => {
    const style = getComputedStyle(e);
    const [a, b] = [light(rgba(e instanceof SVGElement ? style.fill : style.color)), light(ground(e))];
    return [`${e.tagName}.${e.getAttribute("class")}`, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
  });
}"""


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))


def press_until(page: Page, wanted: str, key: str = "Tab") -> None:
    for _ in range(40):
        page.keyboard.press(key)
        if wanted in focused(page):
            outline = page.evaluate(
                "getComputedStyle(document.activeElement.matches('.chip input, .theme input')"
                " ? document.activeElement.nextElementSibling : document.activeElement).outlineStyle"
            )
            assert outline == "solid", f"the focus on {wanted} can't be seen"
            return
    raise AssertionError(f"{wanted} was not reached; the focus is on {focused(page)}")


def test_the_keyboard_alone_skips_filters_sorts_and_opens(open_page: OpenPage, verdicts: list[Verdict]) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the verdicts"
    page.keyboard.press("Enter")
    press_until(page, "outcome")
    page.keyboard.press("Space")
    first = [v.claim for v in verdicts if v.outcome == "reproduced"]
    expect(page.get_by_role("status")).to_have_text(f"{len(first)} of {len(verdicts)} claims")
    press_until(page, "Verdict")
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Verdict")).to_have_attribute("aria-sort", "ascending")
    press_until(page, first[0].id)
    for key, state in (("Enter", "true"), ("Space", "false")):
        page.keyboard.press(key)
        expect(page.locator(f"[id='{first[0].id}']").get_by_role("button")).to_have_attribute("aria-expanded", state)


def test_landmarks_names_and_headings_are_there_for_a_screen_reader(open_page: OpenPage) -> None:
    page = open_page()
    parts: list[tuple[Any, str | None]] = [
        ("banner", None), ("main", None), ("contentinfo", None), ("status", None), ("navigation", "On this page"),
        ("search", "Find claims"), ("region", "Verdicts"), ("region", "Timings"), ("group", "Theme"),
        ("group", "Verdict"), ("table", "Every claim"),
    ]  # fmt: skip
    for role, name in parts:
        assert page.get_by_role(role, name=name).count() >= 1, (role, name)
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    nameless = page.locator("button:visible, input, select, a").evaluate_all(
        "all => all.filter(one => !(one.textContent.trim() || one.labels?.length || one.ariaLabel)).length"
    )
    assert nameless == 0
    assert page.locator("img:not([alt]), img[alt=''], svg[role=img]:not([aria-label])").count() == 0
    assert (
        page.evaluate("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size")
        == page.locator("[id]").count()
    )
    controlled = page.locator("[aria-controls]").evaluate_all(
        "all => all.filter(one => !document.getElementById(one.getAttribute('aria-controls'))).length"
    )
    assert controlled == 0
    expect(page.locator("html")).to_have_attribute("lang", "en")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground_in_both_themes(theme: Any, open_page: OpenPage) -> None:
    page = open_page(color_scheme=theme)
    page.get_by_role("button", name="Open all").click()
    found = page.evaluate(CONTRASTS)
    assert len(found) > 200
    assert [(name, round(ratio, 2)) for name, ratio in found if ratio < READABLE] == []
