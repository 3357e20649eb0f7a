// Sends what the outbox holds, and lets go only of what the box itself says it has stored: the broker's acknowledgement
// is not the box's word.
//
// All that must outlive the worker is in the outbox; a worker that starts anew connects anew.

import { buildHeartbeat, parseCommand, parseReceipt, topics } from "./message.js";
import { MqttConnection } from "./mqtt.js";

// seconds; the same meanings as in agent/publisher.py
export const PACE = {
  window: 20, receiptWait: 30, resendAtMost: 900, acknowledgeWait: 120, hold: 2, holdAtMost: 120, reconnect: 30,
  reconnectAtMost: 120, firstReconnect: 5, heartbeatEvery: 60,
};
const HINDRANCES = {
  0x10: "the box isn't taking events",
  0x87: "the box doesn't allow this device to send",
  0x97: "the box has no room",
};

export class Publisher {
  /**
   * identity: {deviceId, token, wss}. about(): the fields of a heartbeat that aren't the outbox's. onPolicy(payload),
   * onChange(): told of what happens. say(line): for the developer's console, never pupils' words. later: when an
   * earlier worker meant to try again, as it was given to keepLater; null where it was connected.
   */
  constructor(identity, outbox, { about, onPolicy, onChange, say, later, keepLater, pace = PACE }) {
    Object.assign(this, { identity, outbox, about, onPolicy, onChange, say, keepLater, pace });
    this.connection = null;
    this.failures = later?.failures ?? 0;
    this.turnedAway = later?.turnedAway ?? false;
    this.connectAt = later ? performance.now() + Math.min(later.at - Date.now(), pace.reconnectAtMost * 1000) : 0;
    this.running = Promise.resolve();
    this.forget();
  }

  forget() {
    this.ready = false;
    this.limits = null;
    this.flights = new Map(); // messageId -> {id, giveUpAt, acknowledged}
    this.byId = new Map(); // packet id -> messageId
    this.holds = 0;
    this.holdUntil = 0;
    this.beatAt = 0;
  }

  /** Something is new, or time has passed. One round at a time; resolves when it is done. */
  wake() {
    this.running = this.running.then(() => this.round()).catch((error) => this.say(`trouble: ${error.name} ${error.message}`));
    return this.running;
  }

  /** Connect now, whatever was planned: the browser is online again, or a person asks. */
  hurry() {
    this.connectAt = 0;
    return this.wake();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.connection?.close();
  }

  async round() {
    if (this.stopped) return;
    if (!this.connection && performance.now() >= this.connectAt) this.connect();
    this.giveUpWaiting();
    if (this.ready) {
      await this.beat();
      await this.sendDue();
    }
    await this.plan();
  }

  // one timer for whatever comes next; the 30 s alarm is there for when the worker is stopped in between
  async plan() {
    clearTimeout(this.timer);
    if (this.stopped) return;
    const now = performance.now();
    const times = [now + 30_000];
    if (!this.connection) times.push(this.connectAt);
    if (this.ready) {
      times.push(this.beatAt, ...Array.from(this.flights.values(), (flight) => flight.giveUpAt));
      const due = await this.outbox.nextDue(this.keys());
      if (due !== null && this.room() > 0) times.push(Math.max(now + due - Date.now(), this.holdUntil));
      else if (this.holds) times.push(this.holdUntil);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.wake(), Math.max(50, Math.min(...times) - now));
  }

  // -- the connection

  connect() {
    this.forget();
    const { deviceId, token, wss } = this.identity;
    const mine = (act) => (...values) => {
      if (this.connection === connection) act(...values);
    };
    let connection = null;
    try {
      connection = new MqttConnection(wss, {
        clientId: deviceId,
        username: deviceId,
        password: token,
        subscriptions: [topics.receipt(deviceId), topics.policy(deviceId), topics.command(deviceId)],
      }, {
        onReady: mine((limits) => this.onReady(limits)),
        onLost: mine((reason) => this.onLost(reason)),
        onAcknowledged: mine((id, code) => this.later(() => this.onAcknowledged(id, code))),
        onMessage: mine((topic, payload) => this.later(() => this.onMessage(topic, payload))),
      });
      this.connection = connection;
    } catch (error) {
      this.onLost(error.message);
    }
  }

  // what happens waits for the round that runs: an acknowledgement may come before publish() has been noted
  later(act) {
    this.running = this.running.then(act).catch((error) => this.say(`trouble: ${error.name} ${error.message}`));
    this.wake();
  }

  onReady(limits) {
    this.ready = true;
    this.failures = 0;
    this.turnedAway = false;
    this.limits = limits;
    this.keepLater(null);
    this.say("connected to the box");
    this.onChange();
    this.later(() => this.outbox.makeDue());
  }

  onLost(reason) {
    const wasReady = this.ready;
    // 134 bad user name or password, 135 not authorised: the box has taken this device's rights away
    this.turnedAway = /code 13[45]\)/.test(reason);
    this.connection = null;
    this.forget();
    this.failures += 1;
    // at random over a growing span: when a box comes back, a whole school does
    const first = this.failures === 1 && !wasReady; // one that failed by itself: no school loses its box by that
    const span = first ? this.pace.firstReconnect : this.pace.reconnect * 2 ** Math.min(20, this.failures - 1);
    const wait = 1 + Math.random() * (Math.min(this.pace.reconnectAtMost, span) - 1);
    this.connectAt = performance.now() + wait * 1000;
    this.keepLater({ failures: this.failures, turnedAway: this.turnedAway, at: Date.now() + wait * 1000 });
    if (!this.stopped) this.say(`no connection to the box (${reason}); next try in ${Math.round(wait)} s`);
    if (wasReady) this.onChange();
    this.wake();
  }

  // -- what comes

  async onAcknowledged(id, code) {
    const messageId = this.byId.get(id);
    this.byId.delete(id);
    const flight = messageId && this.flights.get(messageId);
    if (code === 0) {
      if (flight) Object.assign(flight, { acknowledged: true, giveUpAt: performance.now() + this.pace.receiptWait * 1000 });
      if (this.holds && messageId) {
        this.holds = 0;
        this.holdUntil = 0;
        await this.outbox.makeDue();
      }
      return;
    }
    if (!flight) return;
    this.flights.delete(messageId);
    const hindrance = HINDRANCES[code];
    if (!hindrance || !this.holds) this.say(`not sent: ${hindrance ?? "the broker refused an event"} (code ${code})`);
    const wait = hindrance ? this.holdOn() : jitter(this.pace.resendAtMost * 1000);
    await this.outbox.markRefused(messageId, Date.now() + wait);
  }

  // lengthen the hold; a window full of refusals counts as one
  holdOn() {
    const now = performance.now();
    if (now >= this.holdUntil) {
      const longer = Math.min(this.pace.hold * 2 ** Math.min(this.holds, 20), this.pace.holdAtMost);
      this.holdUntil = now + jitter(longer * 1000);
      this.holds += 1;
    }
    return this.holdUntil - now;
  }

  async onMessage(topic, payload) {
    const { deviceId } = this.identity;
    if (topic === topics.receipt(deviceId)) await this.onReceipt(parseReceipt(payload));
    else if (topic === topics.policy(deviceId)) await this.onPolicy(payload);
    else if (topic === topics.command(deviceId)) await this.onCommand(parseCommand(payload));
  }

  async onReceipt(receipt) {
    if (!receipt) return this.say("receipt ignored: it can't be read");
    const { message_id: messageId, sha256, status, reason } = receipt;
    const settled = status === "rejected"
      ? await this.outbox.reject(messageId, sha256, reason ?? "", Date.now())
      : await this.outbox.receipt(messageId, sha256, Date.now());
    if (!settled) return this.say("receipt ignored: not for an event that waits here, or with another digest");
    const flight = this.flights.get(messageId);
    if (flight) this.byId.delete(flight.id);
    this.flights.delete(messageId);
    this.say(`receipt: ${status}`);
    return this.onChange();
  }

  async onCommand(command) {
    if (command?.command === "resend" && Number.isInteger(command.from_sequence)) {
      const count = await this.outbox.resend(command.queue_epoch, command.from_sequence);
      this.say(`the box asks for events again: ${count} from ${command.from_sequence}`);
    } else {
      this.say("a command that isn't known here was ignored");
    }
  }

  // -- sending

  keys() {
    return new Set(this.flights.keys());
  }

  room() {
    const window = Math.min(this.pace.window, this.limits?.unacknowledgedAtMost ?? this.pace.window);
    if (!this.holds) return window - this.flights.size;
    // while a hindrance lasts, one event at a time tries whether it is gone
    return performance.now() < this.holdUntil || this.byId.size ? 0 : 1;
  }

  async sendDue() {
    const room = this.room();
    if (room <= 0) return;
    for (const row of await this.outbox.due(Date.now(), room, this.keys())) {
      if (!this.ready) return;
      await this.send(row);
    }
  }

  async send(row) {
    const topic = topics.event(this.identity.deviceId);
    const fits = (size) => !this.limits.packetAtMost || size + MqttConnection.overhead(topic) <= this.limits.packetAtMost;
    const withImage = row.fullBytes > 0 && fits(row.fullBytes);
    const payload = await this.outbox.payload(row.messageId, withImage);
    if (!payload || !this.ready) return; // dropped, or disconnected, a moment ago
    if (!fits(payload.length)) {
      this.say(`event ${row.sequence} is held: larger than the box takes`);
      await this.outbox.markRefused(row.messageId, Date.now() + this.pace.resendAtMost * 1000);
      return;
    }
    const patience = Math.min(this.pace.receiptWait * 2 ** Math.min(row.attempts, 20), this.pace.resendAtMost);
    await this.outbox.markSent(row.messageId, Date.now() + jitter(patience * 1000));
    const id = this.connection?.publish(topic, payload, { properties: [["message-id", row.messageId]] });
    if (!id) return;
    this.byId.set(id, row.messageId);
    this.flights.set(row.messageId, { id, acknowledged: false, giveUpAt: performance.now() + this.pace.acknowledgeWait * 1000 });
  }

  // let go of events whose receipt didn't come: each is due again at the time written when it was sent
  giveUpWaiting() {
    const now = performance.now();
    for (const [messageId, flight] of this.flights) {
      if (flight.giveUpAt > now) continue;
      if (!flight.acknowledged) {
        this.connection?.lose("the box acknowledges nothing");
        return;
      }
      this.flights.delete(messageId);
    }
  }

  async beat() {
    if (performance.now() < this.beatAt) return;
    this.beatAt = performance.now() + this.pace.heartbeatEvery * 1000;
    await this.outbox.forgetReceipted(Date.now());
    const beat = buildHeartbeat(await this.outbox.figures(), { deviceId: this.identity.deviceId, ...(await this.about()) }, Date.now());
    this.connection?.publish(topics.heartbeat(this.identity.deviceId), beat, { qos: 0 });
  }

  /** Tell the box how it stands at the next chance, not at the next minute. */
  beatSoon() {
    this.beatAt = 0;
    return this.wake();
  }
}

function jitter(milliseconds) {
  return milliseconds * (0.8 + Math.random() * 0.4);
}
