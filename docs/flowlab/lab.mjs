/**
 * The flow lab: what the reader does, and what follows from it. The page flow-lab.md has the markup.
 *
 * @module
 */

import { bundleOf, exactPaths, startsOf } from "./bundle.mjs";
import { denoised, fieldOf } from "./field.mjs";
import { Hand } from "./hand.mjs";
import { Plane } from "./plane.mjs";
import { Player } from "./player.mjs";
import { PRESETS } from "./presets.mjs";
import { basins, pairedWithOwnEnd } from "./reflow.mjs";
import { draw, LATEST } from "./scene.mjs";
import { inSlices } from "./slices.mjs";
import { at } from "./solvers.mjs";
import { fromQuery, toQuery } from "./state.mjs";

/** @typedef {import("./field.mjs").Point} Point */
/** @typedef {import("./scene.mjs").Flow} Flow */
/** @typedef {import("./state.mjs").State} State */

const HALF = 3.5; // what is seen of the plane

class FlowLab {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.form = form;
    const canvas = /** @type {HTMLCanvasElement} */ (form.querySelector("canvas"));
    this.plane = new Plane(canvas, HALF);
    const { state, wrongs } = fromQuery(location.search);
    this.state = state;
    this.wrongs = wrongs.join("; ");
    this.wanted = 0; // rounds; the flow shown has fewer while they are worked out
    this.work = new AbortController();
    /** @type {Flow[]} */
    this.flows = [];
    this.hand = new Hand(this.plane, this);
    this.player = new Player({
      time: () => this.state.t,
      steps: () => this.state.steps,
      show: (t) => this.showTime(t),
      tell: (plays) => this.button("play").replaceChildren(plays ? "Pause" : "Play"),
    });
    this.listen(canvas);
    this.restart(this.state.rounds);
    this.tell(this.wrongs);
  }

  /** @param {HTMLCanvasElement} canvas */
  listen(canvas) {
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.choose());
    this.button("play").addEventListener("click", () => this.player.toggle());
    this.button("noise").addEventListener("click", () => {
      this.state.seed = (this.state.seed + 1) % 1_000_000;
      this.flow();
    });
    this.button("add").addEventListener("click", () => this.hand.add());
    this.button("remove").addEventListener("click", () => this.hand.remove());
    new ResizeObserver(() => this.draw()).observe(canvas);
    // The reader may change the scheme of the page.
    new MutationObserver(() => this.draw()).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
  }

  /** Take what the controls say. */
  choose() {
    const { state } = this;
    const said = Object.fromEntries(new FormData(this.form));
    const { data } = state;
    this.wrongs = ""; // what the link says is no longer what the reader says
    this.tell("");
    Object.assign(state, { view: said.view, solver: said.solver, steps: Number(said.steps) });
    if (said.t !== String(state.t)) {
      this.player.stop();
      state.t = Number(said.t);
    }
    if (said.data !== data) {
      const name = String(said.data);
      Object.assign(state, { data: name, points: PRESETS[name]() });
      this.restart(0);
    } else if (Number(said.rounds) !== this.wanted) this.rectify(Number(said.rounds));
    else this.flow();
  }

  /**
   * The points are others now: begin with the flow of random pairs.
   *
   * @param {number} rounds How often to rectify it.
   */
  restart(rounds) {
    this.flows = [{ field: fieldOf(this.state.points) }];
    this.state.rounds = 0;
    this.flow();
    this.rectify(rounds);
  }

  /**
   * Show the flow that was rectified so often, and find it first where it is not known.
   *
   * @param {number} rounds
   */
  async rectify(rounds) {
    this.wanted = rounds;
    this.work.abort();
    this.work = new AbortController();
    const { signal } = this.work;
    const { points } = this.state;
    while (this.flows.length <= rounds) {
      const before = this.flows[this.flows.length - 1];
      const round = this.flows.length;
      const tell = (/** @type {number} */ share) =>
        this.tell(`Rectifying, round ${round}: where does each noise go? ${Math.round(100 * share)} %`);
      const ends = await inSlices(basins(before.field, points), tell, signal);
      if (!ends) return;
      const logPreference = pairedWithOwnEnd(ends);
      this.flows.push({ field: fieldOf(points, logPreference), logPreference });
    }
    this.tell(this.wrongs);
    this.state.rounds = rounds;
    this.flow();
  }

  /** Compute what is drawn, and draw it: before the next frame, once, however many changes there were. */
  flow() {
    cancelAnimationFrame(this.frame ?? 0);
    this.frame = requestAnimationFrame(() => this.compute());
  }

  compute() {
    const { state, flows } = this;
    const starts = startsOf(state);
    const exact = exactPaths(flows[state.rounds].field, starts);
    const before = state.rounds ? exactPaths(flows[state.rounds - 1].field, starts) : undefined;
    this.bundle = bundleOf(state, flows[state.rounds].field, exact, before);
    this.settle();
    this.draw();
  }

  /** @param {number} t */
  showTime(t) {
    this.state.t = Number(t.toFixed(3));
    this.settle();
    this.draw();
  }

  /** Let controls, numbers and link say what the state is. */
  settle() {
    const { state, form, bundle } = this;
    const own = form.querySelector("option[value=own]");
    own?.toggleAttribute("hidden", state.data !== "own");
    const { data, solver, steps, t, view } = state;
    for (const [name, value] of Object.entries({ data, solver, steps, t, view, rounds: this.wanted })) {
      const control = /** @type {HTMLInputElement | RadioNodeList} */ (form.elements.namedItem(name));
      if (control.value !== String(value)) control.value = String(value);
    }
    this.output("steps", `${steps}`);
    this.output("t", t.toFixed(2));
    if (bundle) {
      const { nfe, straightness, error, fromData } = bundle.numbers;
      this.output("nfe", `${nfe}`);
      this.output("straightness", straightness.toFixed(3));
      this.output("error", error.toFixed(3));
      this.output("from-data", fromData.toFixed(3));
    }
    this.output("red", this.redInWords());
    clearTimeout(this.saving);
    // Browsers refuse a link that changes at every frame.
    this.saving = setTimeout(() => history.replaceState(null, "", toQuery(state) + location.hash), 300);
  }

  /** Where the red dot is, how fast, and what it walks towards. */
  redInWords() {
    const { state, bundle } = this;
    if (!bundle) return "";
    const { field, logPreference } = this.flows[state.rounds];
    const [own] = state.view === "paths" ? bundle.paths : bundle.lines;
    const z = at(own, state.t);
    if (state.view === "lines" || state.t > LATEST) return `z = ${inWords(z)}`;
    const end = denoised(z, state.t, state.points, logPreference);
    return `z = ${inWords(z)}, v = ${inWords(field(z, state.t))}, mean of the data seen from here = ${inWords(end)}`;
  }

  draw() {
    if (this.bundle) draw(this.plane, this.state, this.bundle, this.flows[this.state.rounds], this.hand.ring);
  }

  /** @param {string} text For everybody, and read aloud. */
  tell(text) {
    this.output("said", text);
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  output(name, text) {
    const output = /** @type {HTMLElement} */ (this.form.querySelector(`output[data-says="${name}"]`));
    if (output.textContent !== text) output.textContent = text;
  }

  /** @param {string} name */
  button(name) {
    return /** @type {HTMLButtonElement} */ (this.form.querySelector(`button[name="${name}"]`));
  }
}

/** @type {(point: Point) => string} */
const inWords = (point) =>
  `(${point.map((number) => (Math.round(number * 1000) / 1000 + 0).toFixed(3).replace("-", "−")).join(", ")})`;

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("form.flow-lab"))) {
  new FlowLab(form);
  form.classList.add("lives");
}
