// The loop page: a line of code that is pointed at or has the focus lights what belongs to it: its equation,
// its tensors and its box in the shape map, and its pictures in the running example.
document.addEventListener("DOMContentLoaded", () => {
  const page = document.querySelector(".loop");
  if (!page) return;
  const rows = [...page.querySelectorAll(".loop-row[data-line]")];
  const map = page.querySelector(".map");
  const tensors = new Map();
  for (const g of map.querySelectorAll(".tensor")) tensors.set(g.getAttribute("aria-label").split(":")[0], g);
  const boxes = [...map.querySelectorAll(".box")];

  // Each line shows its own pictures of the running example, too: the whole of it may be out of sight.
  for (const row of rows) {
    for (const part of document.querySelectorAll(`g[data-line="${row.dataset.line}"] .part`)) {
      const { x, y, width, height } = part.getBBox();
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", `${x - 1} ${y - 1} ${width + 2} ${height + 2}`);
      svg.setAttribute("class", "loop-part");
      svg.setAttribute("aria-hidden", "true");
      svg.append(part.cloneNode(true));
      row.firstElementChild.append(svg);
    }
  }

  const belongs = (row) => [
    row,
    ...row.dataset.tensors.split(" ").map((name) => tensors.get(name.replace("+", ", "))),
    ...boxes.filter((box) => box.textContent.startsWith(row.dataset.line)),
    ...document.querySelectorAll(`g[data-line="${row.dataset.line}"]`),
  ];

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
    row.addEventListener("focusout", (event) => row.contains(event.relatedTarget) || light());
  }

  // Up and down move between the lines, Escape leaves them.
  page.addEventListener("keydown", (event) => {
    const at = rows.indexOf(document.activeElement);
    if (at < 0) return;
    const next = { ArrowDown: rows[at + 1], ArrowUp: rows[at - 1] }[event.key];
    if (event.key === "Escape") document.activeElement.blur();
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  // The other way round: a tensor of the map or a column of the example lights its line.
  const line = (name) => rows.find((row) => row.dataset.makes.split(" ").map((n) => n.replace("+", ", ")).includes(name));
  for (const [name, g] of tensors) {
    for (const kind of ["pointerenter", "focus"]) g.addEventListener(kind, () => light(line(name)));
    for (const kind of ["pointerleave", "blur"]) g.addEventListener(kind, () => light(focused()));
  }
  for (const g of document.querySelectorAll("g[data-line]")) {
    g.addEventListener("pointerenter", () => light(rows.find((row) => row.dataset.line === g.dataset.line)));
    g.addEventListener("pointerleave", () => light(focused()));
  }
});
