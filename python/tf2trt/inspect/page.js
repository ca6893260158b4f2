// Search, sorting, the picture's colours and size, and what is known of a layer. All data is in the page.
const layers = JSON.parse(document.getElementById("layers-data").textContent);
const picture = document.getElementById("picture");
const detail = document.getElementById("detail");
const rows = [...document.querySelectorAll("#layers tbody tr")];
const boxes = new Map([...document.querySelectorAll("#picture .layer")].map((box) => [box.dataset.at, box]));
const find = (at) => layers[at[0]][Number(at.slice(1))];

// --- search: of every word, in all that is known of a layer -----------------------------------------------------------
const shape = (tensor) => (tensor.shape ? tensor.shape.map((n) => (n < 0 ? "?" : n)).join("x") || "scalar" : "");
const words = (layer) => [
  layer.name, layer.kind, layer.precision, layer.tactic, layer.plugin ? "plugin" : "", ...layer.nodes,
  ...layer.keras_layers, ...layer.ops, ...Object.values(layer.details || {}),
  ...[...layer.inputs, ...layer.outputs].flatMap((tensor) => [tensor.name, tensor.dtype, shape(tensor), tensor.layout]),
].join("\n").toLowerCase();
const texts = new Map();
for (const name of Object.keys(layers)) layers[name].forEach((layer, place) => texts.set(name + place, words(layer)));

function search() {
  const wanted = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const differing = document.getElementById("differing");
  const fits = (at) => wanted.every((word) => texts.get(at).includes(word));
  let shown = 0;
  for (const row of rows) {
    const off = !row.dataset.at.split(" ").some(fits) || (differing && differing.checked && !row.matches(".differs"));
    row.hidden = off;
    row.classList.toggle("hidden", off);
    shown += off ? 0 : 1;
  }
  for (const [at, box] of boxes) box.classList.toggle("off", !fits(at));
  const first = wanted.length && picture?.querySelector("[id^=view]:not(.hidden) .layer:not(.off)");
  if (first) reveal(first);
  const count = document.getElementById("count");
  count.dataset.word ||= count.textContent.replace(/^\d+ /, "");
  count.textContent = (shown === rows.length ? shown : `${shown} of ${rows.length}`) + " " + count.dataset.word;
}
for (const name of ["search", "differing"]) document.getElementById(name)?.addEventListener("input", search);

// --- sorting by a column; a third click brings the order in which the layers run back -----------------------------------
for (const button of document.querySelectorAll("#layers [data-sort]")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const column = [...head.parentNode.children].indexOf(head);
    const next = { none: button.dataset.sort === "number" && column ? "descending" : "ascending" };
    next.descending = column && button.dataset.sort === "number" ? "ascending" : "none";
    next.ascending = column && button.dataset.sort === "number" ? "none" : "descending";
    const order = next[head.getAttribute("aria-sort")];
    for (const each of head.parentNode.children) each.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", order);
    const value = (row) => {
      const text = row.children[column].textContent;
      return button.dataset.sort === "number" ? parseFloat(text) || 0 : text;
    };
    const sorted = [...rows];
    if (order !== "none") {
      const sign = order === "ascending" ? 1 : -1;
      sorted.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        return sign * (typeof x === "number" ? x - y : x.localeCompare(y));
      });
    }
    document.querySelector("#layers tbody").append(...sorted);
  });
}

// --- the picture --------------------------------------------------------------------------------------------------------
const canvas = picture?.querySelector(".canvas");
let scale = 1;

function zoom(to) {
  const middle = (canvas.scrollTop + canvas.clientHeight / 2) / scale;
  scale = Math.min(4, Math.max(0.05, to));
  for (const svg of canvas.querySelectorAll("[id^=view]")) {
    const box = svg.viewBox.baseVal;
    svg.setAttribute("width", box.width * scale);
    svg.setAttribute("height", box.height * scale);
  }
  canvas.scrollTop = middle * scale - canvas.clientHeight / 2;
}
function fit() {
  const seen = [...canvas.querySelectorAll("[id^=view]:not(.hidden)")];
  zoom(Math.min(1, (canvas.clientWidth - 24) / seen.reduce((sum, svg) => sum + svg.viewBox.baseVal.width, 0)));
}
function centre() {
  const [frame, box] = [canvas, canvas.querySelector("[id^=view]:not(.hidden) rect")].map((each) => each.getBoundingClientRect());
  canvas.scrollLeft += box.x - frame.x + (box.width - frame.width) / 2;
}
function reveal(box) {
  const [frame, rect] = [canvas.getBoundingClientRect(), box.getBoundingClientRect()];
  canvas.scrollBy(rect.x - frame.x + (rect.width - frame.width) / 2, rect.y - frame.y + (rect.height - frame.height) / 2);
}
function press(kind, name) {
  for (const button of picture.querySelectorAll(`[data-${kind}]`)) {
    button.setAttribute("aria-pressed", button.dataset[kind] === name);
  }
}
let shown = canvas?.dataset.shown;
function show(name) {
  shown = name;
  press("view", name);
  for (const svg of canvas.querySelectorAll("[id^=view]")) svg.classList.toggle("hidden", name !== "both" && svg.id !== `view-${name}`);
}

// --- one layer ----------------------------------------------------------------------------------------------------------
function entry(list, label, value) {
  if (!value || !value.length) return;
  const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
  dt.textContent = label;
  dd.textContent = Array.isArray(value) ? value.join(", ") : value;
  list.append(dt, dd);
}
function choose(at, scroll) {
  for (const each of document.querySelectorAll(".chosen")) each.classList.remove("chosen");
  for (const row of rows) row.classList.toggle("chosen", row.dataset.at.split(" ").includes(at));
  detail.classList.toggle("hidden", !at);
  if (!at) return;
  const box = boxes.get(at);
  if (shown !== "both") show(at[0]);
  box?.classList.add("chosen");
  if (box && scroll) {
    reveal(box);
    picture.scrollIntoView({ block: "nearest" });
  }
  const layer = find(at);
  const tensor = (each) => [each.name, each.dtype, shape(each)].filter(Boolean).join(" ");
  const head = document.createElement("header");
  const title = document.createElement("b");
  title.textContent = (layer.keras_layers.length ? layer.keras_layers : [layer.name]).join(" + ");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "\u00d7";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => choose(""));
  head.append(title, close);
  const list = document.createElement("dl");
  list.className = "known";
  entry(list, "name", layer.name);
  entry(list, "type", layer.kind);
  entry(list, "precision", layer.precision);
  entry(list, "time", layer.ms === undefined ? "" : `${layer.ms.toFixed(4)} ms`);
  entry(list, "Keras", layer.keras_layers);
  entry(list, "op", layer.ops);
  entry(list, "ONNX", layer.nodes);
  entry(list, "inputs", layer.inputs.map(tensor));
  entry(list, "outputs", layer.outputs.map(tensor));
  entry(list, "layout", [...new Set([...layer.inputs, ...layer.outputs].map((each) => each.layout))].filter(Boolean));
  entry(list, "tactic", layer.tactic);
  for (const [name, value] of Object.entries(layer.details || {})) entry(list, name, value);
  detail.replaceChildren(head, list);
}
for (const row of rows) {
  const first = row.dataset.at.split(" ")[0];
  row.addEventListener("click", (event) => choose(event.target.closest("[data-show]")?.dataset.show || first, true));
  row.addEventListener("keydown", (event) => event.key === "Enter" && choose(first, true));
}
if (picture) {
  canvas.addEventListener("click", (event) => {
    const box = event.target.closest(".layer");
    if (box) choose(box.dataset.at, false);
  });
  for (const button of picture.querySelectorAll("[data-color]")) {
    button.addEventListener("click", () => {
      picture.className = `by-${button.dataset.color}`;
      press("color", button.dataset.color);
    });
  }
  for (const button of picture.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => {
      show(button.dataset.view);
      centre();
    });
  }
  document.getElementById("in").addEventListener("click", () => zoom(scale * 1.25));
  document.getElementById("out").addEventListener("click", () => zoom(scale / 1.25));
  document.getElementById("fit").addEventListener("click", fit);
  centre();
}
document.documentElement.dataset.ready = "yes";
