/* Built from extensions/views by "npm run build"; do not edit. sources-sha256: d37f12452008ae80eb95b5a0168274e57fdfeb0ef0d492e18d9852c0e541d94d */

// src/host.ts
function element(tag, kind, content = [], data = {}) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (typeof content === "string") made.textContent = content;
  else made.append(...content);
  for (const [name, value] of Object.entries(data)) made.setAttribute(`data-${name}`, value);
  return made;
}

// src/gauge.ts
var percent = (share) => share > 0 && share < 5e-3 ? "< 1%" : `${Math.round(100 * share)}%`;
function piece(kind, share, whole, label) {
  const made = element("span", "syn-piece", "", { kind });
  made.style.width = `${100 * share / whole}%`;
  made.title = `${label} ${percent(share)}`;
  return made;
}
function key(kind, text) {
  return element("li", "syn-key", [element("span", "syn-square", "", { kind }), element("span", "", text)]);
}
function bar(site, step) {
  const planned = step.reason ? "refused" : "planned";
  const taken = site.slices.filter((slice) => slice.share > 0);
  const sum = taken.reduce((total, slice) => total + slice.share, step.adds);
  const whole = Math.max(1, sum);
  const drawn = element("div", "syn-bar", [
    ...taken.map((slice) => piece(slice.kind, slice.share, whole, slice.label)),
    piece(planned, step.adds, whole, "one more request")
  ]);
  const free = sum > 1 ? `${percent(sum - 1)} too much` : `${percent(1 - sum)} free`;
  const said = [...taken.map((slice) => `${slice.label} ${percent(slice.share)}`), `this ${percent(step.adds)}`];
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", `${site.title}: ${[...said, free].join(", ")}`);
  const keys = [
    ...taken.map((slice, index) => key(slice.kind, said[index] ?? "")),
    key(planned, `this ${percent(step.adds)}`),
    element("li", "syn-free", free)
  ];
  return element("div", "syn-drawn", [drawn, element("ul", "syn-keys", keys)]);
}
function row(site, step) {
  const verdict = step.reason ? `would refuse it: ${step.reason}` : `leaves epsilon ${step.left.toPrecision(3)}`;
  return element(
    "section",
    "syn-site",
    [
      element("header", "syn-head", [element("strong", "", site.title), element("span", "syn-verdict", verdict)]),
      bar(site, step)
    ],
    { site: site.title, refused: step.reason ? "yes" : "no" }
  );
}
function render({ model, el }) {
  const sites = element("div", "syn-sites");
  sites.setAttribute("aria-live", "polite");
  const slider = document.createElement("input");
  const value = element("output", "syn-value");
  slider.type = "range";
  slider.min = "0";
  slider.step = "1";
  slider.setAttribute("data-testid", "gauge-slider");
  slider.setAttribute("aria-label", "Epsilon of one more request");
  const draw = () => {
    const epsilons = model.get("epsilons") ?? [];
    const at = Number(slider.value);
    value.textContent = String(epsilons[at] ?? "");
    slider.setAttribute("aria-valuetext", `epsilon ${epsilons[at] ?? ""}`);
    const told = model.get("sites") ?? [];
    sites.replaceChildren(...told.flatMap((site) => {
      const step = site.steps[at];
      return step ? [row(site, step)] : [];
    }));
  };
  const begin = () => {
    const epsilons = model.get("epsilons") ?? [];
    slider.max = String(Math.max(0, epsilons.length - 1));
    slider.value = String(model.get("chosen") ?? 0);
    draw();
  };
  const label = element("label", "syn-ask", [
    document.createTextNode("If one more request cost epsilon "),
    value,
    slider
  ]);
  el.replaceChildren(element("section", "syn-gauge", [label, sites], { testid: "budget-gauge" }));
  slider.addEventListener("input", draw);
  const events = ["change:sites", "change:epsilons", "change:chosen"];
  for (const event of events) model.on(event, begin);
  begin();
  return () => {
    for (const event of events) model.off(event, begin);
  };
}
var gauge_default = { render };
export {
  gauge_default as default,
  render
};
