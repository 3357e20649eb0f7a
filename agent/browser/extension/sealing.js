// Sealing to the box: what is sealed here only the box can open, not even this browser.
//
// HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message a key, written out over
// WebCrypto. The same as agent/sealing.py; appliance/broker/sealing.py opens it.

import { concat, fromPem, utf8 } from "./encoding.js";

const INFO = "trustkeep event v1";
const VERSION = utf8("HPKE-v1");
const KEM = concat(utf8("KEM"), Uint8Array.of(0x00, 0x20));
const SUITE = concat(utf8("HPKE"), Uint8Array.of(0x00, 0x20, 0x00, 0x01, 0x00, 0x02));
const NOTHING = new Uint8Array();

/** The box's public key from its PEM text: {key, raw}. Throws where it isn't an X25519 key. */
export async function readBoxKey(pem) {
  const key = await crypto.subtle.importKey("spki", fromPem(pem), { name: "X25519" }, true, []);
  return { key, raw: new Uint8Array(await crypto.subtle.exportKey("raw", key)) };
}

/** `plaintext` for the box alone, bound to `messageId`: the encapsulated key (32 bytes), then the ciphertext. */
export async function seal(boxKey, messageId, plaintext) {
  const pair = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
  const encapsulated = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const shared = new Uint8Array(
    await crypto.subtle.deriveBits({ name: "X25519", public: boxKey.key }, pair.privateKey, 256),
  );
  const secret = await extractAndExpand(shared, concat(encapsulated, boxKey.raw));
  const { key, nonce } = await schedule(secret, utf8(`${INFO} ${messageId}`));
  const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, tagLength: 128 }, aes, plaintext);
  return concat(encapsulated, new Uint8Array(sealed));
}

async function extractAndExpand(shared, context) {
  const key = await labeledExtract(KEM, NOTHING, "eae_prk", shared);
  return labeledExpand(KEM, key, "shared_secret", context, 32);
}

async function schedule(shared, info) {
  const pskHash = await labeledExtract(SUITE, NOTHING, "psk_id_hash", NOTHING);
  const infoHash = await labeledExtract(SUITE, NOTHING, "info_hash", info);
  const context = concat(Uint8Array.of(0), pskHash, infoHash);
  const secret = await labeledExtract(SUITE, shared, "secret", NOTHING);
  return {
    key: await labeledExpand(SUITE, secret, "key", context, 32),
    nonce: await labeledExpand(SUITE, secret, "base_nonce", context, 12),
  };
}

function labeledExtract(suite, salt, label, input) {
  return hmac(salt, concat(VERSION, suite, utf8(label), input));
}

async function labeledExpand(suite, key, label, info, length) {
  const labeled = concat(Uint8Array.of(length >> 8, length & 255), VERSION, suite, utf8(label), info);
  let block = NOTHING;
  let expanded = NOTHING;
  for (let number = 1; expanded.length < length; number += 1) {
    block = await hmac(key, concat(block, labeled, Uint8Array.of(number)));
    expanded = concat(expanded, block);
  }
  return expanded.slice(0, length);
}

async function hmac(key, data) {
  // an empty key is one of zeros to HMAC, and WebCrypto takes no empty ones
  const raw = key.length ? key : new Uint8Array(32);
  const made = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", made, data));
}
