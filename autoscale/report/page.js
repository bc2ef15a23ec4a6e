
"use strict";
// Shows what the mark nearest to the pointer is; a tap does the same on a phone.
const tip = document.getElementById("tip");
const REACH = 26; // pixels
let shown = null;

// A browser would show the titles of marks itself, late and small.
for (const title of document.querySelectorAll("figure > svg .mark > title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}

function hide() {
  if (shown) shown.classList.remove("here");
  shown = null;
  tip.hidden = true;
}

function nearest(svg, event) {
  let best = null, least = REACH;
  for (const mark of svg.querySelectorAll("[data-tip]")) {
    const box = mark.getBoundingClientRect();
    const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
    const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
    const centre = Math.hypot(box.left + box.width / 2 - event.clientX,
                              box.top + box.height / 2 - event.clientY);
    const distance = Math.hypot(dx, dy) + centre / 1000;
    if (distance < least) { best = mark; least = distance; }
  }
  return best;
}

function show(event) {
  const svg = event.target.closest && event.target.closest("figure > svg");
  const mark = svg && nearest(svg, event);
  if (!mark) { hide(); return; }
  if (mark !== shown) {
    hide();
    shown = mark;
    mark.classList.add("here");
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
  }
  const box = mark.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const left = box.left + box.width / 2 - size.width / 2;
  const above = box.top - size.height - 8;
  tip.style.left = Math.max(4, Math.min(left, innerWidth - size.width - 4)) + "px";
  tip.style.top = (above < 4 ? box.bottom + 8 : above) + "px";
}

document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
addEventListener("scroll", hide, { passive: true });
