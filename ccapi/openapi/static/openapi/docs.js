// Copy buttons, tabs for alternatives, and which chapter is being read. The page reads well without.
"use strict";

function copyButton(figure) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(figure.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  figure.append(button);
}

function tabs(box) {
  const figures = [...box.querySelectorAll("figure")];
  if (figures.length < 2) return;
  const row = document.createElement("div");
  row.className = "choices";
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Examples");
  const show = (chosen) => figures.forEach((figure, index) => {
    figure.hidden = index !== chosen;
    row.children[index].setAttribute("aria-pressed", String(index === chosen));
  });
  figures.forEach((figure, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = figure.querySelector("figcaption").textContent;
    button.addEventListener("click", () => show(index));
    row.append(button);
    figure.querySelector("figcaption").hidden = true;
  });
  box.prepend(row);
  show(0);
}

function menu() {
  const wide = matchMedia("(min-width: 960px)");
  const details = document.querySelector(".menu");
  const fit = () => { details.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
  details.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) details.open = false;
  });
}

function whereWeAre() {
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  links.forEach((_link, id) => { const target = document.getElementById(id); if (target) seen.observe(target); });
}

// Browsers have no clipboard for pages that come over plain HTTP.
if (navigator.clipboard) document.querySelectorAll("figure").forEach(copyButton);
document.querySelectorAll(".tabs").forEach(tabs);
menu();
whereWeAre();
