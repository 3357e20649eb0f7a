// The notice at first use. Reading it is recorded for the school, with its version and the time.

import { paragraphs } from "./paragraphs.js";

const byId = (id) => document.getElementById(id);

function say(accepted) {
  byId("accept").hidden = true;
  byId("said").textContent = `Thank you. This was noted on ${new Date(accepted).toLocaleString("en-GB")}. You can close this page.`;
}

byId("accept").addEventListener("click", async () => {
  const accepted = await chrome.runtime.sendMessage({ kind: "accept" });
  if (accepted) say(accepted.at);
  else byId("said").textContent = "That could not be noted. Please try again.";
});

const status = await chrome.runtime.sendMessage({ kind: "status" });
const notice = status?.notice;
if (notice) {
  byId("title").textContent = notice.title || byId("title").textContent;
  byId("body").replaceChildren(...paragraphs(notice.body ?? ""));
  byId("contacts").replaceChildren(...paragraphs(notice.contacts ?? ""));
  byId("contacts-part").hidden = !notice.contacts;
  if (status.noticeAccepted) say(status.noticeAccepted);
}
