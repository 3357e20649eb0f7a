// The device that this browser is: everything that a worker needs, put together from storage at each start.

import { openOutbox } from "./outbox.js";
import { enrol, EnrolmentError } from "./enrolment.js";
import { parseCommonWords } from "./lexicon.js";
import { Matcher } from "./matcher.js";
import { Observer } from "./observer.js";
import { openEnvelope, isMonitored, PolicyError } from "./policy.js";
import { Publisher } from "./publisher.js";
import { readBoxKey } from "./sealing.js";
import { plainAddress, rulesFor } from "./sites.js";

const AGAIN_AFTER = 60_000; // ms to the second try to enrol, doubled at each one
const AGAIN_AT_MOST = 3_600_000;

export class Device {
  /** say(line): for the developer's console. onChange(): something that a person can see has changed. */
  constructor({ say, onChange }) {
    this.say = say;
    this.onChange = onChange;
    this.identity = null;
    this.policy = null;
    this.observer = null;
    this.publisher = null;
    this.outbox = null;
    this.envelope = null;
    this.refused = null;
  }

  /** Everything anew from storage. */
  async start() {
    const [common, sites] = await Promise.all(["common_words.txt", "sites.json"].map(readOwnFile));
    this.common = parseCommonWords(common);
    this.sites = JSON.parse(sites);
    this.application = applicationName();
    this.account = await accountName();
    this.kept = (await chrome.storage.session.get("observer")).observer;
    this.outbox = await this.openOutbox();
    const { identity, policy } = await chrome.storage.local.get(["identity", "policy"]);
    if (identity) await this.become(identity, policy);
    await this.enrolIfNeeded();
  }

  async openOutbox() {
    const { outboxName = "outbox" } = await chrome.storage.local.get("outboxName");
    try {
      return await openOutbox(outboxName, crypto.randomUUID());
    } catch (error) {
      // set aside, not deleted: what is in it may yet be read by somebody
      this.say(`the outbox can't be opened (${error.name}); a new one is begun`);
      const other = `outbox-${Date.now()}`;
      await chrome.storage.local.set({ outboxName: other });
      return openOutbox(other, crypto.randomUUID());
    }
  }

  async become(identity, envelope) {
    this.publisher?.stop();
    this.identity = identity;
    this.boxKey = await readBoxKey(identity.boxKey);
    this.publisher = new Publisher(identity, this.outbox, {
      about: () => this.about(),
      onPolicy: (payload) => this.takePolicy(payload),
      onChange: () => this.onChange(),
      say: this.say,
      later: (await chrome.storage.session.get("later")).later ?? null,
      keepLater: (later) => void chrome.storage.session.set({ later }),
    });
    try {
      this.use(await openEnvelope(envelope, identity.policyKey), envelope);
    } catch (error) {
      this.say(`the policy that was kept can't be used: ${error.message}`);
    }
    this.publisher.wake();
    this.onChange();
  }

  use(policy, envelope) {
    this.policy = policy;
    this.envelope = envelope;
    this.observer = new Observer({
      policy, matcher: new Matcher(policy, this.common), sites: this.sites, identity: this.identity, boxKey: this.boxKey,
      outbox: this.outbox, application: this.application, account: this.account, kept: this.kept,
      keep: (state) => {
        this.kept = state;
        return chrome.storage.session.set({ observer: state });
      },
      wake: () => this.publisher.wake(), say: this.say,
    });
  }

  /** A policy has come from the box. What isn't signed, older or past its time is refused, and the last one stays. */
  async takePolicy(payload) {
    let envelope;
    try {
      envelope = JSON.parse(new TextDecoder().decode(payload));
      const held = this.policy && { number: this.policy.number, document: this.envelope.document };
      const policy = await openEnvelope(envelope, this.identity.policyKey, { held, now: Date.now() });
      if (held?.number === policy.number) return;
      await chrome.storage.local.set({ policy: envelope });
      this.use(policy, envelope);
    } catch (error) {
      const reason = error instanceof PolicyError ? error.message : "the policy can't be read";
      this.refused = reason;
      this.say(`policy refused: ${reason}`);
      return;
    }
    this.refused = null;
    this.say(`policy ${this.policy.number} in use`);
    this.onChange();
    this.publisher.beatSoon();
  }

  // -- enrolment

  /** Where the policy of the browser, or a person, has given a code that wasn't tried in vain: enrol with it. */
  async enrolIfNeeded() {
    if (this.enrolling) return;
    this.enrolling = true;
    try {
      const given = await givenCode();
      const { tried } = await chrome.storage.local.get("tried");
      const another = given.code && given.code !== this.identity?.code;
      if (!given.box || !another || (this.identity && !this.publisher.turnedAway)) return;
      if (tried?.code === given.code && tried.box === given.box && (tried.final || Date.now() < tried.again)) return;
      await this.enrolWith(given, tried?.code === given.code ? tried.times : 0);
    } finally {
      this.enrolling = false;
    }
  }

  async enrolWith({ box, code, name }, times) {
    try {
      const { identity, envelope } = await enrol(box, code, name || this.account || `${this.application} browser`, Date.now());
      await chrome.storage.local.set({ identity, policy: envelope });
      await chrome.storage.local.remove("tried");
      await this.become(identity, envelope);
      this.say(`enrolled as ${identity.deviceId}`);
    } catch (error) {
      if (!(error instanceof EnrolmentError)) throw error;
      const wait = Math.min(AGAIN_AT_MOST, AGAIN_AFTER * 2 ** Math.min(times, 10)) * (0.5 + Math.random());
      const tried = { box, code, times: times + 1, again: Date.now() + wait, final: error.final, error: error.message };
      await chrome.storage.local.set({ tried });
      this.say(`not enrolled: ${error.message}`);
      this.onChange();
    }
  }

  // -- how it stands

  isMonitored(now) {
    return Boolean(this.policy && this.identity && isMonitored(this.policy, now));
  }

  /** What a content script may do in a frame. */
  rules(addresses, now) {
    const silent = !this.observer?.reads(addresses, now);
    return { silent, ...rulesFor(this.sites, addresses.find((address) => /^https?:/.test(address ?? "")) ?? "") };
  }

  /** The fields of a heartbeat that aren't the outbox's. */
  async about() {
    const { accepted } = await chrome.storage.local.get("accepted");
    const allowed = await chrome.permissions.contains({ origins: ["<all_urls>"] });
    return {
      agent_version: chrome.runtime.getManifest().version,
      platform: "browser",
      policy_version: this.policy?.version ?? "none",
      policy_number: this.policy?.number ?? 0,
      policy_expired: Boolean(this.policy && Date.now() > this.policy.expiresAt),
      permissions_missing: allowed ? [] : ["site-access"],
      monitored_now: this.isMonitored(Date.now()),
      notice_accepted: accepted && accepted.version === this.policy?.notice?.version ? accepted.at : null,
      held_back: this.observer?.heldBack ?? 0,
    };
  }

  /** What the popup shows. */
  async status(tab) {
    const now = Date.now();
    const figures = await this.outbox.figures();
    const { accepted, tried } = await chrome.storage.local.get(["accepted", "tried"]);
    const managed = await managedSettings();
    return {
      enrolled: Boolean(this.identity),
      deviceId: this.identity?.deviceId ?? null,
      connected: Boolean(this.publisher?.ready),
      monitored: this.isMonitored(now),
      leftAlone: Boolean(this.policy && tab?.url && this.observer.isExcluded(tab.url)),
      academy: this.policy?.academy ?? "",
      screenshot: this.policy?.screenshot ?? false,
      contextMinutes: this.policy?.contextMinutes ?? 0,
      policyNumber: this.policy?.number ?? null,
      policyRefused: this.refused,
      notice: this.policy?.notice ?? null,
      noticeAccepted: accepted?.version === this.policy?.notice?.version ? accepted?.at ?? null : null,
      help: this.policy?.help ?? null,
      waiting: figures.queue_depth,
      error: this.identity ? null : tried?.error ?? null,
      givenByPolicy: Boolean(managed.box && managed.code),
      address: tab?.url ? plainAddress(tab.url) : "",
    };
  }
}

async function readOwnFile(name) {
  return (await fetch(chrome.runtime.getURL(name))).text();
}

async function managedSettings() {
  try {
    return await chrome.storage.managed.get(["box", "code", "name", "account"]);
  } catch {
    return {}; // no policy of the browser's owner at all
  }
}

async function givenCode() {
  const managed = await managedSettings();
  if (managed.box && managed.code) return managed;
  const { typed = {} } = await chrome.storage.local.get("typed");
  return typed;
}

/** The name signed in on the device: what the browser's owner says, else the profile's account. */
async function accountName() {
  const { account } = await managedSettings();
  if (account) return account;
  try {
    return (await chrome.identity.getProfileUserInfo({ accountStatus: "ANY" })).email;
  } catch {
    return "";
  }
}

function applicationName() {
  const brands = (navigator.userAgentData?.brands ?? []).map((one) => one.brand).filter((brand) => !/not.?a/i.test(brand));
  return brands.find((brand) => brand !== "Chromium") ?? brands[0] ?? "Chromium";
}
