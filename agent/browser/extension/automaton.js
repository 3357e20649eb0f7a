// Aho-Corasick: all of many words in one pass over a text.

export class Automaton {
  /** words: Map from a word to whatever stands for it. */
  constructor(words) {
    this.next = new Map(); // state * 65536 + code unit -> state
    this.values = [null];
    for (const [word, value] of words) {
      let state = 0;
      for (let index = 0; index < word.length; index += 1) {
        const step = state * 65536 + word.charCodeAt(index);
        let following = this.next.get(step);
        if (following === undefined) {
          following = this.values.push(null) - 1;
          this.next.set(step, following);
        }
        state = following;
      }
      this.values[state] = { length: word.length, value };
    }
    this.link();
  }

  // breadth first: a state's fallback is always shorter, so it is finished before it is needed
  link() {
    const children = Array.from(this.values, () => []);
    for (const [step, state] of this.next) children[Math.floor(step / 65536)].push([step % 65536, state]);
    this.fallback = new Int32Array(this.values.length);
    this.shorter = new Int32Array(this.values.length); // the next state with a word on the way of fallbacks, 0 where none
    const waiting = [0];
    for (let place = 0; place < waiting.length; place += 1) {
      const parent = waiting[place];
      for (const [code, state] of children[parent]) {
        waiting.push(state);
        if (parent === 0) continue;
        const back = this.step(this.fallback[parent], code);
        this.fallback[state] = back;
        this.shorter[state] = this.values[back] ? back : this.shorter[back];
      }
    }
  }

  step(from, code) {
    let state = from;
    for (;;) {
      const following = this.next.get(state * 65536 + code);
      if (following !== undefined) return following;
      if (state === 0) return 0;
      state = this.fallback[state];
    }
  }

  /** The words in `text`, as [start, end, value], in the order of their ends and the longest first. */
  *find(text) {
    let state = 0;
    for (let index = 0; index < text.length; index += 1) {
      state = this.step(state, text.charCodeAt(index));
      for (let at = this.values[state] ? state : this.shorter[state]; at; at = this.shorter[at]) {
        const { length, value } = this.values[at];
        yield [index + 1 - length, index + 1, value];
      }
    }
  }
}
