/**
 * Curves over the time of a run, drawn as it goes: an SVG of the page's own colours.
 *
 * @module
 */

/** @typedef {{ name: string, points: [t: number, value: number][], dashed?: boolean }} Curve */

const WIDTH = 320;
const HEIGHT = 130;
const LEFT = 34;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 20;

/**
 * @param {SVGSVGElement} svg
 * @param {Curve[]} curves
 * @param {[low: number, high: number]} range Of the values.
 * @param {number | undefined} now The time that is shown.
 */
export function drawCurves(svg, curves, [low, high], now) {
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  /** @param {number} t */
  const x = (t) => LEFT + t * (WIDTH - LEFT - RIGHT);
  /** @param {number} value */
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
  const ticks = [low, (low + high) / 2, high];
  const parts = ticks.map((value) =>
    element("line", { class: "grid", x1: x(0), x2: x(1), y1: y(value), y2: y(value) }),
  );
  for (const value of ticks) parts.push(element("text", { x: LEFT - 4, y: y(value) + 3, class: "end" }, short(value)));
  for (const t of [0, 0.5, 1]) parts.push(element("text", { x: x(t), y: HEIGHT - 6, class: "middle" }, `${t}`));
  if (now !== undefined)
    parts.push(element("line", { class: "now", x1: x(now), x2: x(now), y1: TOP, y2: HEIGHT - BOTTOM }));
  for (const { name, points, dashed } of curves) {
    const path = points
      .filter((point) => point.every(Number.isFinite))
      .map(([t, value]) => `${x(t)},${y(clamp(value, low, high))}`);
    parts.push(element("polyline", { class: `curve ${name}${dashed ? " dashed" : ""}`, points: path.join(" ") }));
  }
  svg.replaceChildren(...parts);
}

/** @type {(value: number, low: number, high: number) => number} */
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** @type {(value: number) => string} */
const short = (value) => String(Number(value.toPrecision(2)));

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function element(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.textContent = text;
  return made;
}
