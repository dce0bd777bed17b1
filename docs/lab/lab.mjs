/**
 * The page of the live lab: reads the controls, orders runs, and shows what comes.
 *
 * @module
 */

import { Attention } from "./attention.mjs";
import { BUGS } from "./bugs.mjs";
import { Client } from "./client.mjs";
import { GRADIENT, LIMIT } from "./colours.mjs";
import { CaptionBox, fault, unfinished } from "./completion.mjs";
import { drawCurves } from "./curves.mjs";
import { find, make } from "./dom.mjs";
import { loadFacts } from "./facts.mjs";
import { drawLatent, drawPicture } from "./latents.mjs";
import { Lens } from "./lens.mjs";
import { FIRST, fromLink, RANGES, toLink } from "./link.mjs";
import { Looking } from "./looking.mjs";
import { cosine, difference, norm } from "./measures.mjs";
import { rememberLoaded, wasLoaded } from "./memory.mjs";
import { Player } from "./player.mjs";
import { tokensOf } from "./prompt.mjs";
import { light, showSource, walk } from "./source.mjs";

/** @typedef {import("./run.mjs").Frame} Frame */
/** @typedef {import("./link.mjs").State} State */
/** @typedef {import("./facts.mjs").Facts} Facts */

const TILES = /** @type {const} */ ([
  "z",
  "zPicture",
  "vCond",
  "vUncond",
  "difference",
  "v",
  "denoised",
  "denoisedPicture",
]);
const NAMES = ["seed", "weight", "steps", "shift"];

/** @type {(link: string) => boolean} An anchor of the page is none. */
const holdsState = (link) => link.includes("=");

class Lab {
  /**
   * @param {HTMLElement} root
   * @param {Facts} facts
   */
  constructor(root, facts) {
    this.root = root;
    this.facts = facts;
    this.state = { ...FIRST };
    this.wrongs = ""; // what the link says that cannot be
    this.take(holdsState(location.hash) ? location.hash : location.search);
    this.drawn = this.state.caption; // the caption that the frames belong to
    this.total = this.state.steps;
    this.pending = 0;
    this.link = "";
    /** @type {Client | undefined} */
    this.client = undefined;
    /** @type {[Frame[], Frame[]]} Frames of the right run, and of the one with a bug. */
    this.frames = [[], []];
    /** @type {Record<string, { title: string, law: string }>} */
    this.exhibits = JSON.parse(root.dataset.exhibits ?? "{}");
    this.form = find(root, "form", HTMLFormElement);
    this.status = find(root, ".lab-status", HTMLElement);
    const caption = find(root, "[name=caption]", HTMLInputElement);
    this.box = new CaptionBox(
      caption,
      find(root, ".lab-words", HTMLElement),
      find(root, ".lab-marked", HTMLElement),
      facts,
    );
    this.player = new Player(
      find(root, ".lab-player", HTMLElement),
      (frame) => this.show(frame),
      (period) => walk(root, period),
    );
    this.lens = new Lens(
      find(root, ".lab-lens canvas", HTMLCanvasElement),
      find(root, ".lab-lens output", HTMLElement),
    );
    const patches = find(root, ".lab-patches", HTMLElement);
    const side = facts.latent[1] / facts.patch;
    this.looking = new Looking(
      find(root, ".lab-tokens", HTMLElement),
      patches,
      find(root, ".lab-attention output", HTMLElement),
      side,
    );
    this.build();
    this.write();
    this.listen();
  }

  /** Fill in what depends on the model. */
  build() {
    const examples = find(this.root, "[name=example]", HTMLSelectElement);
    examples.append(...this.facts.examples.map((text) => make("option", { value: text, textContent: text })));
    const bugs = find(this.root, "[name=bug]", HTMLSelectElement);
    bugs.append(
      ...Object.keys(BUGS).map((name) => make("option", { value: name, textContent: this.exhibits[name].title })),
    );
    const layers = find(this.root, "[name=layer]", HTMLSelectElement);
    for (let i = 0; i < this.facts.layers; i++)
      layers.append(make("option", { value: `${i}`, textContent: `${i + 1}` }));
    layers.append(make("option", { value: "-1", textContent: "none" }));
    find(this.root, ".lab-scale i", HTMLElement).style.background = GRADIENT;
    find(this.root, ".lab-scale", HTMLElement).dataset.limit = String(LIMIT);
    for (const name of TILES) {
      const tile = find(this.root, `[data-tile=${name}] canvas`, HTMLCanvasElement);
      this.lens.attach(tile, () => this.shownIn(name));
    }
  }

  listen() {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
      this.order();
    });
    this.form.addEventListener("input", (event) => this.changed(/** @type {HTMLInputElement} */ (event.target).name));
    find(this.root, "[data-do=dice]", HTMLButtonElement).addEventListener("click", () => {
      this.state = { ...this.state, seed: Math.floor(Math.random() * 1000), frame: -1 };
      this.wrongs = "";
      this.write();
      this.order();
    });
    find(this.root, "[data-do=cancel]", HTMLButtonElement).addEventListener("click", () => this.client?.cancel());
    find(this.root, "[data-do=link]", HTMLButtonElement).addEventListener("click", () => this.copyLink());
    find(this.root, "[name=layer]", HTMLSelectElement).addEventListener("change", (event) => {
      this.state.layer = Number(/** @type {HTMLSelectElement} */ (event.target).value);
      this.outputs();
      if (this.state.layer >= 0 && !this.frames[0][0]?.attention) this.order();
      this.show(this.player.shown);
    });
    find(this.root, "[name=side]", HTMLSelectElement).addEventListener("change", (event) => {
      this.state.side = Number(/** @type {HTMLSelectElement} */ (event.target).value);
      this.show(this.player.shown);
    });
    const start = find(this.root, "[data-do=start]", HTMLButtonElement);
    start.addEventListener("click", () => this.start());
    for (const button of [start, find(this.form, "[type=submit]", HTMLButtonElement)]) button.disabled = false;
    addEventListener("hashchange", () => {
      if (!holdsState(location.hash) || location.hash.slice(1) === this.link) return;
      this.take(location.hash);
      this.write();
      this.order();
    });
    // The page's own links into the lab: without a reload, the model stays loaded, and Back leads to what was before.
    document.addEventListener("click", (event) => {
      const link = event.target instanceof Element && event.target.closest("a");
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into another tab or window
      if (!link || link.pathname !== location.pathname || !holdsState(link.search)) return;
      event.preventDefault();
      location.hash = link.search.slice(1);
      this.root.scrollIntoView();
    });
    for (const [on, off] of [
      ["pointerover", "pointerout"],
      ["focusin", "focusout"],
    ]) {
      this.root.addEventListener(on, ({ target }) => light(this.root, stageOf(target)));
      this.root.addEventListener(off, () => light(this.root, 0));
    }
    if (wasLoaded()) this.start();
  }

  /**
   * Take the state that a link holds.
   *
   * @param {string} link With its # or ?.
   */
  take(link) {
    const { state, wrongs } = fromLink(link.slice(1));
    this.state = state;
    this.wrongs = wrongs.join(" ");
  }

  /** Load the model. What follows is told by the worker. */
  start() {
    if (this.client) return;
    const bar = find(this.root, ".lab-start progress", HTMLProgressElement);
    const button = find(this.root, "[data-do=start]", HTMLButtonElement);
    button.disabled = true;
    bar.hidden = false;
    this.client = new Client({
      loaded: (bytes) => {
        bar.value = bytes / Number(this.root.dataset.bytes);
        button.textContent = `Loading: ${(bytes / 1e6).toFixed(1)} of ${(Number(this.root.dataset.bytes) / 1e6).toFixed(1)} MB`;
        if (bar.value >= 1) button.textContent = "Starting the model …";
      },
      ready: () => {
        rememberLoaded();
        find(this.root, ".lab-start", HTMLElement).hidden = true;
        this.root.classList.add("ready");
        this.order();
      },
      stage: (stage) => light(this.root, stage),
      frame: (side, frame) => this.receive(side, frame),
      ended: (verdicts) => this.ended(verdicts),
      failed: (reason) => this.fail(reason),
    });
  }

  /**
   * The reader moved a control.
   *
   * @param {string} name
   */
  changed(name) {
    if (name === "example") {
      const chosen = find(this.root, "[name=example]", HTMLSelectElement);
      if (chosen.value) find(this.root, "[name=caption]", HTMLInputElement).value = chosen.value;
      this.box.mark();
    }
    this.read();
    this.state.frame = -1;
    this.wrongs = "";
    this.outputs();
    clearTimeout(this.pending);
    if (name === "caption" && unfinished(this.state.caption, this.facts)) return this.tell("");
    if (name === "caption" && fault(this.state.caption, this.facts)) return this.order();
    this.pending = window.setTimeout(() => this.order(), 350);
  }

  /** From the controls to the state. */
  read() {
    const said = new FormData(this.form);
    for (const name of NAMES) {
      const [least, most] = RANGES[name];
      const value = Number(said.get(name));
      if (said.get(name) !== "" && value >= least && value <= most) this.state = { ...this.state, [name]: value };
    }
    this.state.caption = String(said.get("caption"));
    this.state.solver = String(said.get("solver"));
    this.state.bug = String(said.get("bug"));
  }

  /** From the state to the controls. */
  write() {
    for (const name of [...NAMES, "caption", "solver", "bug"]) {
      const control = this.form.elements.namedItem(name);
      if (control instanceof HTMLInputElement || control instanceof HTMLSelectElement)
        control.value = String(this.state[/** @type {keyof State} */ (name)]);
    }
    for (const name of /** @type {const} */ (["layer", "side"]))
      find(this.root, `[name=${name}]`, HTMLSelectElement).value = String(this.state[name]);
    this.box.mark();
    this.outputs();
  }

  /** The numbers beside the sliders, the bug's links, and the same run in Python. */
  outputs() {
    const { caption, seed, weight, steps, solver, shift, bug, layer } = this.state;
    const { seeds, examples } = this.facts;
    find(this.root, "[name=example]", HTMLSelectElement).value = examples.includes(caption) ? caption : "";
    find(this.root, ".lab-attention", HTMLElement).classList.toggle("off", layer < 0);
    for (const name of ["weight", "steps", "shift"])
      find(this.root, `[data-of=${name}]`, HTMLElement).textContent = String(
        this.state[/** @type {keyof State} */ (name)],
      );
    const python = [`janus-minimal generate "${caption}" --seed ${seed} --steps ${steps} --cfg-weight ${weight}`];
    if (solver !== FIRST.solver) python.push(`--solver ${solver}`);
    if (shift !== FIRST.shift) python.push(`--shift ${shift}`);
    const known = seed < seeds;
    find(this.root, ".lab-python code", HTMLElement).textContent = known ? python.join(" ") : "";
    find(this.root, ".lab-python", HTMLElement).hidden = !known;
    find(this.root, ".lab-own", HTMLElement).hidden = known;
    const exhibit = find(this.root, ".lab-exhibit", HTMLElement);
    exhibit.hidden = !bug;
    this.root.classList.toggle("two-sided", bug !== "");
    if (!bug) return;
    find(exhibit, "[data-link=exhibit]", HTMLAnchorElement).href = `museum.html#${bug}`;
    const law = find(exhibit, "[data-link=law]", HTMLAnchorElement);
    law.href = `laws.html#${this.exhibits[bug].law}`;
    law.textContent = this.exhibits[bug].law.replace(/^test_/, "").replaceAll("_", " ");
  }

  /** Order a run of what the controls say. It ends the one before. */
  order() {
    clearTimeout(this.pending);
    this.read();
    this.keepLink();
    const wrong = fault(this.state.caption, this.facts);
    this.tell(wrong || this.wrongs, (wrong || this.wrongs) !== "");
    this.root.classList.toggle("stale", wrong !== "");
    if (wrong || !this.root.classList.contains("ready")) return this.client?.cancel();
    this.frames = [[], []];
    this.drawn = this.state.caption;
    this.total = this.state.steps;
    this.player.begin(this.total);
    this.looking.begin(tokensOf(this.drawn, this.facts));
    showSource(find(this.root, ".lab-source code", HTMLElement), this.state.solver);
    for (const verdictOf of this.root.querySelectorAll(".lab-verdict")) verdictOf.textContent = "";
    this.root.classList.add("running");
    this.client?.run(this.settings(), this.state.bug || undefined);
  }

  settings() {
    const { caption, seed, weight, steps, solver, shift, layer } = this.state;
    return { caption, seed, weight, steps, solver, shift, layer };
  }

  /**
   * @param {number} side
   * @param {Frame} frame
   */
  receive(side, frame) {
    this.frames[side].push(frame);
    if (side === 0) this.player.arrive();
    else if (this.player.shown >= this.frames[1].length - 1) this.show(this.player.shown);
  }

  /** @param {import("./client.mjs").Verdict[]} [verdicts] Of a run that was not cancelled. */
  ended(verdicts) {
    this.root.classList.remove("running");
    if (!verdicts && this.root.classList.contains("stale")) return; // why is already said
    if (!verdicts) return this.tell("Stopped. Press Draw to begin again.");
    for (const [side, { text, obeys }] of verdicts.entries()) {
      const place = find(this.root, `[data-side="${side}"] .lab-verdict`, HTMLElement);
      place.textContent = text;
      place.dataset.obeys = String(obeys);
    }
    light(this.root, 0);
    this.player.end(this.state.frame);
    this.root.dispatchEvent(new Event("ended"));
  }

  /** @param {string} reason */
  fail(reason) {
    this.root.classList.remove("running");
    find(this.root, ".lab-start", HTMLElement).hidden = true;
    document.querySelector(".lab-film")?.removeAttribute("hidden");
    this.tell(`The model could not run here: ${reason}. The film above shows recorded runs.`, true);
  }

  /**
   * @param {string} text
   * @param {boolean} [wrong]
   */
  tell(text, wrong = false) {
    this.status.textContent = text;
    this.status.classList.toggle("wrong", wrong);
  }

  /**
   * What a tile shows now.
   *
   * @param {typeof TILES[number]} name
   * @returns {import("./lens.mjs").Shown | undefined}
   */
  shownIn(name) {
    const frame = this.frameOf(this.state.bug ? this.state.side : 0, this.player.shown);
    if (!frame) return undefined;
    const label = find(this.root, `[data-tile=${name}] b`, HTMLElement).textContent ?? "";
    if (name === "difference") return { name: label, latent: difference(frame.vCond, frame.vUncond) };
    const numbers = frame[name];
    return numbers instanceof Float32Array ? { name: label, latent: numbers } : { name: label, pixels: numbers };
  }

  /**
   * A frame of one run, or its last one: the run with a bug may have fewer.
   *
   * @param {number} side
   * @param {number} index
   * @returns {Frame | undefined}
   */
  frameOf(side, index) {
    return this.frames[side][Math.min(index, this.frames[side].length - 1)];
  }

  /** @param {number} index */
  show(index) {
    const frame = this.frames[0][index];
    if (!frame) return;
    for (const name of TILES) {
      const canvas = find(this.root, `[data-tile=${name}] canvas`, HTMLCanvasElement);
      const shown = this.shownIn(name);
      if (shown?.latent) drawLatent(canvas, shown.latent);
      if (shown?.pixels) drawPicture(canvas, shown.pixels);
    }
    for (const side of [0, 1]) {
      const shown = this.frameOf(side, index);
      if (shown) drawPicture(find(this.root, `[data-side="${side}"] canvas`, HTMLCanvasElement), shown.denoisedPicture);
    }
    const [now, wrong] = [frame, this.frameOf(1, index) ?? frame].map(span);
    find(this.root, ".lab-now", HTMLElement).textContent =
      `step ${index + 1} of ${this.total}, ${now}${wrong === now ? "" : `; with the bug ${wrong}`}`;
    drawPicture(find(this.root, ".lab-under", HTMLCanvasElement), frame.denoisedPicture);
    if (frame.attention && this.state.layer >= 0)
      this.looking.update(this.attentionOf(frame.attention), this.state.layer);
    this.curves(frame.t);
    this.lens.update();
    if (!this.root.classList.contains("running")) this.remember(index === this.frames[0].length - 1 ? -1 : index);
  }

  /** @param {Float32Array} numbers */
  attentionOf(numbers) {
    const { layers, latent, patch } = this.facts;
    const words = tokensOf(this.drawn, this.facts).length;
    return new Attention(numbers, { layers, words, patches: (latent[1] / patch) ** 2 });
  }

  /** @param {number} now */
  curves(now) {
    const [right, wrong] = this.frames;
    /** @type {(name: string, value: (frame: Frame, before?: Frame) => number, frames?: Frame[]) => import("./curves.mjs").Curve} */
    const curve = (name, value, frames = right) => ({
      name,
      points: frames.map((frame, i) => [frame.t, value(frame, frames[i - 1])]),
      dashed: frames === wrong,
    });
    const norms = [
      curve("v", (frame) => norm(frame.v)),
      curve("cond", (frame) => norm(frame.vCond)),
      curve("uncond", (frame) => norm(frame.vUncond)),
      curve("apart", (frame) => norm(difference(frame.vCond, frame.vUncond))),
      curve("v", (frame) => norm(frame.v), wrong),
    ];
    /** @type {(frame: Frame, before?: Frame) => number} */
    const bend = (frame, before) => (before ? cosine(before.v, frame.v) : Number.NaN);
    const top = Math.max(10, ...norms.flatMap(({ points }) => points.map(([, value]) => value)));
    drawCurves(
      find(this.root, "[data-curves=norms]", SVGSVGElement),
      norms,
      [0, Math.min(10 * Math.ceil(top / 10), 200)],
      now,
    );
    const cosines = [curve("v", bend), curve("v", bend, wrong)];
    const least = Math.min(
      0.8,
      ...cosines.flatMap(({ points }) => points.map(([, value]) => value).filter(Number.isFinite)),
    );
    drawCurves(find(this.root, "[data-curves=cosine]", SVGSVGElement), cosines, [Math.floor(least * 5) / 5, 1], now);
  }

  /** @param {number} frame */
  remember(frame) {
    this.state.frame = frame;
    this.keepLink();
  }

  keepLink() {
    this.link = toLink(this.state);
    history.replaceState(null, "", `${location.pathname}#${this.link}`); // a query, as the chapters link, has been read
  }

  async copyLink() {
    this.keepLink();
    await navigator.clipboard.writeText(location.href).then(
      () => this.tell("The link is copied: it holds caption, seed and everything else."),
      () => this.tell("Copy the address of this page: it holds caption, seed and everything else."),
    );
  }
}

/** @type {(frame: Frame) => string} */
const span = ({ t, tNext }) => `t = ${t.toFixed(3)} to ${tNext.toFixed(3)}`;

/** @type {(part: EventTarget | null) => number} */
const stageOf = (part) =>
  Number((part instanceof Element && part.closest("[data-stage]")?.getAttribute("data-stage")) || 0);

const root = find(document, "#lab", HTMLElement);
if (!root.hidden) Object.assign(window, { lab: new Lab(root, await loadFacts()) }); // for the curious: lab.frames in the console
