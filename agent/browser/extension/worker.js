// The service worker: what happens in the browser, handed to the device. It may be stopped at any moment, so every
// listener is set at once, and waits for a device that was put together from storage.

import { Device } from "./device.js";

const TICK = "tick";
const OWN = chrome.runtime.getURL("");
const ON = "#0b6e4f";
const OFF = "#5f6368";

const say = (line) => console.info(`trustkeep: ${line}`);
const device = new Device({ say, onChange: () => void refresh() });
const started = device.start().catch((error) => say(`trouble at the start: ${error.stack}`));
void started.then(refresh);
chrome.alarms.get(TICK).then((alarm) => alarm ?? chrome.alarms.create(TICK, { periodInMinutes: 0.5 }));

chrome.runtime.onInstalled.addListener(() => void started.then(bringIntoOpenTabs));
chrome.runtime.onStartup.addListener(() => void started);
chrome.runtime.onUpdateAvailable.addListener(() => chrome.runtime.reload());
chrome.alarms.onAlarm.addListener(() => void tick());
// a browser's policy arrives some seconds after the installation
chrome.storage.onChanged.addListener((_, area) => void (area === "managed" && tick()));
self.addEventListener("online", () => void started.then(() => device.publisher?.hurry()));
chrome.runtime.onMessage.addListener((message, sender, reply) => {
  void started.then(() => answer(message, sender)).then(reply, (error) => {
    say(`trouble: ${error.stack}`);
    reply(null);
  });
  return true;
});
chrome.tabs.onUpdated.addListener((_, change, tab) => void onPage(change, tab));
chrome.tabs.onActivated.addListener(({ tabId }) => void chrome.tabs.get(tabId).then(mark).catch(() => {}));

async function tick() {
  await started;
  await device.enrolIfNeeded();
  await device.publisher?.wake();
  await refresh();
}

// -- messages

function answer(message, sender) {
  if (sender.url?.startsWith(OWN)) return answerOwnPage(message);
  return sender.tab ? answerContent(message, sender) : null;
}

async function answerContent(message, sender) {
  const source = {
    tab: sender.tab,
    frameId: sender.frameId,
    // a frame written by its parent has no address of its own, but its parent's origin
    addresses: [sender.tab.url, sender.url, sender.origin === "null" ? "" : sender.origin],
  };
  const now = Date.now();
  if (message.kind === "hello") return device.rules([sender.url, ...source.addresses], now);
  if (message.kind === "typed") await device.observer?.typed(source, message, now);
  if (message.kind === "reply") await device.observer?.reply(source, message, now);
  return {};
}

async function answerOwnPage(message) {
  const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
  if (message.kind === "status") return device.status(tab);
  if (message.kind === "accept") return accept();
  if (message.kind === "help") {
    if (!device.observer) return { error: "This browser is not connected to the school yet." };
    const sent = await device.observer.help(message.text, message.image ? tab : null, Date.now());
    void device.publisher.hurry();
    return sent;
  }
  if (message.kind === "enrol") {
    await chrome.storage.local.set({ typed: { box: message.box, code: message.code, name: message.name } });
    await chrome.storage.local.remove("tried");
    await device.enrolIfNeeded();
    return device.status(tab);
  }
  return null;
}

async function accept() {
  const { notice } = device.policy ?? {};
  if (!notice) return null;
  const accepted = { version: notice.version, at: new Date().toISOString() };
  await chrome.storage.local.set({ accepted });
  await device.publisher?.beatSoon();
  return accepted;
}

// -- pages

async function onPage(change, tab) {
  if (!change.url && !change.title) return;
  await started;
  if (change.url) chrome.tabs.sendMessage(tab.id, { ask: "again" }).catch(() => {});
  await mark(tab);
  const source = { tab, frameId: 0, addresses: [tab.url] };
  if (/^https?:/.test(tab.url ?? "")) {
    await device.observer?.page(source, { address: change.url, title: change.title }, Date.now());
  }
}

// pages that were open before the extension, or its update, came
async function bringIntoOpenTabs() {
  for (const tab of await chrome.tabs.query({ url: ["http://*/*", "https://*/*"] })) {
    chrome.scripting
      .executeScript({ target: { tabId: tab.id, allFrames: true }, files: ["content.js"], injectImmediately: true })
      .catch(() => {});
  }
}

// -- what a person sees

let shown = null;

async function refresh() {
  const monitored = device.isMonitored(Date.now());
  await chrome.action.setBadgeText({ text: monitored ? "ON" : "OFF" });
  await chrome.action.setBadgeBackgroundColor({ color: monitored ? ON : OFF });
  await chrome.action.setBadgeTextColor({ color: "#ffffff" });
  await chrome.action.setTitle({ title: monitored ? "Your school can see this browser: ON" : "Your school can see this browser: OFF" });
  const state = JSON.stringify([monitored, device.policy?.number]);
  if (state !== shown) {
    shown = state;
    for (const tab of await chrome.tabs.query({})) {
      chrome.tabs.sendMessage(tab.id, { ask: "again" }).catch(() => {});
      await mark(tab);
    }
  }
  await showNotice();
}

/** A page that is left alone has its own badge. */
async function mark(tab) {
  await started;
  const leftAlone = device.isMonitored(Date.now()) && device.observer.isExcluded(tab.url ?? "");
  await chrome.action.setBadgeText({ tabId: tab.id, text: leftAlone ? "OFF" : null }).catch(() => {});
}

let showing = Promise.resolve();

function showNotice() {
  showing = showing.then(openNotice).catch(() => {});
  return showing;
}

// once in each session of the browser, until it has been accepted
async function openNotice() {
  const { notice } = device.policy ?? {};
  if (!notice || !device.identity) return;
  const { accepted } = await chrome.storage.local.get("accepted");
  const { noticeShown } = await chrome.storage.session.get("noticeShown");
  if (accepted?.version === notice.version || noticeShown === notice.version) return;
  await chrome.storage.session.set({ noticeShown: notice.version });
  await chrome.tabs.create({ url: chrome.runtime.getURL("notice.html"), active: true });
}
