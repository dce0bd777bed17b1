// The page of laws: a filter over all of them, and the law that a link leads to is opened.
document.addEventListener("DOMContentLoaded", () => {
  const filter = document.querySelector(".law-filter");
  if (!filter) return;
  const laws = [...document.querySelectorAll("details.law")];
  const texts = laws.map((law) => law.textContent.toLowerCase());
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = laws.filter((law, i) => !(law.hidden = !words.every((word) => texts[i].includes(word))));
    document.querySelector(".law-count").textContent = `${shown.length} of ${laws.length} laws`;
  };
  const open = () => {
    const law = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (law?.matches("details.law")) law.open = true;
  };
  filter.addEventListener("input", apply);
  window.addEventListener("hashchange", open);
  apply();
  open();
});
