/* Blanks the page when nobody has been at it for a while, in every tab at once, and asks for the second factor again.
   What was being written stays where it is, under the blank. The box itself refuses everything meanwhile. */

import { canUse, prove, send } from "./passkey.js";

const dialog = document.querySelector("[data-lock]");
const limit = Number(dialog.dataset.idle) * 1000;
const token = dialog.querySelector("[name=csrf_token]").value;
const form = dialog.querySelector("[data-lock-form]");
const error = dialog.querySelector("[data-lock-error]");
const passkey = dialog.querySelector("[data-lock-passkey]");
const title = document.title;
const tabs = new BroadcastChannel("trustkeep-lock");

let usedAt = Date.now();
let toldAt = Date.now();
let locked = false;

function blank() {
  if (locked) return;
  locked = true;
  document.body.classList.add("blank");
  document.title = "Locked – Trustkeep";
  dialog.showModal();
}

function lock() {
  if (locked) return;
  blank();
  tabs.postMessage("locked");
  send(dialog.dataset.lockAt, token).then((answer) => answer.status === 400 && show(answer), () => {});
}

/* The box no longer takes what this page sends: somebody signed in anew in another tab. Nothing here can be saved or
   unlocked any more, and whoever writes here must learn it before they have written more. */
function stale() {
  if (document.querySelector("[data-stale]")) return;
  const words = document.createElement("p");
  words.className = "message message-problem";
  words.dataset.stale = "";
  words.textContent =
    "Nothing on this page can be saved any more, because somebody signed in anew in another tab. Copy what you have written, then load the page again.";
  document.querySelector("[data-messages]").append(words);
  words.scrollIntoView({ block: "center" });
}

function unlock() {
  locked = false;
  usedAt = toldAt = Date.now();
  document.body.classList.remove("blank");
  document.title = title;
  error.hidden = true;
  form?.reset();
  dialog.close();
}

/* Somebody is at work: remember it here, in the other tabs, and once a minute on the box. */
async function note() {
  if (locked) return;
  const at = Date.now();
  if (at - usedAt >= limit) return lock();
  usedAt = at;
  if (at - toldAt < 60_000) return;
  toldAt = at;
  tabs.postMessage("used");
  try {
    const answer = await send(dialog.dataset.awakeAt, token);
    if (answer.status === 401) blank();
    else if (answer.status === 400) stale();
    else if (answer.status === 0) location.reload();
  } catch {
    toldAt = 0;
  }
}

tabs.addEventListener("message", ({ data }) => {
  if (data === "used") usedAt = toldAt = Date.now();
  else if (data === "locked") blank();
  else if (data === "unlocked" && locked) unlock();
});

for (const kind of ["pointerdown", "keydown", "wheel", "touchstart"]) addEventListener(kind, note, { passive: true, capture: true });
addEventListener("visibilitychange", check);
setInterval(check, 5_000);

function check() {
  if (!locked && Date.now() - usedAt >= limit) lock();
}

dialog.addEventListener("cancel", (event) => event.preventDefault());

function show(answer) {
  if (answer.ok) {
    unlock();
    tabs.postMessage("unlocked");
  } else if (answer.status === 410 || answer.status === 0) location.assign("/sign-in");
  else if (answer.status === 400) {
    error.textContent = "This page can’t be unlocked any more, because somebody signed in anew in another tab. Load it again; what was not saved is lost.";
    error.hidden = false;
  } else {
    error.textContent = answer.error;
    error.hidden = false;
    form?.querySelector("input:not([type=hidden])")?.focus();
  }
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  event.stopImmediatePropagation();
  const fields = Object.fromEntries([...new FormData(form)].filter(([name]) => name !== "csrf_token"));
  try {
    show(await send(form.action, token, fields));
  } catch {
    show({ ok: false, error: "The box did not answer. Check your network, then try again." });
  }
}, true);

if (passkey && canUse) {
  passkey.hidden = false;
  passkey.addEventListener("click", async () => {
    show(await prove("use", passkey.dataset.ask, passkey.dataset.send, token));
  });
}

document.querySelector("[data-lock-now]")?.addEventListener("click", (event) => {
  event.preventDefault();
  lock();
});
