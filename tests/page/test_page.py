"""What a reader does with the page, on any screen, in any light, on paper, and without mouse, sight or JavaScript."""

from __future__ import annotations

import json
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import HOSTILE, VERDICTS, OpenPage

PHONE = {"width": 360, "height": 740}
CLAIM = "finetune.f1"
GROUND = "getComputedStyle(document.body).backgroundColor"
READABLE = 4.5  # contrast of text to its ground, WCAG 2.2, level AA
CONTRASTS, INTRUDER = (Path(__file__).with_name(name).read_text("utf-8") for name in ("contrasts.js", "intruder.js"))
FOCUSED = "document.activeElement.textContent.trim() || document.activeElement.name"
OUTLINE = """getComputedStyle(document.activeElement.matches('.chip input, .theme input')
    ? document.activeElement.nextElementSibling : document.activeElement).outlineStyle"""
SIZES = Path(__file__).with_name("sizes.js").read_text("utf-8")
AXE: Any = import_module("axe_playwright_python.sync_playwright").Axe()
PARTS: list[tuple[Any, str | None]] = [
    ("banner", None), ("main", None), ("contentinfo", None), ("status", None), ("navigation", "On this page"),
    ("search", "Find claims"), ("region", "Every claim"), ("region", "Measurements"), ("group", "Theme"),
    ("group", "Verdict"), ("table", "Every claim"),
]  # fmt: skip


def shown(page: Page) -> list[str]:
    """The ids of the claims that are to be seen, in their order."""
    ids: list[str] = page.locator("table.claims tbody:visible").evaluate_all("all => all.map(one => one.id)")
    return ids


def press_until(page: Page, wanted: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted in str(page.evaluate(FOCUSED)):
            assert page.evaluate(OUTLINE) == "solid", f"the focus on {wanted} can't be seen"
            return
    raise AssertionError(f"{wanted} was not reached; the focus is on {page.evaluate(FOCUSED)}")


def test_it_opens_from_the_disk_without_an_error_or_a_request(browser: Browser, reports: dict[str, Path]) -> None:
    page = browser.new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address := reports["usual"].as_uri())
    page.get_by_text("with source, tolerance and interval").click()
    page.get_by_role("button", name="Open all").click()
    page.close()
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [address]


def test_verdict_section_and_words_filter_and_the_count_says_how_many(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.get_by_role("status")).to_have_text(f"{len(VERDICTS)} of {len(VERDICTS)} claims")
    page.get_by_role("checkbox", name="deviates").check()
    assert shown(page) == [v.claim.id for v in VERDICTS if v.outcome == "deviates"]
    page.get_by_role("checkbox", name="not run").check()  # a second verdict adds to the first
    assert len(shown(page)) == sum(v.outcome in ("deviates", "not run") for v in VERDICTS)
    page.get_by_role("button", name="Show all").first.click()
    page.get_by_role("search").get_by_label("Section").select_option("Tokenizer")
    assert shown(page) == [v.claim.id for v in VERDICTS if v.claim.section == "Tokenizer"]
    page.get_by_role("searchbox", name="Text").fill("SPECIAL tokens")
    assert "tokens.special" in shown(page)
    page.get_by_role("searchbox", name="Text").fill("no such claim anywhere")
    expect(page.get_by_role("status")).to_have_text(f"0 of {len(VERDICTS)} claims")
    page.get_by_text("No claim fits.").get_by_role("button").click()
    assert len(shown(page)) == len(VERDICTS)


def test_a_head_sorts_up_then_down_then_back_to_the_seminars_order(open_page: OpenPage) -> None:
    page = open_page()
    seminar = shown(page)
    head = page.locator("table.claims").get_by_role("columnheader", name="Claim")
    for order, wanted in (("ascending", sorted(seminar)), ("descending", sorted(seminar)[::-1]), ("none", seminar)):
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", order)
        assert shown(page) == wanted
    page.locator("table.claims").get_by_role("columnheader", name="Measured").get_by_role("button").click()
    values = [text for text in page.locator("td.c-measured").all_inner_texts() if text]
    assert values == sorted(values, key=lambda text: int(text.split()[1]))  # 2 before 10
    assert page.locator("th[aria-sort=ascending]").count() == 1


def test_a_claim_opens_to_its_source_tolerance_and_interval_on_the_reruns(open_page: OpenPage) -> None:
    page = open_page()
    stated = next(v.claim for v in VERDICTS if v.claim.id == CLAIM)
    claim = page.locator(f"[id='{CLAIM}']")
    expect(claim.get_by_role("button")).to_have_attribute("aria-expanded", "false")
    expect(claim.locator(".about")).to_be_hidden()
    claim.get_by_role("button").click()
    expect(claim.get_by_role("button")).to_have_attribute("aria-expanded", "true")
    for text in (stated.source, str(stated.tolerance), stated.reason or "no reason", "the 20,000 emotion tweets"):
        expect(claim.locator("dl")).to_contain_text(text)
    strip = claim.get_by_role("img")
    for text in ("measured 0.9251, n = 3", "0.9226 to 0.9276", "reported 0.92", "94 reruns from 0.9179 to 0.9326"):
        assert text in (strip.get_attribute("aria-label") or "")
    box = strip.bounding_box()
    assert box and strip.locator(".reference rect").count() > 8
    for name in ("reported", "interval", "mean", "allowed"):
        mark = strip.locator(f".{name}").bounding_box()
        assert mark and box["x"] <= mark["x"] <= box["x"] + box["width"], name
    claim.get_by_role("button").click()
    expect(claim.locator(".about")).to_be_hidden()
    linked = open_page(fragment=f"#{CLAIM}")  # an address that ends in its name opens it
    expect(linked.locator(f"[id='{CLAIM}'] .about")).to_be_visible()
    assert linked.locator("tbody.open").count() == 1


def test_the_theme_follows_the_system_until_one_is_chosen_and_that_is_remembered(open_page: OpenPage) -> None:
    light, page = open_page(color_scheme="light").evaluate(GROUND), open_page(color_scheme="dark")
    assert page.evaluate(GROUND) != light
    page.get_by_role("radio", name="light").check(force=True)
    assert page.evaluate(GROUND) == light
    page.reload()
    assert page.evaluate(GROUND) == light
    expect(page.get_by_role("radio", name="light")).to_be_checked()
    page.get_by_role("radio", name="system").check(force=True)
    page.reload()
    assert page.evaluate(GROUND) != light


@pytest.mark.parametrize("which", ["usual", "hostile"])
def test_on_a_phone_nothing_is_wider_and_the_table_stays_a_table(which: str, open_page: OpenPage) -> None:
    page = open_page(which, viewport=PHONE)
    page.get_by_role("button", name="Open all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    table = page.get_by_role("table", name="Every claim")
    assert table.get_by_role("columnheader").count() == 5
    row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name="dummy.accuracy"))
    assert row.get_by_role("cell").count() == 4  # where nothing was measured its empty cell takes no place


def test_print_shows_every_claim_opened_whatever_was_filtered_or_closed(open_page: OpenPage) -> None:
    page = open_page(color_scheme="dark")
    page.get_by_role("searchbox", name="Text").fill("special")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(shown(page)) == page.locator(".about:visible").count() == len(VERDICTS)
    assert page.locator("details:not([open]), form:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 1
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("script", [True, False])
def test_hostile_text_shows_as_text_with_javascript_and_without(script: bool, open_page: OpenPage) -> None:
    page = open_page("hostile", java_script_enabled=script)
    assert page.title() == "Which of the seminar's numbers hold"
    assert (page.locator("script").count(), page.locator("img").count()) == (2, 0)
    assert page.locator("td.c-measured bdi").first.inner_text() == HOSTILE
    assert len(shown(page)) == page.locator("table.claims tbody").count() == len(VERDICTS)
    if script:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    else:  # everything can be read, and nothing is there that would do nothing
        assert page.locator(".about:visible").count() == len(VERDICTS)
        assert page.locator("form:visible, fieldset:visible, button:visible").count() == 0


def test_a_script_that_got_in_would_not_run_and_could_not_reach_the_network(open_page: OpenPage) -> None:
    page = open_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.evaluate(INTRUDER)
    page.wait_for_timeout(200)
    assert page.title() != "taken"
    policy = " ".join(text for text in refused if "Content Security Policy" in text)
    assert all(part in policy for part in ("inline script", "x.png", "x.json"))


def test_the_keyboard_alone_skips_filters_sorts_and_opens(open_page: OpenPage) -> None:
    page = open_page(folded=True)
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Skip to the verdicts"
    page.keyboard.press("Enter")
    press_until(page, "with source, tolerance")
    page.keyboard.press("Enter")
    press_until(page, "outcome")
    page.keyboard.press("Space")
    first = [v.claim for v in VERDICTS if v.outcome == "reproduced"]
    expect(page.get_by_role("status")).to_have_text(f"{len(first)} of {len(VERDICTS)} claims")
    press_until(page, "Verdict")
    page.keyboard.press("Enter")
    expect(page.locator("table.claims").get_by_role("columnheader", name="Verdict")).to_have_attribute(
        "aria-sort", "ascending"
    )
    press_until(page, first[0].id)
    for key, state in (("Enter", "true"), ("Space", "false")):
        page.keyboard.press(key)
        expect(page.locator(f"[id='{first[0].id}']").get_by_role("button")).to_have_attribute("aria-expanded", state)


def test_landmarks_names_and_headings_are_there_for_a_screen_reader(open_page: OpenPage) -> None:
    page = open_page()
    for role, name in PARTS:
        assert page.get_by_role(role, name=name).count() >= 1, (role, name)
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for selector, wrong in (
        ("button:visible, input, select, a", "!(one.textContent.trim() || one.labels?.length || one.ariaLabel)"),
        ("[aria-controls]", "!document.getElementById(one.getAttribute('aria-controls'))"),
        ("[id]", "document.querySelectorAll(`[id='${one.id}']`).length > 1"),
        ("img:not([alt]), img[alt=''], svg[role=img]:not([aria-label])", "true"),
    ):
        assert page.locator(selector).evaluate_all(f"all => all.filter(one => {wrong}).length") == 0, selector
    expect(page.locator("html")).to_have_attribute("lang", "en")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground_in_both_themes(theme: Any, open_page: OpenPage) -> None:
    page = open_page(color_scheme=theme)
    page.get_by_role("button", name="Open all").click()
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert [(name, round(ratio, 2)) for name, ratio in contrasts if ratio < READABLE] == []


def test_the_folded_page_is_at_most_eight_screens_and_a_megabyte(open_page: OpenPage, reports: dict[str, Path]) -> None:
    page = open_page("committed", folded=True, viewport={"width": 1280, "height": 900})
    assert page.evaluate("document.documentElement.scrollHeight") <= 7_200
    assert reports["committed"].stat().st_size < 1_000_000


def test_the_page_answers_first_then_says_what_to_change(open_page: OpenPage) -> None:
    heads = open_page("committed", folded=True).get_by_role("heading", level=2).all_inner_texts()
    assert heads == [
        "The answer", "What deviates or no longer works, and what to write instead", "The sections", "Every claim",
        "Measurements", "Run it again",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_is_under_12_px_and_no_target_under_24(width: int, open_page: OpenPage) -> None:
    page = open_page("committed", viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.get_by_role("button", name="Open all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(SIZES)
    assert small["texts"] == []
    assert small["targets"] == []


def test_every_table_has_a_caption_and_no_element_a_style_of_its_own(open_page: OpenPage) -> None:
    page = open_page("committed")
    assert page.locator("table:not(:has(> caption))").count() == 0
    assert page.locator("[style]").count() == 0  # the policy would drop it
    assert page.locator("figure svg[role=img]").count() > 8


def test_figures_take_the_themes_ink_and_ground(open_page: OpenPage) -> None:
    ink = "getComputedStyle(document.querySelector('.figures svg text')).fill"
    assert open_page("committed", color_scheme="dark").evaluate(ink) != open_page("committed").evaluate(ink)
    assert open_page("committed").locator(".figures svg [fill='#ffffff']").count() == 0


def test_axe_has_no_serious_finding(open_page: OpenPage) -> None:
    page = open_page("committed", folded=True)
    page.set_default_timeout(120_000)
    wanted = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
    violations = AXE.run(page, options=wanted).response["violations"]
    assert [(v["id"], v["impact"], len(v["nodes"])) for v in violations if v["impact"] in ("serious", "critical")] == []


def test_the_verdicts_download_as_json(open_page: OpenPage) -> None:
    page = open_page(folded=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the verdicts as JSON").click()
    rows = json.loads(download.value.path().read_text("utf-8"))
    assert [row["claim"] for row in rows] == [v.claim.id for v in VERDICTS]


def test_a_sections_number_of_claims_leads_to_them(open_page: OpenPage) -> None:
    page = open_page(folded=True)
    page.get_by_role("link", name="claims of Tokenizer").click()
    assert shown(page) == [v.claim.id for v in VERDICTS if v.claim.section == "Tokenizer"]
