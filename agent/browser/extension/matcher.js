// Which rules of the policy fire on a text. The same steps as agent/matcher.py; one table of cases runs against both.

import { Automaton } from "./automaton.js";
import { Lexicon, READINGS_AT_MOST, readLeet } from "./lexicon.js";
import { plainWords, splitRuns } from "./normalise.js";

const HAS_LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;
const IS_DIGIT = /^\p{Nd}$/u;
const IS_LETTER = /^\p{L}$/u;

/** The rules of one policy, ready to run. Makes one automaton; holds no text. */
export class Matcher {
  constructor(policy, common) {
    this.rules = policy.rules;
    const byLetters = new Map();
    const vocabulary = new Set();
    policy.rules.forEach((rule, index) => {
      for (const [wanted, texts] of [[false, rule.phrases], [true, rule.with_any]]) {
        for (const text of texts) {
          const words = plainWords(text);
          for (const word of words) vocabulary.add(word);
          const letters = words.join("");
          if (!byLetters.has(letters)) byLetters.set(letters, []);
          byLetters.get(letters).push({ rule: index, wanted, words, cuts: new Set(cuts(words)) });
        }
      }
    });
    this.automaton = new Automaton(byLetters);
    this.excluding = policy.rules.map((rule) => rule.unless_any.map(plainWords));
    // words of an exclusion are never "corrected" into words of a phrase
    this.lexicon = new Lexicon(vocabulary, new Set([...common, ...this.excluding.flat(2)]));
  }

  /** The rules that fire on `text`, in the policy's order, each {rule, phrase, start, end} with its first place. */
  find(text) {
    const runs = splitRuns(text).filter((run) => HAS_LETTER_OR_DIGIT.test(run.text));
    const words = this.read(runs, text);
    const finds = new Set();
    const seen = new Set();
    for (const stream of streams(words)) {
      for (const find of this.findIn(stream)) {
        const key = `${find.phrase.rule} ${find.phrase.wanted} ${find.phrase.words.join(" ")} ${find.first} ${find.last}`;
        if (seen.has(key)) continue;
        seen.add(key);
        finds.add(find);
      }
    }
    const hits = [];
    this.rules.forEach((rule, index) => {
      const mine = [...finds].filter((find) => find.phrase.rule === index);
      const wanted = mine.filter((find) => find.phrase.wanted);
      const candidates = mine.filter((find) => !find.phrase.wanted);
      candidates.sort((one, other) => one.first - other.first || other.last - one.last);
      for (const find of candidates) {
        if (rule.with_any.length && !wanted.some((other) => isNear(find, other, rule.within_words))) continue;
        if (this.isExcluded(find, index, words, runs)) continue;
        hits.push({ rule, phrase: find.phrase.words.join(" "), start: words[find.first].start, end: words[find.last].end });
        break;
      }
    });
    return hits;
  }

  read(runs, text) {
    const words = [];
    for (const run of runs) {
      for (const [piece, options] of this.lexicon.read(run)) {
        const last = piece.places.at(-1);
        words.push({ options, start: piece.places[0], end: last + (text.codePointAt(last) > 0xffff ? 2 : 1) });
      }
    }
    return readSpeltOut(words, runs);
  }

  /** The phrases in one way of reading the words, those whose spacing passes. */
  *findIn(stream) {
    const edges = [0];
    for (const word of stream) edges.push(edges.at(-1) + word.length);
    const atEdge = new Map(edges.map((edge, index) => [edge, index]));
    for (const [start, end, phrases] of this.automaton.find(stream.join(""))) {
      const first = atEdge.get(start);
      const after = atEdge.get(end);
      if (first === undefined || after === undefined) continue;
      const inner = new Set(edges.slice(first + 1, after).map((edge) => edge - start));
      for (const phrase of phrases) {
        if (sameSet(inner, phrase.cuts) || this.isRespaced(phrase, inner, stream.slice(first, after))) {
          yield { phrase, first, last: after - 1 };
        }
      }
    }
  }

  /** Whether a phrase with other spacing than the policy's is that phrase, and not other words by accident. */
  isRespaced(phrase, inner, pieces) {
    const length = phrase.words.join("").length;
    const marks = [0, ...[...inner].sort((one, other) => one - other), length];
    for (let index = 0; index + 1 < marks.length && index < pieces.length; index += 1) {
      const runsTogether = [...phrase.cuts].some((cut) => marks[index] < cut && cut < marks[index + 1]);
      if (runsTogether && this.lexicon.isCommon(pieces[index])) return false;
    }
    let exact = 0;
    const broken = [];
    const bounds = [0, ...[...phrase.cuts].sort((one, other) => one - other), length];
    for (let index = 0; index + 1 < bounds.length; index += 1) {
      const [start, end] = [bounds[index], bounds[index + 1]];
      if ([...inner].some((mark) => start < mark && mark < end)) {
        const low = marks.findLastIndex((mark) => mark <= start);
        const high = marks.findIndex((mark) => mark >= end);
        broken.push(pieces.slice(low, high));
      } else if (marks.includes(start) && marks.includes(end)) {
        exact += 1;
      }
    }
    return broken.every((parts) => this.isBrokenWord(parts, exact));
  }

  /** Whether the parts of one broken word belong together. exact: words of the phrase that stand whole. */
  isBrokenWord(parts, exact) {
    if (parts.every((part) => part.length === 1)) return parts.length > 2;
    if (!parts.every((part) => this.lexicon.isCommon(part))) return true;
    return exact > 0 && !parts.some((part) => part === "a" || part === "i");
  }

  /** Whether an unless_any phrase, exactly as the policy writes it, stands near or across the find. */
  isExcluded(find, rule, words, runs) {
    if (!this.excluding[rule].length) return false;
    const plain = runs.map((run) => plainWords(run.text).join(""));
    const first = runs.findLastIndex((run) => run.places[0] <= words[find.first].start);
    const last = runs.findLastIndex((run) => run.places[0] <= words[find.last].start);
    const reach = this.rules[rule].within_words;
    const near = plain.slice(Math.max(0, first - reach), last + reach + 1);
    return this.excluding[rule].some((phrase) =>
      near.some((_, place) => place + phrase.length <= near.length
        && phrase.every((word, index) => near[place + index] === word)));
  }
}

function* cuts(words) {
  let place = 0;
  for (const word of words.slice(0, -1)) {
    place += word.length;
    yield place;
  }
}

/** The ways to read the words: each at its likeliest, then one doubtful word at a time read otherwise. */
function* streams(words) {
  const likeliest = words.map((word) => word.options[0]);
  yield likeliest;
  let count = 0;
  for (let index = 0; index < words.length; index += 1) {
    for (const option of words[index].options.slice(1)) {
      if (count >= READINGS_AT_MOST * 4) return;
      count += 1;
      yield likeliest.with(index, option);
    }
  }
}

/** The words, with digits among letters that stand alone read as letters: "k 1 l l" is "k i l l". */
function readSpeltOut(words, runs) {
  if (words.length < 3 || runs.every((run) => run.text.length > 1)) return words;
  return words.map((word, index) => {
    if (!IS_DIGIT.test(word.options[0])) return word;
    const beside = words.slice(Math.max(0, index - 2), index + 3);
    const letters = beside.filter((other) => IS_LETTER.test(other.options[0]));
    return letters.length > 1 ? { ...word, options: readLeet(word.options[0]) } : word;
  });
}

/** Whether the two stand apart by at most `within` words, without sharing one. */
function isNear(find, other, within) {
  if (other.first > find.last) return other.first - find.last <= within;
  if (other.last < find.first) return find.first - other.last <= within;
  return false;
}

function sameSet(one, other) {
  return one.size === other.size && [...one].every((item) => other.has(item));
}
