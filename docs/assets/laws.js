// The page of laws: a filter over all of them, and the law that a link leads to is opened.
document.addEventListener("DOMContentLoaded", () => {
  const filter = /** @type {HTMLInputElement?} */ (document.querySelector(".law-filter"));
  if (!filter) return;
  const count = /** @type {HTMLElement} */ (document.querySelector(".law-count"));
  const laws = [.../** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details.law"))];
  const texts = laws.map((law) => law.textContent.toLowerCase());
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = texts.map((text) => words.every((word) => text.includes(word)));
    for (const [i, law] of laws.entries()) law.hidden = !fits[i];
    count.textContent = `${fits.filter(Boolean).length} of ${laws.length} laws`;
  };
  const open = () => {
    const law = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (law instanceof HTMLDetailsElement && law.matches(".law")) law.open = true;
  };
  filter.addEventListener("input", apply);
  window.addEventListener("hashchange", open);
  apply();
  open();
});
