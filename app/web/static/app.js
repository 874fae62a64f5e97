// What pages do a little better with a script; everything works without it.
"use strict";

document.documentElement.classList.add("js");

// Copy what stands beside the button.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = button.closest(".copyable").querySelector("pre, code, input");
  const text = source.value ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// Tick all rows of a list at once, and say how many are ticked.
function countTicked(form) {
  const boxes = [...form.querySelectorAll("[data-row]")];
  const ticked = boxes.filter((box) => box.checked).length;
  const all = form.querySelector("[data-all]");
  if (all) {
    all.checked = ticked > 0 && ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  }
  const count = form.querySelector("[data-count]");
  if (count) count.textContent = ticked ? `${ticked} selected` : "None selected";
}

document.addEventListener("change", (event) => {
  const box = event.target;
  const form = box.form ?? box.closest("form");
  if (!form || !box.matches("[data-all], [data-row]")) return;
  if (box.matches("[data-all]")) {
    form.querySelectorAll("[data-row]").forEach((row) => { row.checked = box.checked; });
  }
  countTicked(form);
});

// Send files with a bar that shows how far it is; the answer is the page that the form leads to.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-upload]");
  if (!form) return;
  event.preventDefault();
  const bar = form.querySelector("progress");
  const said = form.querySelector("[role=status]");
  const request = new XMLHttpRequest();
  const fail = (words) => { said.textContent = words; bar.hidden = true; };
  request.upload.addEventListener("progress", (step) => {
    if (!step.lengthComputable) return;
    bar.value = step.loaded / step.total;
    said.textContent = step.loaded < step.total
      ? `Sending: ${Math.round(100 * bar.value)} %`
      : "Sent. They are being kept.";
  });
  request.addEventListener("load", () => {
    if (request.status < 400) location.assign(request.responseURL || location.href);
    else fail(request.status === 413 ? "That is too much at once; send fewer files." : "That did not work.");
  });
  request.addEventListener("error", () => fail("The connection broke. Send them again."));
  bar.hidden = false;
  request.open("POST", form.action);
  request.send(new FormData(form));
});
