// The button's window: whether the school can see, what, and the way to ask for help.

import { paragraphs } from "./paragraphs.js";

const byId = (id) => document.getElementById(id);
const DRAFT = "draft";

async function show() {
  const status = await chrome.runtime.sendMessage({ kind: "status" });
  if (!status) {
    byId("words").textContent = "This could not be found out. Please try again.";
    return;
  }
  const on = status.monitored && !status.leftAlone;
  byId("state").classList.toggle("on", on);
  byId("badge").textContent = on ? "ON" : "OFF";
  byId("words").textContent = wordsFor(status);
  if (!status.screenshot) byId("sent").textContent = byId("sent").textContent.replace(/ and a picture of the\s+page/, "");
  if (status.help?.title) byId("help-title").textContent = status.help.title;
  if (status.help?.body) byId("help-body").replaceChildren(...paragraphs(status.help.body, "span"));
  if (status.notice) {
    byId("notice").replaceChildren(...paragraphs(`${status.notice.body ?? ""}\n\n${status.notice.contacts ?? ""}`));
  }
  byId("send").disabled = !status.enrolled;
  if (!status.enrolled) byId("said").textContent = "This browser is not connected to the school, so it can't send.";
  byId("about").textContent = [
    status.deviceId ? `This browser is ${status.deviceId}` : "This browser is not connected to a school",
    status.connected ? "connected" : "not connected now",
    status.waiting ? `${status.waiting} waiting to be sent` : "",
  ].filter(Boolean).join(", ") + ".";
}

function wordsFor(status) {
  const school = status.academy || "Your school";
  if (!status.enrolled) return "This browser is not connected to a school. Nothing is seen.";
  if (status.monitored && status.leftAlone) return `This site is left alone. ${school} does not see what you do here.`;
  if (status.monitored) return `${school} can see signs of danger in what you type and look at now.`;
  return "It is outside the hours in which your school looks. Nothing is seen now.";
}

async function send(event) {
  event.preventDefault();
  byId("send").disabled = true;
  const sent = await chrome.runtime.sendMessage({ kind: "help", text: byId("text").value, image: byId("image").checked });
  if (!sent || sent.error) {
    byId("said").textContent = sent?.error ?? "That did not work. Please try again, or tell an adult you trust.";
    byId("send").disabled = false;
    return;
  }
  await chrome.storage.session.remove(DRAFT);
  byId("text").value = "";
  byId("said").textContent = "Your message is on its way to a person at school."
    + (byId("image").checked && !sent.image ? " The picture could not be taken." : "");
}

byId("help").addEventListener("submit", send);
// the window closes at a click beside it; what was written is still there when it opens again
byId("text").addEventListener("input", () => chrome.storage.session.set({ [DRAFT]: byId("text").value }));
byId("text").value = (await chrome.storage.session.get(DRAFT))[DRAFT] ?? "";
await show();
