"use strict";
// Without this script everything on the page is open and can be read; it hides, sorts, filters and remembers.
const page = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

const memory = {
  name: "seminar-repro-theme",
  read() { try { return localStorage.getItem(this.name); } catch { return null; } }, // a browser may refuse storage
  write(theme) { try { localStorage.setItem(this.name, theme); } catch { /* then it holds for this visit */ } },
};

function showTheme(theme) {
  if (theme === "light" || theme === "dark") page.dataset.theme = theme;
  else delete page.dataset.theme;
}

function button(element) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = element.className;
  made.append(...element.childNodes);
  return made;
}

function startThemes() {
  const chosen = page.dataset.theme ?? "system";
  for (const radio of all("input[name=theme]")) {
    radio.checked = radio.value === chosen;
    radio.addEventListener("change", () => { showTheme(radio.value); memory.write(radio.value); });
  }
}

function open(claim, wanted) {
  const toggle = claim.querySelector("button.opens");
  toggle.setAttribute("aria-expanded", String(wanted));
  claim.classList.toggle("open", wanted);
}

function startOpening(claims) {
  for (const claim of claims) {
    const text = claim.querySelector(".opens");
    const toggle = button(text);
    toggle.setAttribute("aria-controls", text.dataset.controls);
    text.replaceWith(toggle);
    open(claim, false);
    toggle.addEventListener("click", () => open(claim, !claim.classList.contains("open")));
  }
  const every = document.querySelector(".open-all");
  every.addEventListener("click", () => {
    const wanted = every.getAttribute("aria-pressed") !== "true";
    every.setAttribute("aria-pressed", String(wanted));
    claims.forEach((claim) => open(claim, wanted));
  });
}

function startSorting(table, claims) {
  const collator = new Intl.Collator("en", { numeric: true });
  const key = (claim, column) => {
    const cell = claim.querySelector(`.c-${column}`);
    return cell.dataset.key ?? cell.textContent.trim();
  };
  const place = (claim) => Number(claim.dataset.place);
  for (const head of all("th[data-by]", table)) {
    const press = button(head);
    press.className = "sorts";
    head.append(press);
    head.setAttribute("aria-sort", "none");
    press.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
      all("th[data-by]", table).forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const by = head.dataset.by;
      const ordered = next === "none"
        ? claims.toSorted((a, b) => place(a) - place(b))
        : claims.toSorted((a, b) => sign * collator.compare(key(a, by), key(b, by)) || place(a) - place(b));
      table.append(...ordered);
    });
  }
}

function startFiltering(claims) {
  const form = document.querySelector("form.filters");
  const count = document.getElementById("count");
  const none = document.querySelector(".none");
  const texts = new Map(claims.map((claim) => [claim, claim.textContent.toLowerCase()]));
  const filter = () => {
    const outcomes = all("input[name=outcome]:checked", form).map((box) => box.value);
    const section = form.elements.section.value;
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const claim of claims) {
      const fits = (!outcomes.length || outcomes.includes(claim.dataset.outcome))
        && (!section || section === claim.dataset.section)
        && words.every((word) => texts.get(claim).includes(word));
      claim.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${claims.length} claims`;
    none.hidden = shown > 0;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const reset of all("button.reset")) {
    reset.addEventListener("click", () => {
      const lost = none.contains(document.activeElement); // it is about to vanish with its line
      form.reset();
      filter();
      if (lost) form.elements.text.focus();
    });
  }
  filter(); // a browser may have kept what was typed before a reload
}

function followAddress() {
  const claim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!claim?.matches(".claims tbody")) return;
  document.querySelector(".all-claims").open = true;
  document.querySelector("form.filters .reset").click();
  open(claim, true);
  claim.scrollIntoView();
}

function startSections() {
  const form = document.querySelector("form.filters");
  for (const link of all("a.of-section")) {
    link.addEventListener("click", () => {
      document.querySelector(".all-claims").open = true;
      form.reset();
      form.elements.section.value = link.dataset.section;
      form.dispatchEvent(new Event("input"));
    });
  }
}

function startDownload() {
  document.querySelector("button.download").addEventListener("click", () => {
    const file = new Blob([document.getElementById("data").textContent], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = "verdicts.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

page.classList.add("scripted");
showTheme(memory.read());
document.addEventListener("DOMContentLoaded", () => {
  const table = document.querySelector("table.claims");
  const claims = all("tbody", table);
  all("[data-needs-script]").forEach((element) => { element.hidden = false; });
  startThemes();
  startOpening(claims);
  startSorting(table, claims);
  startFiltering(claims);
  startSections();
  startDownload();
  followAddress();
  addEventListener("hashchange", followAddress);
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));
});
