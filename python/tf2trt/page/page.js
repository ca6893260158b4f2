// The switch: from what is seen now to the other, for as long as the page is open.
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});

// What has data-tip shows it: under the mouse, with the keyboard's focus, or tapped.
const tip = Object.assign(document.createElement("div"), { id: "tip", hidden: true });
tip.setAttribute("role", "tooltip");
document.body.append(tip);
const showTip = (target, x) => {
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  const box = target.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const middle = x === undefined ? box.left + box.width / 2 : x;
  const most = document.documentElement.clientWidth - own.width - 8;
  tip.style.left = `${Math.max(8, Math.min(middle - own.width / 2, most))}px`;
  tip.style.top = `${box.top > own.height + 12 ? box.top - own.height - 8 : box.bottom + 8}px`;
  target.setAttribute("aria-describedby", "tip");
};
const hideTip = () => { tip.hidden = true; };
document.addEventListener("pointerover", (event) => {
  const target = event.target.closest("[data-tip]");
  if (target) showTip(target, event.clientX); else hideTip();
});
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-tip]:focus-visible")) showTip(event.target);
});
document.addEventListener("focusout", hideTip);
document.addEventListener("scroll", hideTip, { passive: true, capture: true });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
