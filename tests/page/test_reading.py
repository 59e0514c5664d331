"""What a reader does with the page: opens it, looks for a claim, opens it, on any screen, in any light, on paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from repro.claims.judge import Verdict

OpenPage = Callable[..., Page]
PHONE = {"width": 360, "height": 740}
CLAIM = "finetune.f1"
MEASURED = "dummy.accuracy"


def shown(page: Page) -> list[str]:
    """The ids of the claims that are to be seen, in their order."""
    found: list[str] = page.locator("table.claims tbody:visible").evaluate_all("all => all.map(one => one.id)")
    return found


def toggle(page: Page, claim: str) -> None:
    page.locator(f"[id='{claim}']").get_by_role("button").click()


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_it_opens_from_the_disk_without_an_error_or_a_request(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.get_by_role("button", name="Open all").click()
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


def test_verdict_section_and_words_filter_and_the_count_says_how_many(
    open_page: OpenPage, verdicts: list[Verdict]
) -> None:
    page = open_page()
    expect(page.get_by_role("status")).to_have_text(f"{len(verdicts)} of {len(verdicts)} claims")
    page.get_by_role("checkbox", name="deviates").check()
    deviating = [v.claim.id for v in verdicts if v.outcome == "deviates"]
    assert shown(page) == deviating
    page.get_by_role("checkbox", name="not run").check()  # a second verdict adds to the first
    assert len(shown(page)) == sum(v.outcome in ("deviates", "not run") for v in verdicts)
    page.get_by_role("button", name="Show all").first.click()
    page.get_by_label("Section").select_option("Tokenizer")
    assert shown(page) == [v.claim.id for v in verdicts if v.claim.section == "Tokenizer"]
    page.get_by_role("searchbox", name="Text").fill("SPECIAL tokens")
    assert "tokens.special" in shown(page)
    page.get_by_role("searchbox", name="Text").fill("no such claim anywhere")
    expect(page.get_by_role("status")).to_have_text(f"0 of {len(verdicts)} claims")
    page.get_by_text("No claim fits.").get_by_role("button").click()
    assert len(shown(page)) == len(verdicts)


def test_a_head_sorts_up_then_down_then_back_to_the_seminars_order(open_page: OpenPage) -> None:
    page = open_page()
    seminar = shown(page)
    head = page.get_by_role("columnheader", name="Claim")
    for order, wanted in (("ascending", sorted(seminar)), ("descending", sorted(seminar)[::-1]), ("none", seminar)):
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", order)
        assert shown(page) == wanted
    page.get_by_role("columnheader", name="Measured").get_by_role("button").click()
    values = [text for text in page.locator("td.c-measured").all_inner_texts() if text]
    assert values == sorted(values, key=lambda text: int(text.split()[1]))  # 2 before 10
    assert page.locator("th[aria-sort=ascending]").count() == 1


def test_a_claim_opens_to_its_source_tolerance_and_interval_on_the_reruns(
    open_page: OpenPage, verdicts: list[Verdict]
) -> None:
    page = open_page()
    told = next(v.claim for v in verdicts if v.claim.id == CLAIM)
    claim = page.locator(f"[id='{CLAIM}']")
    expect(claim.get_by_role("button")).to_have_attribute("aria-expanded", "false")
    expect(claim.locator(".about")).to_be_hidden()
    toggle(page, CLAIM)
    expect(claim.get_by_role("button")).to_have_attribute("aria-expanded", "true")
    for text in (told.source, str(told.tolerance), told.reason or "no reason", "the 20,000 emotion tweets"):
        expect(claim.locator("dl")).to_contain_text(text)
    drawn = claim.get_by_role("img")
    for text in ("measured 0.9251, n = 3", "0.9226 to 0.9276", "reported 0.92", "94 reruns from 0.9179 to 0.9326"):
        assert text in (drawn.get_attribute("aria-label") or "")
    box, columns = drawn.bounding_box(), drawn.locator(".reference rect")
    assert box and columns.count() > 8
    for mark in ("reported", "interval", "mean", "allowed"):
        found = drawn.locator(f".{mark}").bounding_box()
        assert found and box["x"] <= found["x"] <= box["x"] + box["width"], mark
    toggle(page, CLAIM)
    expect(claim.locator(".about")).to_be_hidden()


def test_an_address_that_ends_in_a_claims_name_opens_that_claim(open_page: OpenPage) -> None:
    page = open_page(fragment=f"#{CLAIM}")
    expect(page.locator(f"[id='{CLAIM}'] .about")).to_be_visible()
    assert page.locator("tbody.open").count() == 1


def test_the_theme_follows_the_system_until_one_is_chosen_and_that_is_remembered(open_page: OpenPage) -> None:
    light, dark = background(open_page(color_scheme="light")), open_page(color_scheme="dark")
    assert background(dark) != light
    dark.get_by_role("radio", name="light").check(force=True)
    assert background(dark) == light
    dark.reload()
    assert background(dark) == light
    expect(dark.get_by_role("radio", name="light")).to_be_checked()
    dark.get_by_role("radio", name="system").check(force=True)
    dark.reload()
    assert background(dark) != light


@pytest.mark.parametrize("which", ["report", "hostile_report"])
def test_on_a_phone_nothing_is_wider_than_the_screen_and_the_table_stays_a_table(
    which: str, open_page: OpenPage, request: pytest.FixtureRequest
) -> None:
    page = open_page(request.getfixturevalue(which), viewport=PHONE)
    page.get_by_role("button", name="Open all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    table = page.get_by_role("table", name="Every claim")
    assert table.get_by_role("columnheader").count() == 5
    row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=MEASURED))
    assert row.get_by_role("cell").count() == 4  # where nothing was measured its empty cell takes no place


def test_print_shows_every_claim_opened_whatever_was_filtered_or_closed(
    open_page: OpenPage, verdicts: list[Verdict]
) -> None:
    page = open_page(color_scheme="dark")
    page.get_by_role("searchbox", name="Text").fill("special")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(shown(page)) == len(verdicts)
    assert page.locator(".about:visible").count() == len(verdicts)
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("form:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("options", [{}, {"java_script_enabled": False}])
def test_hostile_text_shows_as_text_and_breaks_nothing(
    options: dict[str, bool],
    open_page: OpenPage,
    hostile_report: Path,
    hostile_text: str,
    verdicts: list[Verdict],
) -> None:
    page = open_page(hostile_report, **options)
    assert page.title() == "Which of the seminar's numbers hold"
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 1
    assert page.locator("td.c-measured bdi").first.inner_text() == hostile_text
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") if not options else True
    assert Counter(page.locator("table.claims tbody").evaluate_all("all => all.map(one => one.tagName)")) == {
        "TBODY": len(verdicts)
    }


def test_a_script_that_got_in_would_not_run_and_could_not_reach_the_network(open_page: OpenPage) -> None:
    page = open_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "document.title = 'taken'";
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:9/x.png";
      document.body.append(script, image);
      fetch("http://127.0.0.1:9/x.json").catch(() => {});
    }""")
    page.wait_for_timeout(200)
    assert page.title() != "taken"
    named = " ".join(text for text in refused if "Content Security Policy" in text)
    assert all(part in named for part in ("inline script", "x.png", "x.json"))


def test_without_javascript_everything_can_be_read(open_page: OpenPage, verdicts: list[Verdict]) -> None:
    page = open_page(java_script_enabled=False)
    assert page.locator("table.claims tbody:visible").count() == len(verdicts)
    assert page.locator(".about:visible").count() == len(verdicts)
    assert page.locator("form:visible, fieldset:visible, button:visible").count() == 0  # nothing that would do nothing
