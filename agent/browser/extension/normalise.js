// Text as a person typed it, made plain: case, accents, look-alike letters and invisible characters removed.
//
// The same steps as agent/normalise.py; tests/agent/matcher_cases.json holds both to them. Places are indices into the
// JavaScript string (UTF-16 units), so that a hit can be cut out of the text it was found in.

export const SYMBOLS = "@$!|+*";

export const LEET = {
  0: "o", 1: "il", 3: "e", 4: "a", 5: "s", 7: "t", 8: "b", 9: "g",
  "@": "a", $: "s", "!": "il", "|": "il", "+": "t",
};

// Cyrillic, Greek, and what else is drawn like a Latin letter or an apostrophe
const LOOK_ALIKES = new Map([
  ...pairs("авекмнорстухіјѕԁԛԝ", "abekmhopctyxijsdqw"),
  ...pairs("αβεικμνορτυχ", "abeikmvoptux"),
  ["\u0131", "i"], ["ł", "l"], ["ø", "o"], ["đ", "d"], ["ß", "ss"], ["æ", "ae"], ["œ", "oe"],
  ["\u2019", "'"], ["\u2018", "'"], ["\u02bc", "'"], ["`", "'"], ["\u00b4", "'"],
]);
const LETTER = "[\\p{L}\\p{N}@$!|+*]";
const RUN = new RegExp(`${LETTER}+(?:'${LETTER}+)*`, "gu");
const PIECE = /[^@$!|+*]+/g;
const INVISIBLE = /\p{Cf}/u;
// eslint-disable-next-line no-control-regex
const ASCII = /^[\x00-\x7f]*$/;

function pairs(from, to) {
  return [...from].map((letter, index) => [letter, [...to][index]]);
}

function translate(text) {
  let plain = "";
  for (const letter of text) plain += LOOK_ALIKES.get(letter) ?? letter;
  return plain;
}

const combining = new Map();

// Whether the canonical combining class isn't 0. JavaScript doesn't tell the class, but normalising puts marks in the
// order of their classes: a mark moves before one of class 240, or after one of class 1.
function isCombining(letter) {
  if (letter < "\u0300") return false;
  let known = combining.get(letter);
  if (known === undefined) {
    known = !("\u0345" + letter).normalize("NFD").startsWith("\u0345")
      || (letter + "\u0334").normalize("NFD").startsWith("\u0334");
    combining.set(letter, known);
  }
  return known;
}

/** Lower case without accents, look-alikes or invisible characters, and each unit's index in `text`. */
export function fold(text) {
  if (ASCII.test(text)) {
    return { folded: text.toLowerCase().replaceAll("`", "'"), places: Array.from(text, (_, index) => index) };
  }
  let folded = "";
  const places = [];
  let place = 0;
  for (const character of text) {
    if (!INVISIBLE.test(character)) {
      // translated before as well as after: NFKD would turn a spacing acute into a space
      for (const letter of translate(translate(character).normalize("NFKD").toLowerCase())) {
        if (isCombining(letter)) continue;
        folded += letter;
        for (let unit = 0; unit < letter.length; unit += 1) places.push(place);
      }
    }
    place += character.length;
  }
  return { folded, places };
}

/** The runs of `text` in order: {text, places}. Apostrophes inside a run are dropped: "don't" reads "dont". */
export function splitRuns(text) {
  const { folded, places } = fold(text);
  const runs = [];
  for (const match of folded.matchAll(RUN)) {
    const run = { text: "", places: [] };
    for (let index = match.index; index < match.index + match[0].length; index += 1) {
      if (folded[index] === "'") continue;
      run.text += folded[index];
      run.places.push(places[index]);
    }
    runs.push(run);
  }
  return runs;
}

function cut(run, start, end) {
  return { text: run.text.slice(start, end), places: run.places.slice(start, end) };
}

/** The letter-and-digit pieces of a run: its signs taken as punctuation. */
export function splitPlain(run) {
  return [...run.text.matchAll(PIECE)].map((match) => cut(run, match.index, match.index + match[0].length));
}

/** The words of a policy's phrase: "Can't go on!" is ["cant", "go", "on"]. */
export function plainWords(phrase) {
  return splitRuns(phrase).flatMap((run) => splitPlain(run).map((piece) => piece.text));
}

/** The run without the signs at its edges: "kill!!" is "kill". */
export function stripSigns(run) {
  let start = 0;
  let end = run.text.length;
  while (start < end && SYMBOLS.includes(run.text[start])) start += 1;
  while (end > start && SYMBOLS.includes(run.text[end - 1])) end -= 1;
  return cut(run, start, end);
}
