// The policy: what the trust has decided its devices watch for. It is used only as the box signed it.

import { concat, fromBase64, fromPem, toHex, utf8 } from "./encoding.js";
import { plainWords } from "./normalise.js";

const SIGNED = utf8("trustkeep policy v1\n");
const ID = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const DAYS = { Mon: 1, Tue: 2, Wed: 3, Thu: 4, Fri: 5, Sat: 6, Sun: 7 };

export class PolicyError extends Error {}

/**
 * The policy in a signed `envelope`, checked. held: {number, document} of the policy in use, or null. now: ms, or null
 * for the held policy itself, which goes on working when it is past its time. Throws PolicyError.
 */
export async function openEnvelope(envelope, policyKeyPem, { held = null, now = null } = {}) {
  const document = await verify(envelope, policyKeyPem);
  const policy = parsePolicy(document);
  if (now !== null) {
    if (now > policy.expiresAt) throw new PolicyError("the policy is past its time");
    if (held && policy.number < held.number) throw new PolicyError("the policy is older than the one in use");
    if (held && policy.number === held.number && envelope.document !== held.document) {
      throw new PolicyError("the policy has the number of the one in use, and other content");
    }
  }
  return policy;
}

async function verify(envelope, policyKeyPem) {
  let bytes;
  let signature;
  try {
    bytes = fromBase64(envelope.document);
    signature = fromBase64(envelope.signature);
  } catch {
    throw new PolicyError("the policy is not signed");
  }
  const der = fromPem(policyKeyPem);
  const digest = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", der.slice(-32))));
  if (envelope.key !== digest) throw new PolicyError("the policy is signed with another key");
  const key = await crypto.subtle.importKey("spki", der, { name: "Ed25519" }, false, ["verify"]);
  if (!(await crypto.subtle.verify({ name: "Ed25519" }, key, signature, concat(SIGNED, bytes)))) {
    throw new PolicyError("the policy's signature is wrong");
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new PolicyError("the policy is not JSON");
  }
}

/** The policy in a parsed JSON `document`. Throws PolicyError. */
export function parsePolicy(document) {
  if (!isObject(document)) throw new PolicyError("the policy must be an object");
  const rules = document.rules;
  if (!Array.isArray(rules) || !rules.length) throw new PolicyError("rules: must be a list of at least one rule");
  const policy = {
    version: text(document.version, "version"),
    academy: text(document.academy, "academy"),
    number: number(document.number, "number", 1, Number.MAX_SAFE_INTEGER),
    expiresAt: time(document.expires_at, "expires_at"),
    rules: rules.map(parseRule),
    contextMinutes: number(document.context_minutes ?? 10, "context_minutes", 0, 120),
    excludedApplications: texts(document.excluded_applications ?? [], "excluded_applications"),
    excludedAddresses: texts(document.excluded_addresses ?? [], "excluded_addresses"),
    hours: parseHours(document.hours ?? null),
    notice: isObject(document.notice) ? document.notice : null,
    help: isObject(document.help) ? document.help : null,
    screenshot: document.screenshot !== false,
  };
  if (new Set(policy.rules.map((rule) => rule.id)).size < policy.rules.length) {
    throw new PolicyError("rules: an id is used twice");
  }
  return policy;
}

function parseRule(rule, index) {
  const where = `rules[${index}]`;
  if (!isObject(rule)) throw new PolicyError(`${where}: must be an object`);
  for (const name of ["id", "category"]) {
    if (!ID.test(text(rule[name], `${where}.${name}`))) {
      throw new PolicyError(`${where}.${name}: may hold only a-z, 0-9, - and _`);
    }
  }
  const made = {
    id: rule.id,
    category: rule.category,
    phrases: phrases(rule.phrases, `${where}.phrases`),
    with_any: phrases(rule.with_any ?? [], `${where}.with_any`),
    unless_any: phrases(rule.unless_any ?? [], `${where}.unless_any`),
    within_words: Math.trunc(number(rule.within_words ?? 8, `${where}.within_words`, 1, 50)),
  };
  if (!made.phrases.length) throw new PolicyError(`${where}.phrases: must hold at least one phrase`);
  return made;
}

function phrases(value, where) {
  const made = texts(value, where);
  if (made.some((phrase) => plainWords(phrase).join("").length < 2)) {
    throw new PolicyError(`${where}: holds no word to look for`);
  }
  return made;
}

function parseHours(hours) {
  if (hours === null) return null;
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: text(hours.time_zone, "hours.time_zone") });
  } catch {
    throw new PolicyError("hours.time_zone: is not known");
  }
  for (const name of ["weekly", "holidays"]) {
    if (!Array.isArray(hours[name] ?? [])) throw new PolicyError(`hours.${name}: must be a list`);
  }
  for (const span of hours.weekly ?? []) {
    if (!Array.isArray(span.days) || !isClock(span.from) || !isClock(span.to) || span.from >= span.to) {
      throw new PolicyError("hours.weekly: wants days, from, and a later to");
    }
  }
  for (const holiday of hours.holidays ?? []) {
    if (!isDate(holiday.from) || !isDate(holiday.to)) throw new PolicyError("hours.holidays: wants from and to");
  }
  return hours;
}

/** Whether the policy has the browser watched at `now` (ms). Spans end before their "to"; holidays include both dates. */
export function isMonitored(policy, now) {
  const { hours } = policy;
  if (!hours || (hours.take_home === true && hours.outside === "monitored")) return true;
  const local = localTime(now, hours.time_zone);
  if ((hours.holidays ?? []).some((holiday) => holiday.from <= local.date && local.date <= holiday.to)) return false;
  return (hours.weekly ?? []).some((span) =>
    span.days.includes(local.day) && span.from <= local.clock && local.clock < span.to);
}

function localTime(now, timeZone) {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-GB", {
      timeZone, hourCycle: "h23", weekday: "short", year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit",
    }).formatToParts(now).map((part) => [part.type, part.value]),
  );
  return {
    date: `${parts.year}-${parts.month}-${parts.day}`,
    clock: `${parts.hour}:${parts.minute}`,
    day: DAYS[parts.weekday.slice(0, 3)],
  };
}

/** Whether what is typed here is never read. An address entry covers its subdomains and everything below it. */
export function excludes(policy, application, address) {
  if (policy.excludedApplications.some((name) => name.toLowerCase() === application.toLowerCase())) return true;
  const { host, path } = splitAddress(address);
  return policy.excludedAddresses.some((entry) => {
    const excluded = splitAddress(entry);
    return (host === excluded.host || host.endsWith(`.${excluded.host}`))
      && (path === excluded.path || path.startsWith(`${excluded.path.replace(/\/+$/, "")}/`));
  });
}

function splitAddress(address) {
  const rest = address.includes("://") ? address.slice(address.indexOf("://") + 3) : address;
  const slash = rest.indexOf("/");
  const host = (slash < 0 ? rest : rest.slice(0, slash)).split("@").at(-1).split(":")[0].toLowerCase().replace(/^www\./, "");
  const path = slash < 0 ? "" : rest.slice(slash + 1);
  return { host, path: path ? `/${path.split("?")[0].split("#")[0]}` : "" };
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function isClock(value) {
  return typeof value === "string" && /^(?:([01]\d|2[0-3]):[0-5]\d|24:00)$/.test(value);
}

function isDate(value) {
  return typeof value === "string" && /^\d{4}-\d\d-\d\d$/.test(value);
}

function text(value, where) {
  if (typeof value !== "string" || !value.trim()) throw new PolicyError(`${where}: must be text, and not empty`);
  return value;
}

function texts(value, where) {
  if (!Array.isArray(value)) throw new PolicyError(`${where}: must be a list of texts`);
  return value.map((entry, index) => text(entry, `${where}[${index}]`));
}

function number(value, where, least, most) {
  if (typeof value !== "number" || !(value >= least && value <= most)) {
    throw new PolicyError(`${where}: must be a number from ${least} to ${most}`);
  }
  return value;
}

function time(value, where) {
  const at = Date.parse(value);
  if (Number.isNaN(at)) throw new PolicyError(`${where}: must be a time`);
  return at;
}
