/* What a page gains with JavaScript. Everything here works without it too, except the marks on the screenshot. */

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/* ---- messages: put in again after loading, so that a screen reader says them ---- */

const messages = one("[data-messages]");
if (messages && messages.childElementCount) {
  const said = [...messages.children];
  for (const message of said) {
    const hide = document.createElement("button");
    hide.type = "button";
    hide.className = "message-hide";
    hide.textContent = "Hide";
    hide.addEventListener("click", () => message.remove());
    message.append(" ", hide);
  }
  setTimeout(() => messages.replaceChildren(...said), 150);
}

/* ---- forms: begin at what is wrong, send once, and warn before unsaved words are lost ---- */

(one("[data-focus]") ?? one("main [aria-invalid]"))?.focus();

let unsaved = false;
for (const form of all("form[data-guard]")) {
  form.addEventListener("input", () => {
    unsaved = true;
  });
}
for (const form of all("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.hasAttribute("data-shot-reveal")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    unsaved = false;
  });
}
addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
addEventListener("pageshow", () => {
  for (const form of all("form[data-sent]")) delete form.dataset.sent;
});

/* ---- consent: ask why only where it was not given ---- */

for (const group of all("[data-consent]")) {
  const reason = one("[data-consent-reason]", group.closest("form"));
  const follow = () => {
    reason.hidden = one("input:checked", group)?.value === "given";
  };
  group.addEventListener("change", follow);
  follow();
}

/* ---- print ---- */

for (const button of all("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

/* ---- the screenshot ---- */

const SVG = "http://www.w3.org/2000/svg";

/* Words of one kind that stand side by side on a line get one box. */
function joinWords(boxes) {
  const runs = [];
  for (const [x, y, w, h, kind] of boxes) {
    const last = runs.at(-1);
    const sameLine = last && Math.min(last[1] + last[3], y + h) - Math.max(last[1], y) > Math.min(last[3], h) / 3;
    const gap = last && x - (last[0] + last[2]);
    if (sameLine && last[4] === kind && gap > -h && gap < 1.5 * Math.max(last[3], h)) {
      const right = Math.max(last[0] + last[2], x + w);
      const bottom = Math.max(last[1] + last[3], y + h);
      last[1] = Math.min(last[1], y);
      last[2] = right - last[0];
      last[3] = bottom - last[1];
    } else runs.push([x, y, w, h, kind]);
  }
  return runs;
}

function drawMarks(width, height, boxes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("class", "shot-marks");
  svg.setAttribute("aria-hidden", "true");
  const room = Math.max(3, width / 400);
  for (const [x, y, w, h, isTrigger] of joinWords(boxes)) {
    const rect = document.createElementNS(SVG, "rect");
    const size = { x: x - room, y: y - room, width: w + 2 * room, height: h + 2 * room, rx: room };
    for (const [name, value] of Object.entries(size)) rect.setAttribute(name, value);
    rect.setAttribute("class", isTrigger ? "mark-trigger" : "mark-typed");
    rect.setAttribute("vector-effect", "non-scaling-stroke");
    svg.append(rect);
  }
  return svg;
}

function setUpShot(panel) {
  const viewer = one("[data-shot-viewer]", panel);
  const reveal = one("[data-shot-reveal]", panel);
  if (!viewer || !reveal) return;
  const tools = one("[data-shot-tools]", panel);
  const status = one("[data-shot-status]", panel);
  const resting = status.textContent;
  const width = Number(panel.dataset.width);
  const height = Number(panel.dataset.height);
  const boxes = JSON.parse(panel.dataset.boxes || "[]");
  const button = one("button", reveal);
  const buttons = {
    marks: one("[data-shot-marks]", tools),
    colour: one("[data-shot-colour]", tools),
    size: one("[data-shot-size]", tools),
  };
  let sheet = null;
  let address = null;

  const look = (name, on) => {
    buttons[name].setAttribute("aria-pressed", String(on));
    viewer.classList.toggle(`viewer-${name}`, on);
  };

  function show(blob) {
    address = URL.createObjectURL(blob);
    const image = document.createElement("img");
    image.alt = "Screenshot of the device. The text read from it is below.";
    image.width = width;
    image.height = height;
    sheet = document.createElement("div");
    sheet.className = "sheet";
    sheet.append(image, drawMarks(width, height, boxes));
    image.addEventListener("load", () => {
      look("marks", boxes.length > 0);
      look("colour", false);
      look("size", false);
      buttons.marks.hidden = boxes.length === 0;
      viewer.classList.add("viewer-open");
      viewer.append(sheet);
      tools.hidden = false;
      viewer.tabIndex = 0;
      viewer.setAttribute("role", "region");
      viewer.setAttribute("aria-label", "Opened screenshot");
      status.textContent = boxes.length
        ? "Shown in grey. The words that raised it are marked. That you looked is recorded."
        : "Shown in grey. The words that raised it were not found on it. That you looked is recorded.";
      viewer.focus({ preventScroll: true });
      viewer.scrollIntoView({ block: "nearest" });
    });
    image.addEventListener("error", () => {
      drop();
      status.textContent = "The box sent the screenshot, but this browser can’t show it. Tell your technician.";
    });
    image.src = address;
  }

  function drop() {
    sheet?.remove();
    if (address) URL.revokeObjectURL(address);
    sheet = address = null;
    tools.hidden = true;
    viewer.classList.remove("viewer-open");
    viewer.removeAttribute("tabindex");
    viewer.removeAttribute("role");
    viewer.removeAttribute("aria-label");
    status.textContent = resting;
  }

  reveal.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    try {
      const answer = await fetch(reveal.action, { method: "POST", body: new FormData(reveal), redirect: "manual" });
      const isImage = (answer.headers.get("Content-Type") || "").startsWith("image/");
      if (answer.ok && isImage) show(await answer.blob());
      else if (answer.status === 410)
        status.textContent = "The screenshot can’t be opened: its file is missing or was changed. Tell your technician today.";
      else if (answer.status === 404) status.textContent = "There is no screenshot here that you may open.";
      else status.textContent = "It was not opened, perhaps because you were signed out. Load the page again, then show it.";
    } catch {
      status.textContent = "The box did not answer. Check your network, then try again.";
    } finally {
      button.ariaBusy = "false";
    }
  });

  for (const name of ["marks", "colour", "size"]) {
    buttons[name].addEventListener("click", () => {
      const on = buttons[name].getAttribute("aria-pressed") !== "true";
      look(name, on);
      if (name === "size" && on && boxes.length) {
        const [x, y, w, h] = boxes.find((box) => box[4]) || boxes[0];
        viewer.scrollTo(x + w / 2 - viewer.clientWidth / 2, y + h / 2 - viewer.clientHeight / 2);
      }
    });
  }
  one("[data-shot-hide]", tools).addEventListener("click", () => {
    drop();
    button.focus({ preventScroll: true });
  });
}

for (const panel of all("[data-shot]")) setUpShot(panel);
