// what the page's policy must stop: a script of its own, and two requests
() => {
  const script = document.createElement("script");
  script.textContent = "document.title = 'taken'";
  const image = document.createElement("img");
  image.src = "http://127.0.0.1:9/x.png";
  document.body.append(script, image);
  fetch("http://127.0.0.1:9/x.json").catch(() => {});
}
