// The messages between this browser and the box. The contract is written down in agent/message.py.

import { concat, sha256, toHex, utf8 } from "./encoding.js";
import { seal } from "./sealing.js";

export const VERSION = 1;
const TYPED_AT_MOST = 10_000;
const CONTEXT_AT_MOST = 10_000;
const LINES_AT_MOST = 200;
const NAME_AT_MOST = 500;
const ADDRESS_AT_MOST = 2_000;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g;

export const topics = {
  event: (device) => `tk/v1/event/${device}`,
  heartbeat: (device) => `tk/v1/heartbeat/${device}`,
  receipt: (device) => `tk/v1/receipt/${device}`,
  policy: (device) => `tk/v1/policy/${device}`,
  command: (device) => `tk/v1/command/${device}`,
};

/** ISO 8601 in UTC with microseconds, of which a browser knows the first three. */
export function isoTime(milliseconds) {
  return new Date(milliseconds).toISOString().replace("Z", "000+00:00");
}

/** A UUIDv7 (RFC 9562): the millisecond, then `random` (10 bytes) less the six bits of the format. */
export function makeMessageId(milliseconds, random) {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint16(0, Math.floor(milliseconds / 2 ** 32));
  new DataView(bytes.buffer).setUint32(2, milliseconds % 2 ** 32);
  bytes.set(random, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/**
 * The event sealed for the box, once with and once without the image: {messageId, full, text}, full null without one.
 * report: occurredAt (ms), account, ruleId, trigger, application, windowTitle, address, typed, context (oldest first).
 * capture: {data, mediaType, width, height} or null. about: messageId, deviceId, sequence, queueEpoch, boxKey.
 */
export async function buildEventMessage(report, capture, about) {
  const trigger = clean(report.trigger);
  const header = {
    version: VERSION,
    message_id: about.messageId,
    device_id: about.deviceId,
    sequence: about.sequence,
    queue_epoch: about.queueEpoch,
    occurred_at: isoTime(report.occurredAt),
    account: shorten(report.account, NAME_AT_MOST),
    rule_id: report.ruleId,
    trigger: shorten(report.trigger, NAME_AT_MOST),
    application: shorten(report.application, NAME_AT_MOST),
    window_title: shorten(report.windowTitle, NAME_AT_MOST),
    address: shorten(report.address, ADDRESS_AT_MOST),
    typed: cutAround(clean(report.typed), trigger, TYPED_AT_MOST),
    context: newestLines(report.context.map(clean), CONTEXT_AT_MOST),
    image: null,
  };
  const text = await seal(about.boxKey, about.messageId, pack(header, new Uint8Array()));
  if (!capture) return { messageId: about.messageId, full: null, text };
  header.image = {
    media_type: capture.mediaType,
    sha256: await sha256(capture.data),
    width: capture.width,
    height: capture.height,
  };
  return { messageId: about.messageId, full: await seal(about.boxKey, about.messageId, pack(header, capture.data)), text };
}

function pack(header, image) {
  const encoded = utf8(JSON.stringify(header));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, encoded.length);
  return concat(length, encoded, image);
}

/** At most `atMost` characters of `text`, with the first place of `trigger` in the middle of them. */
export function cutAround(text, trigger, atMost) {
  if (text.length <= atMost) return text;
  const middle = Math.max(0, text.indexOf(trigger)) + Math.floor(trigger.length / 2);
  const start = Math.min(Math.max(0, middle - Math.floor(atMost / 2)), text.length - atMost);
  return text.slice(start, start + atMost).toWellFormed();
}

function newestLines(lines, atMost) {
  const kept = [];
  let room = atMost;
  for (const line of lines.slice(-LINES_AT_MOST).reverse()) {
    if (room <= 0) break;
    kept.push(line.slice(-room).toWellFormed());
    room -= line.length;
  }
  return kept.reverse();
}

function shorten(text, atMost) {
  return clean(text).slice(0, atMost).toWellFormed();
}

function clean(text) {
  return String(text ?? "").toWellFormed().replace(CONTROLS, " ");
}

/** The box's word on one event: {message_id, sha256, status, reason}; null where it can't be read. */
export function parseReceipt(payload) {
  const fields = parseObject(payload);
  if (typeof fields?.message_id !== "string" || typeof fields.sha256 !== "string") return null;
  if (!["stored", "duplicate", "rejected"].includes(fields.status)) return null;
  if (fields.reason != null && typeof fields.reason !== "string") return null;
  return { ...fields, sha256: fields.sha256.toLowerCase(), reason: fields.reason ?? null };
}

/** What the box asks for: {command, ...}; null where it can't be read. */
export function parseCommand(payload) {
  const fields = parseObject(payload);
  if (fields?.version !== VERSION || typeof fields.command !== "string") return null;
  return fields;
}

function parseObject(payload) {
  try {
    const fields = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
    return fields && typeof fields === "object" && !Array.isArray(fields) ? fields : null;
  } catch {
    return null;
  }
}

/** The heartbeat's payload. figures: the outbox's; about: deviceId and the fields of the browser itself. */
export function buildHeartbeat(figures, about, now) {
  const { deviceId, ...rest } = about;
  return utf8(JSON.stringify({ version: VERSION, device_id: deviceId, ...figures, ...rest, sent_at: isoTime(now) }));
}
