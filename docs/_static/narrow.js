// On narrow screens a table of words that does not fit shows each row as a list, under
// the titles of its columns; figures of several panels scroll at a legible size. Lines of
// code that nearly fit are set in smaller type.
const narrow = window.matchMedia("(max-width: 46em)");

function arrange() {
  for (const table of document.querySelectorAll(".table-wrapper > table")) {
    const wrapper = table.parentElement;
    const titles = [...table.querySelectorAll("thead th")].map((th) => th.textContent);
    const cells = [...table.querySelectorAll("tbody td")];
    const numbers = cells.filter((td) => /^\s*[−–\d]/.test(td.textContent));
    table.classList.remove("stacked");
    const fits = wrapper.scrollWidth <= wrapper.clientWidth;
    if (!narrow.matches || fits || numbers.length > cells.length / 2) continue;
    for (const td of cells) {
      td.dataset.title = titles[td.cellIndex] ?? "";
      td.classList.toggle("empty", !td.textContent.trim());
    }
    table.classList.add("stacked");
  }
  for (const img of document.querySelectorAll("article img:not(.wide)")) {
    const drawnFor = parseFloat(img.style.width) || img.naturalWidth;
    if (drawnFor > 720) img.closest("p, figure, div").classList.add("panels");
  }
  for (const pre of document.querySelectorAll(".highlight-text pre, .output pre")) {
    pre.classList.toggle("one-line", !pre.textContent.trim().includes("\n"));
  }
  for (const pre of document.querySelectorAll("article pre")) {
    pre.style.fontSize = "";
    const style = getComputedStyle(pre);
    const padding = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    const room = (pre.clientWidth - padding) / (pre.scrollWidth - padding);
    if (room < 1 && room > 0.8) {
      pre.style.fontSize = `${parseFloat(style.fontSize) * room * 0.995}px`;
    }
  }
}

window.addEventListener("load", arrange);
narrow.addEventListener("change", arrange);
// Code that is unfolded has its width only then.
document.addEventListener("toggle", arrange, true);
