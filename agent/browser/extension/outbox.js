// What the browser still has to send: sealed, on disk before the network is touched, until the box says it has it.
//
// Only sealed payloads lie in it. An event that the box has receipted stays for a day, so that a box put back from an
// older backup can ask for it again. Times are ms since 1970.

import { sha256 } from "./encoding.js";

const WAITING = "waiting", DEAD = "dead", RECEIPTED = "receipted";
const DAY = 86_400_000;
export const BYTES_AT_MOST = 200_000_000;
const RECEIPTED_BYTES_AT_MOST = 50_000_000;
const DEAD_LETTERS_AT_MOST = 200;
const COUNTERS = { highest_sequence: 0, images_dropped: 0, dead_letters_dropped: 0, receipted: 0 };

export class OutboxFullError extends Error {}

/** Open the outbox of that name. newEpoch names it if it is made now. Throws DOMException where it is damaged. */
export async function openOutbox(name, newEpoch, bytesAtMost = BYTES_AT_MOST) {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => {
    const db = opening.result;
    db.createObjectStore("about");
    const events = db.createObjectStore("event", { keyPath: "messageId" });
    events.createIndex("sequence", "sequence", { unique: true });
    events.createIndex("due", ["state", "nextDue", "sequence"]);
    // payloads stand apart, so that marking an event doesn't rewrite 300 kB
    db.createObjectStore("payload");
    const about = opening.transaction.objectStore("about");
    about.put(newEpoch, "queue_epoch");
    for (const [counter, value] of Object.entries(COUNTERS)) about.put(value, counter);
  };
  const db = await result(opening);
  const outbox = new Outbox(db, bytesAtMost);
  outbox.epoch = await result(db.transaction("about").objectStore("about").get("queue_epoch"));
  return outbox;
}

export class Outbox {
  constructor(db, bytesAtMost) {
    this.db = db;
    this.bytesAtMost = bytesAtMost;
    this.diskFull = false;
    this.last = Promise.resolve();
  }

  close() {
    this.db.close();
  }

  /**
   * Keep the event that `build(sequence, queueEpoch)` makes; on disk when this resolves to its sequence. One at a time:
   * no number is ever given twice or left out. Throws OutboxFullError.
   */
  put(build, now) {
    const turn = this.last.then(() => this.putNext(build, now));
    this.last = turn.catch(() => {});
    return turn;
  }

  async putNext(build, now) {
    const sequence = (await this.about("highest_sequence")) + 1;
    const event = await build(sequence, this.epoch);
    const row = {
      messageId: event.messageId,
      sequence,
      madeAt: now,
      fullBytes: event.full?.length ?? 0,
      fullSha256: event.full ? await sha256(event.full) : null,
      textBytes: event.text.length,
      textSha256: await sha256(event.text),
      state: WAITING,
      attempts: 0,
      nextDue: 0,
      reason: null,
    };
    try {
      await this.write(row, event);
      this.diskFull = false;
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
      await this.putOnFullDisk(row, event);
    }
    return sequence;
  }

  // the disk is full: make room from what the text can do without
  async putOnFullDisk(row, event) {
    this.diskFull = true;
    try {
      await this.makeRoom(Infinity, this.bytesAtMost / 4);
      await this.write({ ...row, fullBytes: 0, fullSha256: null }, { ...event, full: null }, Boolean(event.full));
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
      throw new OutboxFullError("the disk has no room for another event");
    }
  }

  async write(row, event, imageDropped = false) {
    await this.change(async (stores) => {
      stores.event.add(row);
      stores.payload.put(event.text, [row.messageId, "text"]);
      if (event.full) stores.payload.put(event.full, [row.messageId, "full"]);
      stores.about.put(row.sequence, "highest_sequence");
      if (imageDropped) await add(stores.about, "images_dropped", 1);
    });
    const over = (await this.rows()).reduce((sum, one) => sum + one.fullBytes + one.textBytes, 0) - this.bytesAtMost;
    if (over > 0) await this.makeRoom(over, over);
  }

  /** Events to send now, longest due first, then in their order; those in `besides` left out. */
  async due(now, atMost, besides) {
    const rows = await result(
      this.db.transaction("event").objectStore("event").index("due")
        .getAll(IDBKeyRange.bound([WAITING, 0], [WAITING, now, Infinity]), atMost + besides.size),
    );
    // due in more than a day: the clock was set back since
    const lost = await result(
      this.db.transaction("event").objectStore("event").index("due")
        .getAll(IDBKeyRange.bound([WAITING, now + DAY], [WAITING, Infinity, Infinity]), atMost),
    );
    return [...rows, ...lost].filter((row) => !besides.has(row.messageId)).slice(0, atMost);
  }

  /** When the next event is due, those in `besides` left out; null where none is. */
  async nextDue(besides) {
    const rows = await result(
      this.db.transaction("event").objectStore("event").index("due")
        .getAll(IDBKeyRange.bound([WAITING], [WAITING, []]), besides.size + 1),
    );
    return rows.find((row) => !besides.has(row.messageId))?.nextDue ?? null;
  }

  /** The sealed payload; null where it is gone. */
  async payload(messageId, withImage) {
    const store = this.db.transaction("payload").objectStore("payload");
    return (await result(store.get([messageId, withImage ? "full" : "text"]))) ?? null;
  }

  /** It is on its way for one more time; without a receipt it is due again at `nextDue`. */
  markSent(messageId, nextDue) {
    return this.update(messageId, (row) => ({ ...row, attempts: row.attempts + 1, nextDue }));
  }

  /** The broker didn't take it: it counts as not sent. */
  markRefused(messageId, nextDue) {
    return this.update(messageId, (row) => ({ ...row, nextDue }));
  }

  /** All waiting events are due now: after a new connection, or when a hindrance is gone. */
  async makeDue() {
    await this.change(async (stores) => {
      const rows = await result(stores.event.index("due").getAll(IDBKeyRange.bound([WAITING], [WAITING, []])));
      for (const row of rows) if (row.nextDue) stores.event.put({ ...row, nextDue: 0 });
    });
  }

  /** The box has an event. False, and nothing done, where the digest isn't the event's. */
  async receipt(messageId, digest, now) {
    const done = await this.update(messageId, (row) => row.state === WAITING && isOf(row, digest)
      && { ...row, state: RECEIPTED, nextDue: now });
    if (done) await this.change((stores) => add(stores.about, "receipted", 1));
    return done;
  }

  /** Move an event that the box will never take to the dead letters. False where the digest isn't the event's. */
  async reject(messageId, digest, reason, now) {
    const done = await this.update(messageId, (row) => row.state === WAITING && isOf(row, digest)
      && { ...row, state: DEAD, nextDue: now, reason });
    if (done) await this.dropOldest(DEAD, (await this.rows()).filter((row) => row.state === DEAD).length - DEAD_LETTERS_AT_MOST);
    return done;
  }

  /** Everything of this epoch from that sequence on is to be sent again, receipted or not; how many that is. */
  async resend(epoch, fromSequence) {
    if (epoch !== this.epoch) return 0;
    let count = 0;
    await this.change(async (stores) => {
      const rows = await result(stores.event.index("sequence").getAll(IDBKeyRange.lowerBound(fromSequence)));
      for (const row of rows) {
        if (row.state === DEAD) continue;
        count += 1;
        stores.event.put({ ...row, state: WAITING, nextDue: 0, attempts: 0 });
      }
    });
    return count;
  }

  /** Delete what the box has had for a day, and the oldest of it where there is much. */
  async forgetReceipted(now) {
    const rows = (await this.rows()).filter((row) => row.state === RECEIPTED).sort((one, other) => other.nextDue - one.nextDue);
    let size = 0;
    const gone = rows.filter((row) => {
      size += row.fullBytes + row.textBytes;
      return size > RECEIPTED_BYTES_AT_MOST || Math.abs(now - row.nextDue) > DAY;
    });
    await this.drop(gone);
  }

  /** The outbox's figures, named as the heartbeat names them. */
  async figures() {
    const rows = await this.rows();
    const waiting = rows.filter((row) => row.state === WAITING);
    const least = (values) => (values.length ? values.reduce((one, other) => Math.min(one, other)) : null);
    const oldest = least(waiting.map((row) => row.madeAt));
    return {
      queue_epoch: this.epoch,
      highest_sequence: await this.about("highest_sequence"),
      lowest_unreceipted: least(waiting.map((row) => row.sequence)),
      queue_depth: waiting.length,
      queue_bytes: waiting.reduce((sum, row) => sum + row.fullBytes + row.textBytes, 0),
      oldest_at: oldest === null ? null : new Date(oldest).toISOString(),
      dead_letters: rows.filter((row) => row.state === DEAD).length,
      images_dropped: await this.about("images_dropped"),
      disk_full: this.diskFull,
    };
  }

  // -- within

  rows() {
    return result(this.db.transaction("event").objectStore("event").getAll());
  }

  about(name) {
    return result(this.db.transaction("about").objectStore("about").get(name));
  }

  // strict: on the disk, not in a cache of the system, when it resolves
  async change(work) {
    const transaction = this.db.transaction(["about", "event", "payload"], "readwrite", { durability: "strict" });
    const stores = Object.fromEntries(["about", "event", "payload"].map((name) => [name, transaction.objectStore(name)]));
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new DOMException("aborted", "AbortError"));
    });
    done.catch(() => {});
    try {
      await work(stores);
    } catch (error) {
      if (!transaction.error) transaction.abort();
      throw transaction.error ?? error;
    }
    await done;
  }

  async update(messageId, amend) {
    let done = false;
    await this.change(async (stores) => {
      const row = await result(stores.event.get(messageId));
      const amended = row && row.state !== DEAD && amend(row);
      if (!amended) return;
      stores.event.put(amended);
      done = true;
    });
    return done;
  }

  // what can be done without goes first: what the box has, the dead letters' images, the oldest images; never text that waits
  async makeRoom(receiptedBytes, imageBytes) {
    const rows = (await this.rows()).sort((one, other) => one.sequence - other.sequence);
    const receipted = upTo(rows.filter((row) => row.state === RECEIPTED), receiptedBytes, (row) => row.fullBytes + row.textBytes);
    await this.drop(receipted.chosen);
    if (receipted.bytes >= imageBytes) return;
    const pictured = rows.filter((row) => row.fullBytes && row.state !== RECEIPTED);
    pictured.sort((one, other) => Number(other.state === DEAD) - Number(one.state === DEAD));
    const { chosen } = upTo(pictured, imageBytes - receipted.bytes, (row) => row.fullBytes);
    await this.change(async (stores) => {
      for (const row of chosen) {
        stores.payload.delete([row.messageId, "full"]);
        stores.event.put({ ...row, fullBytes: 0 }); // the digest stays: its receipt may still be on the way
      }
      if (chosen.length) await add(stores.about, "images_dropped", chosen.length);
    });
  }

  async dropOldest(state, count) {
    if (count <= 0) return;
    const rows = (await this.rows()).filter((row) => row.state === state).sort((one, other) => one.nextDue - other.nextDue);
    await this.drop(rows.slice(0, count));
    await this.change((stores) => add(stores.about, "dead_letters_dropped", count));
  }

  async drop(rows) {
    if (!rows.length) return;
    await this.change(async (stores) => {
      for (const { messageId } of rows) {
        stores.event.delete(messageId);
        stores.payload.delete([messageId, "full"]);
        stores.payload.delete([messageId, "text"]);
      }
    });
  }
}

function isOf(row, digest) {
  return digest === row.fullSha256 || digest === row.textSha256;
}

function upTo(rows, bytesWanted, size) {
  const chosen = [];
  let bytes = 0;
  for (const row of rows) {
    if (bytes >= bytesWanted) break;
    chosen.push(row);
    bytes += size(row);
  }
  return { chosen, bytes };
}

async function add(about, name, amount) {
  about.put((await result(about.get(name))) + amount, name);
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new DOMException("in use", "InvalidStateError"));
  });
}
