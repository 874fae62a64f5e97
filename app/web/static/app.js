// Small improvements for browsers with scripts; every page works without them.
"use strict";

document.documentElement.classList.add("js");

// Report the time zone of the browser, in which the next pages show times. It is stored in a cookie.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
if (/^[\w+/-]{1,64}$/.test(zone) && !document.cookie.split("; ").includes(`time-zone=${zone}`)) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `time-zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// Copy the text next to the button.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || button.dataset.pressed) return;
  const source = button.closest(".copyable").querySelector("pre, code, input");
  const text = source.value ?? source.textContent;
  const label = [...button.childNodes];
  button.dataset.pressed = "yes";
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    const details = source.closest("details");
    if (details) details.open = true;
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => {
    button.replaceChildren(...label);
    delete button.dataset.pressed;
  }, 2000);
});

// Show the password that is entered, until it is hidden again or the form is sent.
function reveal(button, isShown) {
  button.parentElement.querySelector("input").type = isShown ? "text" : "password";
  button.firstElementChild.textContent = isShown ? "Hide" : "Show";
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-reveal]");
  if (button) reveal(button, button.parentElement.querySelector("input").type === "password");
});

document.addEventListener("submit", (event) => {
  event.target.querySelectorAll("[data-reveal]").forEach((button) => reveal(button, false));
});

// Select all rows of a list, and show how many are selected.
function countSelected(form) {
  const boxes = [...form.querySelectorAll("[data-row]")];
  const selected = boxes.filter((box) => box.checked).length;
  const all = form.querySelector("[data-all]");
  if (all) {
    all.checked = selected > 0 && selected === boxes.length;
    all.indeterminate = selected > 0 && selected < boxes.length;
  }
  const scope = form.querySelector("[data-scope]");
  form.querySelector(".bulk")?.classList.toggle("has-selection", selected > 0 || Boolean(scope?.checked));
  const count = form.querySelector("[data-count]");
  if (count) count.textContent = selected ? `${selected} selected` : count.dataset.count;
}

document.addEventListener("change", (event) => {
  const box = event.target;
  const form = box.form ?? box.closest("form");
  if (!form || !box.matches("[data-all], [data-row], [data-scope]")) return;
  if (box.matches("[data-all]")) {
    form.querySelectorAll("[data-row]").forEach((row) => { row.checked = box.checked; });
  }
  countSelected(form);
});

// Upload files with a progress bar, then open the page that the server redirects to.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-upload]");
  if (!form) return;
  event.preventDefault();
  const bar = form.querySelector("progress");
  const status = form.querySelector("[role=status]");
  const request = new XMLHttpRequest();
  const fail = (text) => { status.textContent = text; bar.hidden = true; };
  request.upload.addEventListener("progress", (upload) => {
    if (!upload.lengthComputable) return;
    bar.value = upload.loaded / upload.total;
    status.textContent = upload.loaded < upload.total
      ? `Uploading: ${Math.round(100 * bar.value)}%`
      : "Uploaded. Processing…";
  });
  request.addEventListener("load", () => {
    if (request.status < 400) location.assign(request.responseURL || location.href);
    else fail(request.status === 413 ? "The upload is too large. Upload fewer files at once." : "The upload failed. Reload the page and try again.");
  });
  request.addEventListener("error", () => fail("The connection was lost. Try again."));
  bar.hidden = false;
  request.open("POST", form.action);
  request.send(new FormData(form));
});

// Open the part of the page that the address names, such as #check-dnssec.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (!target?.matches("details") || target.open) return;
  target.open = true;
  target.scrollIntoView();
}

addEventListener("hashchange", openTarget);
openTarget();

// Open all parts of the page at once, or close them again if all are open.
function partsOf(button) {
  return [...document.querySelectorAll(button.dataset.expand)];
}

function showExpand() {
  document.querySelectorAll("[data-expand]").forEach((button) => {
    button.textContent = partsOf(button).some((part) => !part.open) ? "Expand all" : "Collapse all";
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-expand]");
  if (!button) return;
  const parts = partsOf(button);
  const expand = parts.some((part) => !part.open);
  parts.forEach((part) => { part.open = expand; });
});
document.addEventListener("toggle", showExpand, true);
showExpand();

// On a narrow screen, a chart is wider than the screen: begin with its latest days.
document.querySelectorAll(".chart-scroll").forEach((chart) => { chart.scrollLeft = chart.scrollWidth; });

// The columns of a chart are one tab stop, its latest column; the arrow keys lead to the others.
function selectColumn(columns, index) {
  columns.forEach((column, other) => column.setAttribute("tabindex", other === index ? "0" : "-1"));
}

document.querySelectorAll(".chart").forEach((chart) => {
  const columns = [...chart.querySelectorAll("[data-column]")];
  selectColumn(columns, columns.length - 1);
  chart.addEventListener("keydown", (event) => {
    const index = columns.indexOf(event.target);
    const next = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: columns.length - 1 }[event.key];
    if (index < 0 || !columns[next]) return;
    event.preventDefault();
    selectColumn(columns, next);
    columns[next].focus();
  });
});

// Keys: "/" focuses the search, "j" and "k" lead to the next and the previous item, and "e"
// acknowledges. They do nothing while text is entered, and can be turned off.
const shortcuts = {
  get areOn() { try { return localStorage.getItem("shortcuts") !== "off"; } catch { return true; } },
  set areOn(value) { try { localStorage.setItem("shortcuts", value ? "on" : "off"); } catch { /* no storage */ } },
};

function showShortcuts() {
  document.querySelectorAll("[data-shortcuts]").forEach((button) => {
    button.textContent = shortcuts.areOn ? "Turn keys off" : "Turn keys on";
  });
}

function focusItem(step) {
  const items = [...document.querySelectorAll("[data-item]")];
  const index = items.findIndex((item) => item.contains(document.activeElement));
  const next = items[index < 0 ? (step > 0 ? 0 : items.length - 1) : index + step];
  next?.querySelector("a.title").focus();
}

function acknowledgeItem() {
  const item = document.activeElement.closest("[data-item]");
  const button = document.querySelector("[data-acknowledge]");
  if (!item || !button) return;
  button.form.querySelectorAll("[data-row]").forEach((box) => { box.checked = item.contains(box); });
  countSelected(button.form);
  button.click();
}

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("textarea, select, input:not([type=checkbox], [type=radio])");
  if (field || event.ctrlKey || event.metaKey || event.altKey || !shortcuts.areOn) return;
  if (!/^[/jke]$/.test(event.key)) return;
  const target = document.querySelector(`[data-key="${event.key}"]`);
  if (event.key === "/" && target) target.focus();
  else if (target) target.click();
  else if (event.key === "j" || event.key === "k") focusItem(event.key === "j" ? 1 : -1);
  else if (event.key === "e") acknowledgeItem();
  else return;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-shortcuts]")) return;
  shortcuts.areOn = !shortcuts.areOn;
  showShortcuts();
});
showShortcuts();
