// In every frame of every page: what is typed goes to the worker, except what is protected. Nothing is kept here beyond
// the control's text, and nothing of the page is changed.
(() => {
  "use strict";
  // after an update of the extension this file comes into pages that have an older one: that one is deaf by then
  if (globalThis.trustkeepContent?.alive()) return;

  const PAUSE = 1_500; // ms without a key, after which what was typed is read
  const AT_MOST = 6_000; // ms after which it is read although typing goes on
  const BEFORE = 800; // characters before and after the caret that are read
  const AFTER = 200;
  const LONG = 5_000; // characters of an editable element from which it is a document
  const REPLY_SETTLED = 2_000;
  const REPLY_AT_MOST = 4_000;
  const SECRETS_AT_MOST = 20;
  const SHORTEST_SECRET = 4;

  const PROTECTED_AUTOCOMPLETE = /(^|\s)(cc-\S+|current-password|new-password|one-time-code|webauthn)(\s|$)/i;
  // as agent/protection.py
  const PROTECTED_NAME = new RegExp(
    "pass\\s*-?(?:word|code|phrase|key)|\\bpwd\\b|\\bpin\\b|\\bcvc\\d?\\b|\\bcvv\\d?\\b|\\bcsc\\b|card\\s*(?:number|num\\b|no\\b|holder)"
    + "|cardnumber|security\\s*code|sort\\s*code|account\\s*(?:number|no\\b)|\\biban\\b|one[\\s-]*time|\\botp\\b|verification\\s*code"
    + "|\\bexpir(?:y|ation)\\b|\\bcc\\b|credit\\s*card|debit\\s*card|\\bsecret\\b|cyfrinair",
    "i");
  const TEXT_TYPES = new Set(["text", "search", "email", "url", "tel", "number", "password", ""]);

  const protectedEver = new WeakSet();
  const secrets = new Set(); // what protected fields held: a field that shows the same is the same field in other clothes
  const controls = new WeakMap();
  const frames = new WeakMap(); // frame element -> the number it was handed
  const roots = new WeakSet();
  const looked = new WeakSet();
  const replies = new WeakMap();
  const deaf = new AbortController();
  let sites = { silent: true, reply: [], keys: false };
  let told = false; // whether the worker has said what may be read here
  const early = new Set(); // controls typed into before that
  let ownNumber = null;
  let observer = null;

  // pages over plain HTTP have no crypto.randomUUID
  const randomId = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
  const alive = () => Boolean(globalThis.chrome?.runtime?.id);
  globalThis.trustkeepContent = { alive };

  function send(message) {
    if (!alive()) return leave();
    return chrome.runtime.sendMessage(message).catch(() => undefined);
  }

  function leave() {
    deaf.abort();
    observer?.disconnect();
  }

  function listen(name, act) {
    // before the page: a chat empties its box when Enter is pressed
    window.addEventListener(name, (event) => (alive() ? act(event) : leave()), { capture: true, passive: true, signal: deaf.signal });
  }

  // -- which controls are read

  function isProtected(element) {
    if (protectedEver.has(element)) return true;
    const found = isMarkedProtected(element)
      || isNamedProtected(element)
      || !["none", ""].includes(getComputedStyle(element).webkitTextSecurity ?? "none")
      || holdsSecret(element);
    if (found) protectedEver.add(element);
    return found;
  }

  /** The quick part, asked of every field that comes up: nothing that makes the browser work out the page's looks. */
  function isMarkedProtected(element) {
    return (element.localName === "input" && element.type === "password")
      || PROTECTED_AUTOCOMPLETE.test(element.getAttribute("autocomplete") ?? "");
  }

  /** Whether what an input says of itself, or is labelled with, speaks of something secret. */
  function isNamedProtected(element) {
    if (element.localName !== "input") return false;
    const words = ["name", "id", "aria-label", "placeholder", "title"].map((name) => element.getAttribute(name) ?? "");
    for (const label of element.labels ?? []) words.push(label.textContent);
    for (const id of (element.getAttribute("aria-labelledby") ?? "").split(/\s+/)) {
      if (id) words.push(element.getRootNode().getElementById?.(id)?.textContent ?? "");
    }
    return words.some((name) => PROTECTED_NAME.test(name.replace(/[_-]+/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2")));
  }

  function holdsSecret(element) {
    if (!secrets.size) return false;
    const value = element.value ?? element.textContent;
    return [...secrets].some((secret) => value.includes(secret));
  }

  function keepSecret(element) {
    const value = element.value ?? "";
    if (value.length < SHORTEST_SECRET) return;
    secrets.add(value);
    if (secrets.size > SECRETS_AT_MOST) secrets.delete(secrets.values().next().value);
  }

  /** The control in which an event happened: an input, a textarea, or the outermost editable element; null if unknown. */
  function controlOf(event) {
    return innermost(event.composedPath()[0]);
  }

  function innermost(start) {
    let element = start;
    // the inside of a closed shadow root is not in an event's path
    while (element instanceof HTMLElement && !isBox(element)) {
      const root = chrome.dom?.openOrClosedShadowRoot(element);
      if (!root?.activeElement) break;
      watch(root);
      element = root.activeElement;
    }
    if (!(element instanceof Element)) element = element?.parentElement;
    if (!element) return null;
    if (element.localName === "textarea") return element;
    if (element.localName === "input") return TEXT_TYPES.has(element.type) ? element : null;
    if (!element.isContentEditable) return null;
    while (element.parentElement?.isContentEditable) element = element.parentElement;
    return element;
  }

  const isBox = (element) => element.localName === "input" || element.localName === "textarea";

  /** What is read of a control: its text, of a long one the part around the caret. */
  function textOf(element) {
    if (sites.keys && controls.get(element)?.keys) return controls.get(element).keys;
    const text = isBox(element) ? element.value : element.innerText;
    if (text.length <= BEFORE + AFTER) return text;
    const caret = isBox(element) ? element.selectionEnd ?? text.length : caretIn(element, text);
    return text.slice(Math.max(0, caret - BEFORE), caret + AFTER);
  }

  function caretIn(element, text) {
    const selection = element.getRootNode().getSelection?.() ?? document.getSelection();
    if (!selection?.rangeCount || !element.contains(selection.focusNode)) return text.length;
    const range = document.createRange();
    range.selectNodeContents(element);
    range.setEnd(selection.focusNode, selection.focusOffset);
    return Math.min(text.length, range.toString().length + (text.match(/\n/g)?.length ?? 0));
  }

  // -- typing

  function stateOf(element) {
    let state = controls.get(element);
    if (!state) {
      state = { id: randomId(), episode: 0, text: "", sent: "", keys: "", timer: 0, since: 0, stale: false, finished: false };
      controls.set(element, state);
    }
    return state;
  }

  function onInput(event) {
    // only a person's own input: a page could write words into a box that nobody typed
    if (!event.isTrusted) return;
    const element = controlOf(event);
    if (!element) return;
    if (isProtected(element)) return keepSecret(element);
    if (!told) return hold(element);
    if (!sites.silent) touch(element);
  }

  /** Something was typed before the worker has said what may be read: it is looked at when it has. */
  function hold(element) {
    early.add(element);
    hello();
  }

  /** Something was typed in a control: note its text, and have it read when the typing pauses. */
  function touch(element) {
    const state = stateOf(element);
    // a long document is laid out once a pause and not once a key; a page that empties its box empties a short one
    state.stale = !isBox(element) && element.textContent.length > LONG;
    if (!state.stale) note(state, textOf(element));
    clearTimeout(state.timer);
    state.since ||= performance.now();
    const wait = Math.min(PAUSE, Math.max(0, state.since + AT_MOST - performance.now()));
    state.timer = setTimeout(() => flush(element, false), wait);
  }

  function note(state, text) {
    if (text.length < state.text.length / 2) state.episode += 1; // emptied, and begun again
    state.text = text;
    state.stale = false;
  }

  function flush(element, final) {
    const state = controls.get(element);
    if (!state) return;
    clearTimeout(state.timer);
    state.since = 0;
    if (sites.silent || isProtected(element)) return;
    if (state.stale) note(state, textOf(element));
    if (!state.text.trim() || (state.text === state.sent && (state.finished || !final))) return;
    state.sent = state.text;
    state.finished = final;
    void sendTyped({ kind: "typed", control: state.id, episode: state.episode, text: state.text, final });
  }

  /** A worker that ended while it was spoken to is spoken to again: the next one takes the message. */
  async function sendTyped(message) {
    for (let turn = 0; turn < 3 && alive(); turn += 1) {
      if (await send(message) !== undefined) return;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  function onKey(event) {
    if (!event.isTrusted || (told && sites.silent)) return;
    const element = controlOf(event);
    if (!element || isProtected(element)) return;
    if (sites.keys || !told) assembleKeys(element, event);
    if (event.key === "Enter" && !event.isComposing) flush(element, !event.shiftKey);
  }

  // editors that draw their text in a canvas take the keys and leave their hidden control empty
  function assembleKeys(element, event) {
    if (event.ctrlKey || event.metaKey || (event.altKey && !event.getModifierState("AltGraph"))) return;
    const state = stateOf(element);
    if (event.key.length === 1) state.keys += event.key;
    else if (event.key === "Backspace") state.keys = state.keys.slice(0, -1);
    else if (event.key === "Enter") state.keys += "\n";
    else return;
    state.keys = state.keys.slice(-BEFORE);
    if (told) touch(element);
    else hold(element);
  }

  function onLeave(event) {
    const element = controlOf(event);
    if (element) flush(element, true);
    if (element?.localName === "input" && isProtected(element)) keepSecret(element);
  }

  // -- fields that become protected, or stop looking so

  function watch(root) {
    if (roots.has(root)) return;
    roots.add(root);
    observer ??= new MutationObserver(onChanges);
    observer.observe(root, {
      subtree: true, childList: true, attributes: true, attributeOldValue: true, attributeFilter: ["type", "autocomplete"],
    });
    look(root);
  }

  function onChanges(changes) {
    if (!alive()) return leave();
    for (const change of changes) {
      const was = change.oldValue ?? "";
      if (change.type === "attributes" && (was.toLowerCase() === "password" || PROTECTED_AUTOCOMPLETE.test(was)
        || isMarkedProtected(change.target))) protectedEver.add(change.target);
      // a page that is being read adds each element after its parent, which has been looked through with it
      for (const node of change.addedNodes) if (node instanceof Element && !looked.has(node)) look(node);
    }
    if (sites.reply.length) lookForReplies();
  }

  /** Every element below `root`, through shadow roots, which are watched from now on. */
  function* everything(root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT);
    for (let node = root instanceof Element ? root : walker.nextNode(); node; node = walker.nextNode()) {
      yield node;
      const mayHost = node instanceof HTMLElement && (node.localName.includes("-") || SHADOWED.has(node.localName));
      const inner = node.shadowRoot ?? (mayHost ? chrome.dom?.openOrClosedShadowRoot(node) : null);
      if (!inner) continue;
      watch(inner);
      yield* everything(inner);
    }
  }
  // the elements that may host a shadow root
  const SHADOWED = new Set("article aside body div footer header h1 h2 h3 h4 h5 h6 main nav p section span".split(" "));

  function look(root) {
    for (const element of everything(root)) {
      looked.add(element);
      if (element.localName === "input" && isMarkedProtected(element)) protectedEver.add(element);
    }
  }

  // -- for the image

  function box(element) {
    const { left, top, right, bottom } = element.getBoundingClientRect();
    return { left, top, right, bottom };
  }

  function protectedPlaces() {
    const places = [];
    for (const element of everything(document)) {
      const field = element.localName === "input" || element.localName === "textarea" || protectedEver.has(element);
      if (!field) continue;
      const place = box(element);
      // what is not in the window is not in the image
      if (place.right <= place.left || place.bottom <= place.top || place.right < 0 || place.bottom < 0) continue;
      if (place.left > innerWidth || place.top > innerHeight) continue;
      if (isProtected(element)) places.push(place);
    }
    return places;
  }

  function innerFrames() {
    const told = [];
    for (const element of everything(document)) {
      if (element.localName !== "iframe" && element.localName !== "frame" && element.localName !== "object") continue;
      if (!element.contentWindow) continue;
      if (!frames.has(element)) frames.set(element, randomId());
      const number = frames.get(element);
      element.contentWindow.postMessage({ trustkeepFrame: number }, "*");
      const place = box(element);
      const scale = {
        x: element.offsetWidth ? (place.right - place.left) / element.offsetWidth : 1,
        y: element.offsetHeight ? (place.bottom - place.top) / element.offsetHeight : 1,
      };
      const style = getComputedStyle(element);
      const content = {
        left: place.left + (element.clientLeft + parseFloat(style.paddingLeft)) * scale.x,
        top: place.top + (element.clientTop + parseFloat(style.paddingTop)) * scale.y,
      };
      told.push({ number, box: place, content, scale });
    }
    return told;
  }

  function view() {
    const seen = window.visualViewport;
    return { width: window.innerWidth, left: seen?.offsetLeft ?? 0, top: seen?.offsetTop ?? 0, scale: seen?.scale ?? 1 };
  }

  async function ownNumberKnown() {
    for (let turn = 0; turn < 20 && ownNumber === null && window !== window.top; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return ownNumber;
  }

  function answer(message, _sender, reply) {
    if (message.ask === "frames") reply({ frames: innerFrames(), view: view() });
    else if (message.ask === "places") ownNumberKnown().then((number) => reply({ number, places: protectedPlaces() }));
    else if (message.ask === "again") hello();
    return message.ask === "places";
  }

  // -- replies of a chat

  const replyElements = () => document.querySelectorAll(sites.reply.join(","));

  function lookForReplies() {
    if (sites.silent) return;
    for (const element of replyElements()) {
      const text = element.innerText ?? "";
      const known = replies.get(element);
      if (known?.text === text) continue;
      clearTimeout(known?.timer);
      replies.set(element, { text, timer: setTimeout(() => tellReply(element), REPLY_SETTLED) });
    }
  }

  function tellReply(element) {
    const known = replies.get(element);
    if (sites.silent || !known?.text.trim() || known.told === known.text) return;
    known.told = known.text;
    send({ kind: "reply", control: `reply-${randomId()}`, text: known.text.slice(-REPLY_AT_MOST) });
  }

  // -- beginning

  async function hello() {
    const said = await send({ kind: "hello" });
    if (!said) return;
    told = true;
    const wasSilent = sites.silent;
    sites = said;
    for (const element of early) {
      if (!sites.keys) stateOf(element).keys = "";
      if (element.isConnected && !sites.silent && !isProtected(element)) touch(element);
    }
    early.clear();
    if (sites.silent || !sites.reply.length) return;
    // what stands there already was said before this page was watched
    if (wasSilent) for (const element of replyElements()) replies.set(element, { text: element.innerText ?? "" });
    lookForReplies();
  }

  chrome.runtime.onMessage.addListener(answer);
  window.addEventListener("message", (event) => {
    if (typeof event.data?.trustkeepFrame !== "string" || event.source !== window.parent || window === window.top) return;
    event.stopImmediatePropagation();
    ownNumber = event.data.trustkeepFrame;
  }, { capture: true, signal: deaf.signal });
  listen("input", onInput);
  listen("keydown", onKey);
  listen("focusin", (event) => {
    const element = controlOf(event);
    for (const node of event.composedPath()) if (node instanceof ShadowRoot) watch(node);
    if (element) isProtected(element);
  });
  listen("focusout", onLeave);
  listen("change", onLeave);
  // a button that sends may empty the box without taking the focus from it
  for (const [name, final] of [["pointerdown", false], ["submit", true], ["pagehide", true]]) {
    listen(name, () => {
      const element = innermost(document.activeElement);
      if (element) flush(element, final);
    });
  }
  watch(document);
  // the address of a page that never loads anew changes unseen, and so may the hours
  setInterval(() => (alive() ? document.visibilityState === "visible" && hello() : leave()), 60_000);
  hello();
})();
