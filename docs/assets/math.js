// Typesets what arithmatex has marked, on every page that has it.
document.addEventListener("DOMContentLoaded", () => {
  for (const span of document.querySelectorAll(".arithmatex")) {
    const display = span.tagName === "DIV";
    const { katex } = /** @type {any} */ (globalThis); // by the script before this one
    katex.render(span.textContent.slice(2, -2), span, { displayMode: display, throwOnError: false });
  }
});
