// The policy's words, and which of them a typed word may be: as written, in leetspeak, stretched, or one slip away.
//
// The same steps as agent/lexicon.py.

import { LEET, splitPlain, stripSigns } from "./normalise.js";

const SHORTEST_CORRECTED = 4;
const LONG = 6;
export const READINGS_AT_MOST = 8;
const REMEMBERED = 4096;
const ENDINGS = ["s", "es", "ed", "d", "ing", "er", "ers", "ly", "y"];
const HAS_LETTER = /\p{L}/u;
const HAS_DIGIT = /\p{Nd}/u;

/** The ordinary words in the text of common_words.txt. */
export function parseCommonWords(text) {
  return new Set(text.split("\n").filter((line) => !line.startsWith("#")).flatMap((line) => line.split(/\s+/)).filter(Boolean));
}

/** The words of one policy. Reading a word is remembered for the last few thousand. */
export class Lexicon {
  constructor(words, common) {
    this.words = new Set(words);
    this.common = common;
    this.longest = Math.max(0, ...Array.from(this.words, (word) => word.length));
    this.byDeletion = new Map();
    this.bySqueeze = new Map();
    for (const word of [...this.words].sort()) {
      add(this.bySqueeze, squeeze(word, 1), word);
      if (word.length < SHORTEST_CORRECTED) continue;
      for (const shorter of new Set([word, ...deletions(word)])) add(this.byDeletion, shorter, word);
    }
    this.spelt = remember((text) => this.findSpelt(text));
    this.corrected = remember((text) => firstFound(text, (reading) => this.matchSlip(reading)));
  }

  /** Whether `word` is ordinary English: in the list, or a word of the list with a plain ending. */
  isCommon(word) {
    if (this.common.has(word)) return true;
    for (const ending of ENDINGS) {
      if (!word.endsWith(ending)) continue;
      const stem = word.slice(0, -ending.length);
      if (stem.length > 2 && (this.common.has(stem) || this.common.has(stem + "e"))) return true;
      if (stem.length > 3 && stem.at(-1) === stem.at(-2) && this.common.has(stem.slice(0, -1))) return true;
    }
    return false;
  }

  /** The words a run holds: [[run, options], ...], options likeliest first and never empty. */
  read(run) {
    const core = stripSigns(run);
    // the signs at the edges may be letters ("$uicidal"), but that is asked before slips are forgiven
    for (const [candidate, find] of [[core, this.spelt], [run, this.spelt], [core, this.corrected]]) {
      const known = find(candidate.text);
      if (known.length) return [[candidate, known]];
    }
    return splitPlain(run).map((piece) => [piece, this.findKnown(piece.text)]);
  }

  findKnown(text) {
    for (const find of [this.spelt, this.corrected]) {
      const known = find(text);
      if (known.length) return known;
    }
    return unknown(text);
  }

  findSpelt(text) {
    if (this.words.has(text)) return [text];
    return firstFound(
      text,
      (reading) => (this.words.has(reading) ? [reading] : []),
      (reading) => this.matchStretched(reading),
    );
  }

  /** Words that `text` is when letters held down three times or more are let go ("killlll"). */
  matchStretched(text) {
    const typed = letterRuns(text);
    if (typed.every(([, length]) => length < 3)) return [];
    return (this.bySqueeze.get(squeeze(text, 1)) ?? []).filter((word) =>
      letterRuns(word).every(([, length], index) =>
        typed[index][1] < 3 ? length === typed[index][1] : length <= typed[index][1]));
  }

  /** Words that `text` is one slip away from. */
  matchSlip(text) {
    if (text.length < SHORTEST_CORRECTED || text.length > this.longest + 1) return [];
    if (HAS_DIGIT.test(text) || this.isCommon(text)) return [];
    const found = new Set();
    for (const shorter of new Set([text, ...deletions(text)])) {
      for (const word of this.byDeletion.get(shorter) ?? []) found.add(word);
    }
    return [...found].filter((word) => sameStart(text, word) && isOneSlip(text, word));
  }
}

function firstFound(text, ...matches) {
  if (!HAS_LETTER.test(text)) return [];
  const readings = readLeet(text);
  for (const match of matches) {
    const found = new Set(readings.flatMap(match));
    if (found.size) return [...found].slice(0, READINGS_AT_MOST);
  }
  return [];
}

/** What a word with digits and signs may spell, likeliest first, at most READINGS_AT_MOST; itself where none. */
export function readLeet(text) {
  const choices = Array.from(text, (character) => [...(LEET[character] ?? character)]);
  const readings = [];
  const chosen = choices.map(() => 0);
  while (readings.length < READINGS_AT_MOST) {
    readings.push(chosen.map((choice, index) => choices[index][choice]).join(""));
    let index = choices.length - 1; // the last letter turns fastest, like an odometer
    while (index >= 0 && chosen[index] === choices[index].length - 1) chosen[index--] = 0;
    if (index < 0) break;
    chosen[index] += 1;
  }
  return readings;
}

/** How a word the policy doesn't know stands in the letter stream, where a phrase may still run through it. */
function unknown(text) {
  const plain = HAS_LETTER.test(text) ? readLeet(text)[0] : text;
  if (letterRuns(plain).every(([, length]) => length < 3)) return [plain];
  return [squeeze(plain, 1, 3), squeeze(plain, 2, 3)];
}

function letterRuns(text) {
  const runs = [];
  for (const letter of text) {
    if (runs.length && runs.at(-1)[0] === letter) runs.at(-1)[1] += 1;
    else runs.push([letter, 1]);
  }
  return runs;
}

function squeeze(text, toLength, fromLength = 2) {
  return letterRuns(text).map(([letter, length]) => letter.repeat(length >= fromLength ? toLength : length)).join("");
}

function deletions(text) {
  return Array.from({ length: text.length }, (_, index) => text.slice(0, index) + text.slice(index + 1));
}

/** People rarely mistype a word's first letter, and "will" is not "kill": a short word must keep it. */
function sameStart(typed, word) {
  return word.length >= LONG || typed[0] === word[0] || typed.slice(0, 2) === word[1] + word[0];
}

/** Whether the two are at Damerau-Levenshtein distance 1 or less. */
function isOneSlip(typed, word) {
  if (typed === word) return true;
  if (typed.length > word.length) return deletions(typed).includes(word);
  if (typed.length < word.length) return deletions(word).includes(typed);
  // a sign left in the word, as in "k*ll", is one wrong letter like any other
  const wrong = [];
  for (let index = 0; index < typed.length; index += 1) if (typed[index] !== word[index]) wrong.push(index);
  if (wrong.length === 1) return true;
  return wrong.length === 2 && wrong[1] === wrong[0] + 1
    && typed[wrong[0]] === word[wrong[1]] && typed[wrong[1]] === word[wrong[0]];
}

function add(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

function remember(find) {
  const known = new Map();
  return (text) => {
    let found = known.get(text);
    if (found === undefined) {
      found = find(text);
      if (known.size >= REMEMBERED) known.delete(known.keys().next().value);
      known.set(text, found);
    }
    return found;
  };
}
