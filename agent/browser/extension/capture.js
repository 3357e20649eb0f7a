// The page as evidence: what the pupil sees of the active tab, with protected places painted over before it is encoded.
//
// WebP at quality 1 is lossless in Chromium (VP8L); the lossy qualities come where that would pass the size limit. Never
// made smaller in width or height: a smaller image costs the reader words.

import { fromBase64 } from "./encoding.js";

/** An event must pass the box's limit of 1,000,000 bytes with its text and its seal. */
export const BYTES_AT_MOST = 900_000;
const QUALITIES = [1, 0.8, 0.6, 0.4, 0.2];
/** Pixels of the page painted over around a protected place: borders, shadows, rounding. */
const MARGIN = 3;
const TRIES = 3;
/** The browser allows two captures a second. */
const PAUSE = 550;

/** The image can't be had. The message holds nothing of what was on the screen. */
export class CaptureError extends Error {}

/**
 * The tab's visible part: {data, mediaType, width, height}. excluded(address): whether a frame is left alone, which is
 * then painted over whole. Throws CaptureError: where the tab is not in front, or its protected places can't be told.
 */
export async function capture(tab, excluded) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await captureOnce(tab, excluded);
    } catch (error) {
      if (attempt >= TRIES || error instanceof CaptureError && !error.again) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

async function captureOnce(tab, excluded) {
  await checkInFront(tab);
  const before = await protectedPlaces(tab.id, excluded);
  const address = await chrome.tabs.captureVisibleTab(tab.windowId, { format: "png" });
  await checkInFront(tab);
  const after = await protectedPlaces(tab.id, excluded);
  if (JSON.stringify(before) !== JSON.stringify(after)) throw again("the page moved while its image was taken");
  const image = await createImageBitmap(new Blob([fromBase64(address.slice(address.indexOf(",") + 1))], { type: "image/png" }));
  try {
    return await encode(image, before);
  } finally {
    image.close();
  }
}

function again(message) {
  return Object.assign(new CaptureError(message), { again: true });
}

// what is captured is whatever tab is in front in the window: it must be this one, on this page, before and after
async function checkInFront(tab) {
  const [now, window] = await Promise.all([chrome.tabs.get(tab.id), chrome.windows.get(tab.windowId)]);
  if (!now.active || now.windowId !== tab.windowId || now.url !== tab.url || window.state === "minimized") {
    throw new CaptureError("the tab is not in front");
  }
}

async function encode(image, { view, places }) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { alpha: false });
  context.drawImage(image, 0, 0);
  context.fillStyle = "#000";
  // from the page's units to the image's: the window's size tells the factor, whatever the zoom and the screen
  const factor = (image.width / view.width) * view.scale;
  for (const place of places) {
    const left = Math.floor((place.left - view.left - MARGIN) * factor);
    const top = Math.floor((place.top - view.top - MARGIN) * factor);
    const right = Math.ceil((place.right - view.left + MARGIN) * factor);
    const bottom = Math.ceil((place.bottom - view.top + MARGIN) * factor);
    context.fillRect(left, top, right - left, bottom - top);
  }
  for (const quality of QUALITIES) {
    const blob = await canvas.convertToBlob({ type: "image/webp", quality });
    if (blob.type !== "image/webp") break;
    if (blob.size > BYTES_AT_MOST) continue;
    return { data: plainWebp(new Uint8Array(await blob.arrayBuffer())), mediaType: "image/webp", width: image.width, height: image.height };
  }
  throw new CaptureError(`the image doesn't fit into ${BYTES_AT_MOST} bytes`);
}

/** The WebP with its frame alone: no colour profile, which tells of the screen it was taken from. */
export function plainWebp(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let place = 12; place + 8 <= bytes.length; ) {
    const size = view.getUint32(place + 4, true);
    const end = place + 8 + size + (size % 2);
    const name = String.fromCharCode(...bytes.subarray(place, place + 4));
    if (name === "VP8L" || name === "VP8 ") {
      const plain = new Uint8Array(12 + end - place);
      plain.set(bytes.subarray(0, 12));
      plain.set(bytes.subarray(place, end), 12);
      new DataView(plain.buffer).setUint32(4, plain.length - 8, true);
      return plain;
    }
    place = end;
  }
  return bytes;
}

// -- where the protected places are

/** {view, places}: the window as its top frame sees it, and rectangles in the top frame's units. */
async function protectedPlaces(tabId, excluded) {
  const frames = await chrome.webNavigation.getAllFrames({ tabId });
  if (!frames?.length) throw new CaptureError("the page's frames can't be told");
  const byId = new Map(frames.map((frame) => [frame.frameId, frame]));
  const ask = (frame, message) => chrome.tabs.sendMessage(tabId, message, { frameId: frame.frameId }).catch(() => null);
  // each frame hands its inner frames a number, so that theirs can be joined to the rectangles that it sees
  const outer = new Map(await Promise.all(frames.map(async (frame) => [frame.frameId, await ask(frame, { ask: "frames" })])));
  const inner = new Map(await Promise.all(frames.map(async (frame) => [frame.frameId, await ask(frame, { ask: "places" })])));
  const top = frames.find((frame) => frame.parentFrameId < 0);
  if (!outer.get(top.frameId) || !inner.get(top.frameId)) throw new CaptureError("the page can't be asked for its protected fields");
  const places = [];
  for (const frame of frames) {
    const told = inner.get(frame.frameId);
    const placed = place(frame, byId, outer, inner);
    const whole = frame !== top && (excluded(addressOf(frame, byId)) || !told);
    if (whole && placed.box) places.push(placed.box);
    else if (whole && !placed.hidden) throw again("a frame that isn't to be seen can't be found");
    else if (told?.places.length && !placed.hidden) {
      if (!placed.toTop) throw again("a frame with protected fields can't be found");
      places.push(...told.places.map(placed.toTop));
    }
  }
  return { view: outer.get(top.frameId).view, places };
}

/** Where a frame stands: {toTop(rectangle), box}, or {hidden} where it takes no room, or {} where it can't be told. */
function place(frame, byId, outer, inner) {
  if (frame.parentFrameId < 0) return { toTop: (rectangle) => rectangle, box: null };
  const parent = byId.get(frame.parentFrameId);
  const seen = outer.get(frame.parentFrameId)?.frames;
  const number = inner.get(frame.frameId)?.number;
  if (!parent || !seen) return {};
  const element = seen.find((one) => one.number === number);
  if (!element) {
    // a frame that didn't answer: every frame of its parent that has no owner may be it
    const answered = new Set(Array.from(inner.values(), (told) => told?.number));
    const unknown = seen.filter((one) => !answered.has(one.number));
    if (inner.get(frame.frameId) || !unknown.length) return inner.get(frame.frameId) ? {} : { hidden: true };
    const above = place(parent, byId, outer, inner);
    if (!above.toTop) return above;
    return { box: unknown.map((one) => above.toTop(one.box)).reduce(union) };
  }
  if (element.box.right <= element.box.left || element.box.bottom <= element.box.top) return { hidden: true };
  const above = place(parent, byId, outer, inner);
  if (!above.toTop) return above;
  const { content, scale } = element;
  return {
    box: above.toTop(element.box),
    toTop: (rectangle) => above.toTop({
      left: content.left + rectangle.left * scale.x,
      right: content.left + rectangle.right * scale.x,
      top: content.top + rectangle.top * scale.y,
      bottom: content.top + rectangle.bottom * scale.y,
    }),
  };
}

function union(one, other) {
  return {
    left: Math.min(one.left, other.left), top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom),
  };
}

/** The address of a frame; for one that was written by its parent (about:blank, srcdoc), the parent's. */
export function addressOf(frame, byId) {
  for (let at = frame; at; at = byId.get(at.parentFrameId)) if (/^https?:|^file:|^ftp:/.test(at.url)) return at.url;
  return frame.url;
}

