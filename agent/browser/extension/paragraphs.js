// Plain text from the policy as elements: an empty line parts paragraphs. Never as HTML.

/** The paragraphs of `text`. */
export function paragraphs(text, element = "p") {
  return String(text).split(/\n\s*\n/).map((part) => part.trim()).filter(Boolean).map((part) => {
    const made = document.createElement(element);
    made.textContent = part;
    return made;
  });
}
