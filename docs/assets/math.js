// Typesets what arithmatex has marked, on every page that has it.
document.addEventListener("DOMContentLoaded", () => {
  for (const span of document.querySelectorAll(".arithmatex")) {
    const display = span.tagName === "DIV";
    katex.render(span.textContent.slice(2, -2), span, { displayMode: display, throwOnError: false });
  }
});
