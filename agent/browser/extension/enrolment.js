// Becoming a device of the box: a one-time code, and a key that never leaves this browser.

import { toBase64, utf8 } from "./encoding.js";
import { openEnvelope } from "./policy.js";
import { readBoxKey } from "./sealing.js";

const DATABASE = "keys";
const WITHIN = 30_000;

/** The box didn't take the code. final: another try with the same code would end the same. */
export class EnrolmentError extends Error {
  constructor(message, final) {
    super(message);
    this.final = final;
  }
}

/**
 * Enrol at `box` (https://host[:port]) with `code` under `name`. What comes back is checked before it is used:
 * {deviceId, token, boxKey, policyKey, wss, box, code} and the signed policy. Throws EnrolmentError.
 */
export async function enrol(box, code, name, now) {
  const address = boxAddress(box);
  const pair = await ownKey();
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
  const proof = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, utf8(`trustkeep enrol v1\n${code}`));
  const answer = await post(`${address}/enrol`, {
    version: 1, code, kind: "browser", name: name.slice(0, 64), csr: null,
    public_key: toBase64(spki), proof: toBase64(new Uint8Array(proof)),
  });
  const identity = {
    deviceId: answer.device_id, token: answer.token, boxKey: answer.box_key, policyKey: answer.policy_key,
    wss: answer.wss, box: address, code,
  };
  await check(identity, answer.policy, now);
  return { identity, envelope: answer.policy };
}

async function post(address, request) {
  let response;
  let answer;
  try {
    response = await fetch(address, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request),
      credentials: "omit", cache: "no-store", redirect: "error", signal: AbortSignal.timeout(WITHIN),
    });
    answer = await response.json();
  } catch {
    throw new EnrolmentError("The box can't be reached, or its answer can't be read.", false);
  }
  if (response.ok) return answer;
  const final = response.status >= 400 && response.status < 500 && response.status !== 429;
  throw new EnrolmentError(typeof answer?.error === "string" ? answer.error : `The box refused (${response.status}).`, final);
}

async function check(identity, envelope, now) {
  try {
    for (const name of ["deviceId", "token", "boxKey", "policyKey", "wss"]) {
      if (typeof identity[name] !== "string" || !identity[name]) throw new Error(`${name} is missing`);
    }
    if (new URL(identity.wss).protocol !== "wss:") throw new Error("the connection wouldn't be protected");
    await readBoxKey(identity.boxKey);
    await openEnvelope(envelope, identity.policyKey, { now });
  } catch (error) {
    throw new EnrolmentError(`The box's answer can't be used: ${error.message}.`, false);
  }
}

function boxAddress(box) {
  let url;
  try {
    url = new URL(box.includes("://") ? box : `https://${box}`);
  } catch {
    throw new EnrolmentError("The box's address can't be read.", true);
  }
  if (url.protocol !== "https:") throw new EnrolmentError("The box's address must begin with https://.", true);
  return url.origin;
}

/** This browser's own P-256 pair, made once; its private half can be used and never read. */
async function ownKey() {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("key");
  const db = await finished(opening);
  try {
    const known = await finished(db.transaction("key").objectStore("key").get("own"));
    if (known) return known;
    const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
    await finished(db.transaction("key", "readwrite").objectStore("key").put(pair, "own"));
    return pair;
  } finally {
    db.close();
  }
}

function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
