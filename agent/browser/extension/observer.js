// From text that was typed to a sealed event on disk: read it or leave it alone, match, capture, seal, keep.

import { capture } from "./capture.js";
import { RollingContext } from "./context.js";
import { buildEventMessage, makeMessageId } from "./message.js";
import { plainWords } from "./normalise.js";
import { OutboxFullError } from "./outbox.js";
import { excludes, isMonitored } from "./policy.js";
import { plainAddress, searchIn } from "./sites.js";

export const HELP = "pupil-help";
/** Events at most in that many ms; a page that makes a rule fire without end must not fill the box. As agent/limiter.py. */
const EVENTS_AT_MOST = 12;
const EVENTS_WITHIN = 60_000;
/** ms for which the same words aren't told again, nor as the search, the title or the reply that came of them. */
const ECHO = 120_000;
const CONTROLS_AT_MOST = 300;

export class Observer {
  /** kept: what an earlier worker left in memory. keep(state): put it there. */
  constructor({ policy, matcher, sites, identity, boxKey, outbox, application, account, kept, keep, wake, say }) {
    Object.assign(this, { policy, matcher, sites, identity, boxKey, outbox, application, account, keep, wake, say });
    this.context = new RollingContext(kept?.context ?? []);
    this.reported = new Map(kept?.reported ?? []); // control -> {episode, rules}
    this.recent = kept?.recent ?? []; // [{tab, rule, phrase, words, at}]
    this.heldBack = kept?.heldBack ?? 0;
  }

  /** Whether this place is read now. addresses: of the tab and of the frame. */
  reads(addresses, now) {
    return isMonitored(this.policy, now) && !addresses.some((address) => address && this.isExcluded(address));
  }

  isExcluded(address) {
    return excludes(this.policy, this.application, address);
  }

  /** Text in a control. source: {tab, frameId, addresses}; message as the content script sends it. */
  async typed(source, message, now) {
    const control = `${source.tab.id}/${source.frameId}/${message.control}`;
    const hits = this.take(source, `${control}/${message.episode}`, message.text, now);
    const known = this.reported.get(control);
    // a rule is told once of a text that grows; again when the words were gone in between
    const told = known?.episode === message.episode ? known.rules : [];
    const fresh = hits.filter((hit) => !told.includes(hit.rule.id));
    this.remember(control, { episode: message.episode, rules: hits.map((hit) => hit.rule.id) });
    await this.report(source, fresh[0], `${control}/${message.episode}`, message.text, now);
  }

  /** A chat's reply: context for what is typed next, and matched itself. */
  async reply(source, message, now) {
    const key = `${source.tab.id}/${source.frameId}/${message.control}`;
    await this.echo(source, key, `Reply: ${message.text}`, now);
  }

  /** A page came up: what was searched for, and its title. */
  async page(source, { address, title }, now) {
    const query = address && searchIn(this.sites, address);
    if (query) await this.echo(source, `${source.tab.id}/search/${query}`, query, now);
    if (title) await this.echo(source, null, title, now);
  }

  async echo(source, key, text, now) {
    const hits = this.take(source, key, text, now);
    this.recent = this.recent.filter((one) => Math.abs(now - one.at) < ECHO);
    const fresh = hits.filter((hit) => !this.recent.some((one) =>
      one.tab === source.tab.id && one.rule === hit.rule.id && one.phrase === hit.phrase));
    await this.report(source, fresh[0], key, text, now);
  }

  take(source, key, text, now) {
    if (!this.reads(source.addresses, now)) return [];
    if (key) this.context.add(key, text, now, this.policy.contextMinutes);
    return this.matcher.find(text);
  }

  async report(source, hit, key, text, now) {
    if (!hit) return this.save();
    this.recent = this.recent.filter((one) => Math.abs(now - one.at) < ECHO);
    const words = plainWords(text).join(" ");
    const isSame = this.recent.some((one) => one.rule === hit.rule.id && one.words === words);
    if (isSame || this.recent.filter((one) => Math.abs(now - one.at) < EVENTS_WITHIN).length >= EVENTS_AT_MOST) {
      this.heldBack += 1;
      return this.save();
    }
    this.recent.push({ tab: source.tab.id, rule: hit.rule.id, phrase: hit.phrase, words, at: now });
    const context = this.context.before(key, now, this.policy.contextMinutes);
    const [image] = await Promise.all([this.takeImage(source.tab), this.save()]);
    return this.put({
      occurredAt: now,
      account: this.account,
      ruleId: hit.rule.id,
      trigger: text.slice(hit.start, hit.end),
      application: this.application,
      windowTitle: source.tab.title ?? "",
      address: plainAddress(source.tab.url),
      typed: text,
      context,
    }, image, now);
  }

  /** The pupil's own report; at any time and place. tab: what is in front, if the pupil wants it to be seen. */
  async help(text, tab, now) {
    const seen = tab && !this.isExcluded(tab.url ?? "") ? tab : null;
    const image = seen ? await this.takeImage(seen, true) : null;
    await this.put({
      occurredAt: now, account: this.account, ruleId: HELP, trigger: "", application: this.application,
      windowTitle: seen?.title ?? "", address: plainAddress(seen?.url ?? ""), typed: text, context: [],
    }, image, now);
    return { image: Boolean(image) };
  }

  async takeImage(tab, wanted = this.policy.screenshot) {
    if (!wanted || !tab.active) return null;
    try {
      return await capture(tab, (address) => this.isExcluded(address));
    } catch (error) {
      this.say(`no image: ${error.message}`);
      return null;
    }
  }

  async put(report, image, now) {
    const messageId = makeMessageId(now, crypto.getRandomValues(new Uint8Array(10)));
    const build = (sequence, queueEpoch) => buildEventMessage(report, image, {
      messageId, deviceId: this.identity.deviceId, sequence, queueEpoch, boxKey: this.boxKey,
    });
    try {
      const sequence = await this.outbox.put(build, now);
      this.say(`rule ${report.ruleId} fired; event ${sequence} queued`);
    } catch (error) {
      if (!(error instanceof OutboxFullError)) throw error;
      this.say(`rule ${report.ruleId} fired; LOST: ${error.message}`);
    }
    this.wake();
  }

  remember(control, state) {
    this.reported.delete(control);
    this.reported.set(control, state);
    if (this.reported.size > CONTROLS_AT_MOST) this.reported.delete(this.reported.keys().next().value);
  }

  save() {
    return this.keep({
      context: this.context.lines, reported: [...this.reported], recent: this.recent, heldBack: this.heldBack,
    });
  }
}
