// Moves the frames of the film that the lab plays where it cannot run: the choices name a sheet, the slider a column of it.
document.addEventListener("DOMContentLoaded", () => {
  for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll(".scrubber"))) {
    const steps = Number(form.dataset.steps);
    const frames = /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll(".frame"));
    const output = /** @type {HTMLOutputElement} */ (form.querySelector("output"));
    const show = () => {
      const { prompt, seed, weight, step } = Object.fromEntries(new FormData(form));
      const k = Number(step);
      const sheet = new URL(`scrubber/${prompt}-${seed}-${weight}.webp`, document.baseURI);
      output.textContent = `step ${k} of 0 to ${steps - 1}, t = ${(k / steps).toFixed(2)}`;
      for (const frame of frames) {
        frame.style.backgroundImage = `url("${sheet}")`;
        frame.style.backgroundPositionX = `${(100 * k) / (steps - 1)}%`;
      }
    };
    form.addEventListener("input", show);
    show();
  }
});
