"use strict";
// The page works without this file: it adds the search, the buttons to copy, and one language.

const button = (text, act) => {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
};

for (const block of document.querySelectorAll(".code")) {
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(block.querySelector("pre").textContent);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  copy.className = "copy";
  copy.setAttribute("aria-label", `Copy: ${block.querySelector("pre").getAttribute("aria-label")}`);
  block.append(copy);
}

const samples = [...document.querySelectorAll(".sample")];
const tabs = [];
const choose = (language) => {
  for (const list of tabs) {
    const choices = [...list.children];
    const fits = choices.some((choice) => choice.textContent === language);
    const chosen = fits ? language : choices[0].textContent;
    for (const choice of choices) choice.setAttribute("aria-pressed", String(choice.textContent === chosen));
    for (const sample of list.samples) sample.hidden = sample.dataset.language !== chosen;
  }
};
for (const parent of new Set(samples.map((sample) => sample.parentElement))) {
  const own = samples.filter((sample) => sample.parentElement === parent);
  const list = document.createElement("div");
  list.className = "tabs";
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", "Language");
  list.samples = own;
  list.append(...own.map((sample) => button(sample.dataset.language, () => choose(sample.dataset.language))));
  own[0].before(list);
  tabs.push(list);
}
document.documentElement.classList.add("scripted");
choose("curl");

const search = document.getElementById("search");
const found = document.getElementById("found");
const links = [...document.querySelectorAll("nav .operation a")];
const filter = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const link of links) {
    const fits = words.every((word) => link.dataset.text.includes(word));
    link.parentElement.hidden = !fits;
    count += fits;
  }
  for (const resource of document.querySelectorAll("nav .resource")) {
    resource.hidden = !resource.querySelector(".operation:not([hidden])");
  }
  found.textContent = words.length ? `${count} of ${links.length} operations` : "";
};
search.parentElement.hidden = false;
search.addEventListener("input", filter);
search.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  const first = links.find((link) => !link.parentElement.hidden);
  if (first) first.click();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
  event.preventDefault();
  search.focus();
});
if (window.matchMedia("(max-width: 48rem)").matches) document.querySelector(".menu").open = false;
