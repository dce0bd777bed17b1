// The loop page: a line of code that is pointed at or has the focus lights what belongs to it: its equation,
// its tensors and its box in the shape map, and its pictures in the running example.
document.addEventListener("DOMContentLoaded", () => {
  /** @typedef {NodeListOf<HTMLElement>} Elements */
  /** @typedef {NodeListOf<SVGGElement>} Groups */
  const page = /** @type {HTMLElement?} */ (document.querySelector(".loop"));
  if (!page) return;
  const rows = [.../** @type {Elements} */ (page.querySelectorAll(".loop-row[data-line]"))];
  const map = /** @type {SVGElement} */ (page.querySelector(".map"));
  /** @type {Map<string, SVGGElement>} */
  const tensors = new Map();
  for (const g of /** @type {Groups} */ (map.querySelectorAll(".tensor")))
    tensors.set(String(g.getAttribute("aria-label")).split(":")[0], g);
  const boxes = [...map.querySelectorAll(".box")];

  // Each line shows its own pictures of the running example, too: the whole of it may be out of sight.
  for (const row of rows) {
    const parts = /** @type {Groups} */ (document.querySelectorAll(`g[data-line="${row.dataset.line}"] .part`));
    for (const part of parts) {
      const { x, y, width, height } = part.getBBox();
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", `${x - 1} ${y - 1} ${width + 2} ${height + 2}`);
      svg.setAttribute("class", "loop-part");
      svg.setAttribute("aria-hidden", "true");
      svg.append(part.cloneNode(true));
      row.firstElementChild?.append(svg);
    }
  }

  /** @param {string | undefined} list Names divided by spaces, "+" for a comma between two that are one tensor. */
  const names = (list = "") => list.split(" ").map((name) => name.replace("+", ", "));

  /** @param {HTMLElement} row */
  const belongs = (row) => [
    row,
    ...names(row.dataset.tensors).map((name) => tensors.get(name)),
    ...boxes.filter((box) => box.textContent.startsWith(String(row.dataset.line))),
    ...document.querySelectorAll(`g[data-line="${row.dataset.line}"]`),
  ];

  /** @param {HTMLElement} [row] */
  const light = (row) => {
    for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
    document.body.classList.toggle("some-lit", Boolean(row));
    if (row) for (const part of belongs(row)) part?.classList.add("lit");
  };

  // Pointing wins over the focus; when neither is on a row, nothing is lit.
  const focused = () => rows.find((row) => row.contains(document.activeElement));
  for (const row of rows) {
    row.addEventListener("pointerenter", () => light(row));
    row.addEventListener("pointerleave", () => light(focused()));
    row.addEventListener("focusin", () => light(row));
    row.addEventListener("focusout", (event) => {
      if (!row.contains(/** @type {Node?} */ (event.relatedTarget))) light();
    });
  }

  // Up and down move between the lines, Escape leaves them.
  page.addEventListener("keydown", (event) => {
    const at = rows.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (at < 0) return;
    const next = event.key === "ArrowDown" ? rows[at + 1] : event.key === "ArrowUp" ? rows[at - 1] : null;
    if (event.key === "Escape") rows[at].blur();
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  // The other way round: a tensor of the map or a column of the example lights its line.
  /** @param {string} name */
  const line = (name) => rows.find((row) => names(row.dataset.makes).includes(name));
  for (const [name, g] of tensors) {
    for (const kind of ["pointerenter", "focus"]) g.addEventListener(kind, () => light(line(name)));
    for (const kind of ["pointerleave", "blur"]) g.addEventListener(kind, () => light(focused()));
  }
  for (const g of /** @type {Groups} */ (document.querySelectorAll("g[data-line]"))) {
    g.addEventListener("pointerenter", () => light(rows.find((row) => row.dataset.line === g.dataset.line)));
    g.addEventListener("pointerleave", () => light(focused()));
  }
});
