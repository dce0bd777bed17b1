// Typesets what arithmatex has marked, on every page that has it.
const SHORT = { text: 14, table: 8 }; // letters; in a table a longer one would take the width of the other columns

/**
 * Cut from a text what touches a formula, and return it.
 * @param {Node?} node
 * @param {RegExp} part
 */
const cut = (node, part) => {
  const found = node instanceof Text ? (part.exec(node.data)?.[0] ?? "") : "";
  if (found) /** @type {Text} */ (node).data = /** @type {Text} */ (node).data.replace(part, "");
  return found;
};

/**
 * Keep a short formula, the bracket before it and the full stop after it on one line.
 * @param {Element} span
 */
const keepTogether = (span) => {
  const whole = document.createElement("span");
  whole.className = "formula";
  const before = cut(span.previousSibling, /\S+$/);
  const after = cut(span.nextSibling, /^\S+/);
  span.replaceWith(whole);
  whole.append(before, span, after);
};

document.addEventListener("DOMContentLoaded", () => {
  for (const span of document.querySelectorAll(".arithmatex")) {
    const display = span.tagName === "DIV";
    const { katex } = /** @type {any} */ (globalThis); // by the script before this one
    katex.render(span.textContent.slice(2, -2), span, { displayMode: display, throwOnError: false });
    const shown = span.querySelector(".katex-html")?.textContent ?? "";
    if (!display && shown.length <= SHORT[span.closest("table") ? "table" : "text"]) keepTogether(span);
  }
});
