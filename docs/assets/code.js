// Marks where code in prose and in tables may break: at the slashes and underscores of long names, within an option never.
const LONG = 30; // letters; in a table every name counts as long
const JOINTS = /(?<=\w\w)\/(?=\w\w)|(?<=\w{3})_(?=\w{3})/g;

document.addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll(".md-content :not(pre) > code")) {
    if (code.childElementCount) continue;
    const most = code.closest("table") ? 0 : LONG;
    const jointed = code.innerHTML.replace(/[\w./]+/g, (name) =>
      name.length > most ? name.replace(JOINTS, "$&<wbr>") : name,
    );
    code.innerHTML = jointed.replace(/(?<!\S)--?\w+/g, '<span class="option">$&</span>');
  }
});
