
// The buttons choose which charts are shown.
const chosen = {};
const buttons = [...document.querySelectorAll("[data-choose]")];
const show = () => {
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(chosen[button.dataset.choose] === button.dataset.value));
  }
  for (const chart of document.querySelectorAll("figure")) {
    chart.hidden = Object.keys(chosen).some((name) => name in chart.dataset && chart.dataset[name] !== chosen[name]);
  }
  document.querySelector(".nothing").hidden = document.querySelector("figure.bars:not([hidden])") !== null;
};
for (const button of buttons) {
  if (button.getAttribute("aria-pressed") === "true") chosen[button.dataset.choose] = button.dataset.value;
  button.addEventListener("click", () => {
    chosen[button.dataset.choose] = button.dataset.value;
    show();
  });
}
if (buttons.length) show();

// A subject of a legend: the others' lines fade while it is pointed at.
for (const entry of document.querySelectorAll(".legend li")) {
  const others = [...entry.closest("figure").querySelectorAll(".plot [data-series]")].filter(
    (each) => each.dataset.series !== entry.dataset.series,
  );
  const fade = (on) => others.forEach((each) => each.classList.toggle("dimmed", on));
  entry.addEventListener("pointerenter", () => fade(true));
  entry.addEventListener("pointerleave", () => fade(false));
}
