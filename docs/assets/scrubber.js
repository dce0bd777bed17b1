// Moves the frames of the loop page: the choices name a sheet, the slider a column of it.
document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll(".scrubber")) {
    const steps = Number(form.dataset.steps);
    const frames = form.querySelectorAll(".frame");
    const show = () => {
      const { prompt, seed, weight, step } = form.elements;
      const k = Number(step.value);
      const sheet = new URL(`scrubber/${prompt.value}-${seed.value}-${weight.value}.webp`, document.baseURI);
      form.querySelector("output").textContent = `step ${k} of 0 to ${steps - 1}, t = ${(k / steps).toFixed(2)}`;
      for (const frame of frames) {
        frame.style.backgroundImage = `url("${sheet}")`;
        frame.style.backgroundPositionX = `${(100 * k) / (steps - 1)}%`;
      }
    };
    form.addEventListener("input", show);
    show();
  }
});
