// of what shows: texts below 12 px as they are drawn, and targets below 24 px that stand in no sentence
() => {
  const visible = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getBoundingClientRect().width > 1;
  const name = (e) => `${e.tagName}.${e.getAttribute("class")} ${e.textContent.trim().slice(0, 30)}`;
  const drawn = (e) => parseFloat(getComputedStyle(e).fontSize) * (e instanceof SVGGraphicsElement ? Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b) : 1);
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
  const texts = [...document.querySelectorAll("body *:not(script)")].filter((e) => own(e) && visible(e) && drawn(e) < 11.9);
  const inline = (e) => e.tagName === "A" && e.closest("p, dd, td, th") && getComputedStyle(e).display === "inline";
  const targets = [...document.querySelectorAll("a, button, summary, select, input[type=search], label")].filter(
    (e) => visible(e) && !e.matches(".skip") && !inline(e) && e.getBoundingClientRect().height < 24);
  return { texts: texts.slice(0, 8).map(name), targets: targets.slice(0, 8).map(name) };
}
