// What was typed in the last minutes. In memory only: chrome.storage.session is never written to disk, and outlives the
// worker, which the browser may stop at any time.

const CHARACTERS_AT_MOST = 20_000;

/** The last lines. Plain data goes in and out, so that it can be kept beside the worker. */
export class RollingContext {
  constructor(lines = []) {
    this.lines = lines; // [{key, text, at}], at in ms
  }

  /** Remember `text`. A later text of the same key (a control while it is being typed in) takes the place of the first. */
  add(key, text, at, minutes) {
    this.lines = this.lines.filter((line) => line.key !== key);
    if (text.trim()) this.lines.push({ key, text: text.slice(-CHARACTERS_AT_MOST), at });
    this.forget(at, minutes);
  }

  /** The lines of the last minutes up to `at`, oldest first, without that of `key`. */
  before(key, at, minutes) {
    this.forget(at, minutes);
    return this.lines.filter((line) => line.key !== key).map((line) => line.text);
  }

  forget(now, minutes) {
    // a clock set back leaves lines in the future; they are forgotten too
    this.lines = this.lines.filter((line) => Math.abs(now - line.at) <= minutes * 60_000);
    let size = this.lines.reduce((sum, line) => sum + line.text.length, 0);
    while (size > CHARACTERS_AT_MOST && this.lines.length > 1) size -= this.lines.shift().text.length;
  }
}
