// A small MQTT 5 client over a WebSocket: CONNECT, QoS 0 and 1 PUBLISH, SUBSCRIBE, PINGREQ. One object, one connection.

import { concat, utf8 } from "./encoding.js";

const CONNECT = 1, CONNACK = 2, PUBLISH = 3, PUBACK = 4, SUBSCRIBE = 8, SUBACK = 9, PINGREQ = 12, PINGRESP = 13, DISCONNECT = 14;
const SESSION_EXPIRY = 0x11, RECEIVE_MAXIMUM = 0x21, MAXIMUM_PACKET = 0x27, USER_PROPERTY = 0x26, KEEP_ALIVE = 0x13;
// sizes of properties by their identifier: a number of bytes, or "varint", "text", "pair"
const SIZES = {
  0x01: 1, 0x02: 4, 0x03: "text", 0x08: "text", 0x09: "text", 0x0b: "varint", 0x11: 4, 0x12: "text", 0x13: 2,
  0x15: "text", 0x16: "text", 0x17: 1, 0x19: 1, 0x1a: "text", 0x1c: "text", 0x1f: "text", 0x21: 2, 0x22: 2, 0x23: 2,
  0x24: 1, 0x25: 1, 0x26: "pair", 0x27: 4, 0x28: 1, 0x29: 1, 0x2a: 1,
};
/** Bytes this side takes in one packet: the box's largest policy, with room. */
export const RECEIVED_AT_MOST = 2_100_000;
const KEEP_ALIVE_SECONDS = 45;
/** A browser stops a worker that was idle for 30 s; traffic on a WebSocket counts as work. */
export const PING_EVERY = 15_000;
const READY_WITHIN = 30_000;

/**
 * handlers: onReady({packetAtMost, unacknowledgedAtMost}), onLost(reason), onAcknowledged(id, code),
 * onMessage(topic, payload). onLost comes once, and nothing after it.
 */
export class MqttConnection {
  constructor(url, { clientId, username, password, subscriptions }, handlers) {
    this.handlers = handlers;
    this.subscriptions = subscriptions;
    this.buffer = new Uint8Array();
    this.lastId = 0;
    this.unanswered = 0;
    this.over = false;
    this.socket = new WebSocket(url, ["mqtt"]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send(connectPacket(clientId, username, password));
    this.socket.onmessage = (event) => this.take(new Uint8Array(event.data));
    this.socket.onclose = (event) => this.lose(event.reason || `closed (${event.code})`);
    this.readyTimer = setTimeout(() => this.lose("the box doesn't answer"), READY_WITHIN);
  }

  /** Send. QoS 1: the id under which it will be acknowledged; QoS 0: 0. Null where the connection is gone. */
  publish(topic, payload, { qos = 1, properties = [] } = {}) {
    if (this.over) return null;
    const id = qos ? this.nextId() : 0;
    const pairs = properties.map(([name, value]) => concat(Uint8Array.of(USER_PROPERTY), string(name), string(value)));
    const body = concat(string(topic), qos ? uint16(id) : new Uint8Array(), withLength(concat(...pairs)), payload);
    return this.send(packet(PUBLISH, qos << 1, body)) ? id : null;
  }

  /** Bytes that PUBLISH needs besides its payload, at most. */
  static overhead(topic) {
    return topic.length + 128;
  }

  /** End it politely. */
  close() {
    if (!this.over) this.send(packet(DISCONNECT, 0, Uint8Array.of(0, 0)));
    this.lose("closed by this side");
  }

  nextId() {
    this.lastId = (this.lastId % 65_535) + 1;
    return this.lastId;
  }

  send(bytes) {
    if (this.over || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(bytes);
    return true;
  }

  lose(reason) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.readyTimer);
    clearInterval(this.pingTimer);
    this.socket.close();
    this.handlers.onLost(reason);
  }

  ping() {
    if (this.unanswered > 1) this.lose("the box doesn't answer");
    this.unanswered += 1;
    this.send(packet(PINGREQ, 0, new Uint8Array()));
  }

  // a WebSocket message may hold half a packet, or several
  take(bytes) {
    this.buffer = this.buffer.length ? concat(this.buffer, bytes) : bytes;
    try {
      while (!this.over) {
        const head = readHead(this.buffer);
        if (!head || this.buffer.length < head.end) return;
        const body = this.buffer.slice(head.start, head.end);
        this.buffer = this.buffer.slice(head.end);
        this.handle(head.type, head.flags, new Reader(body));
      }
    } catch {
      this.lose("the box sent what is no MQTT");
    }
  }

  handle(type, flags, reader) {
    this.unanswered = 0;
    if (type === CONNACK) this.connected(reader);
    else if (type === SUBACK) this.subscribed(reader);
    else if (type === PUBACK) this.handlers.onAcknowledged(reader.uint16(), reader.left ? reader.byte() : 0);
    else if (type === PUBLISH) this.received(flags, reader);
    else if (type === DISCONNECT) this.lose(`disconnected (code ${reader.left ? reader.byte() : 0})`);
    else if (type !== PINGRESP) throw new Error("unexpected packet");
  }

  connected(reader) {
    reader.byte();
    const code = reader.byte();
    if (code !== 0) return this.lose(`refused (code ${code})`);
    const properties = reader.properties();
    this.limits = {
      packetAtMost: properties[MAXIMUM_PACKET] ?? null,
      unacknowledgedAtMost: properties[RECEIVE_MAXIMUM] ?? 65_535,
    };
    this.pingTimer = setInterval(() => this.ping(), Math.min(PING_EVERY, (properties[KEEP_ALIVE] ?? 60) * 500));
    const filters = this.subscriptions.map((topic) => concat(string(topic), Uint8Array.of(1)));
    return this.send(packet(SUBSCRIBE, 2, concat(uint16(this.nextId()), Uint8Array.of(0), ...filters)));
  }

  subscribed(reader) {
    reader.uint16();
    reader.properties();
    // an older box may not know every topic; the receipts, which come first, are needed
    const code = reader.byte();
    if (code > 2) return this.lose(`receipts refused (code ${code})`);
    clearTimeout(this.readyTimer);
    return this.handlers.onReady(this.limits);
  }

  received(flags, reader) {
    const topic = reader.text();
    const qos = (flags >> 1) & 3;
    const id = qos ? reader.uint16() : 0;
    reader.properties();
    if (qos) this.send(packet(PUBACK, 0, uint16(id)));
    this.handlers.onMessage(topic, reader.rest());
  }
}

function connectPacket(clientId, username, password) {
  const properties = concat(
    Uint8Array.of(SESSION_EXPIRY, 0, 0, 0, 0),
    Uint8Array.of(MAXIMUM_PACKET), uint32(RECEIVED_AT_MOST),
  );
  return packet(CONNECT, 0, concat(
    string("MQTT"), Uint8Array.of(5, 0b1100_0010), uint16(KEEP_ALIVE_SECONDS), withLength(properties),
    string(clientId), string(username), string(password),
  ));
}

function packet(type, flags, body) {
  return concat(Uint8Array.of((type << 4) | flags), varint(body.length), body);
}

function withLength(bytes) {
  return concat(varint(bytes.length), bytes);
}

function string(text) {
  const bytes = utf8(text);
  return concat(uint16(bytes.length), bytes);
}

function uint16(number) {
  return Uint8Array.of(number >> 8, number & 255);
}

function uint32(number) {
  return Uint8Array.of(number >>> 24, (number >> 16) & 255, (number >> 8) & 255, number & 255);
}

function varint(number) {
  const bytes = [];
  let rest = number;
  do {
    bytes.push((rest & 127) | (rest > 127 ? 128 : 0));
    rest >>>= 7;
  } while (rest);
  return Uint8Array.from(bytes);
}

function readHead(buffer) {
  let length = 0;
  for (let index = 1; index < buffer.length; index += 1) {
    if (index > 4) throw new Error("length without end");
    length += (buffer[index] & 127) * 128 ** (index - 1);
    if (length > RECEIVED_AT_MOST) throw new Error("too large");
    if (buffer[index] < 128) {
      return { type: buffer[0] >> 4, flags: buffer[0] & 15, start: index + 1, end: index + 1 + length };
    }
  }
  return null;
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.place = 0;
  }

  get left() {
    return this.bytes.length - this.place;
  }

  take(length) {
    if (length > this.left) throw new Error("ends early");
    this.place += length;
    return this.bytes.slice(this.place - length, this.place);
  }

  number(length) {
    return this.take(length).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  byte() {
    return this.number(1);
  }

  uint16() {
    return this.number(2);
  }

  text() {
    return new TextDecoder().decode(this.take(this.uint16()));
  }

  rest() {
    return this.take(this.left);
  }

  varint() {
    let number = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = this.byte();
      number += (byte & 127) * shift;
      if (byte < 128) return number;
      if (shift > 128 ** 2) throw new Error("number without end");
    }
  }

  /** The properties whose value is a whole number, by identifier; the others are passed over. */
  properties() {
    const end = this.varint();
    const inner = new Reader(this.take(end));
    const values = {};
    while (inner.left) {
      const name = inner.byte();
      const size = SIZES[name];
      if (size === "text") inner.text();
      else if (size === "pair") inner.text(), inner.text();
      else if (size === "varint") values[name] = inner.varint();
      else if (size) values[name] = inner.number(size);
      else throw new Error("unknown property");
    }
    return values;
  }
}
