// The budget gauge: what is taken of each site's privacy budget, and what one more request of a chosen cost would leave.

import { element, type Host } from "./host";

interface Slice {
  label: string;
  share: number;
  kind: "others" | "yours" | "promised";
}

/** What one more request of the cost at the same place of `epsilons` would come to; `reason` is empty if it fits. */
interface Step {
  adds: number;
  left: number;
  reason: string;
}

interface SiteGauge {
  title: string;
  slices: Slice[];
  steps: Step[];
}

const percent = (share: number): string => (share > 0 && share < 0.005 ? "< 1%" : `${Math.round(100 * share)}%`);

function piece(kind: string, share: number, whole: number, label: string): HTMLElement {
  const made = element("span", "syn-piece", "", { kind });
  made.style.width = `${(100 * share) / whole}%`;
  made.title = `${label} ${percent(share)}`;
  return made;
}

function key(kind: string, text: string): HTMLElement {
  return element("li", "syn-key", [element("span", "syn-square", "", { kind }), element("span", "", text)]);
}

function bar(site: SiteGauge, step: Step): HTMLElement {
  const planned = step.reason ? "refused" : "planned";
  const taken = site.slices.filter((slice) => slice.share > 0);
  const sum = taken.reduce((total, slice) => total + slice.share, step.adds);
  const whole = Math.max(1, sum);
  const drawn = element("div", "syn-bar", [
    ...taken.map((slice) => piece(slice.kind, slice.share, whole, slice.label)),
    piece(planned, step.adds, whole, "one more request"),
  ]);
  const free = sum > 1 ? `${percent(sum - 1)} too much` : `${percent(1 - sum)} free`;
  const said = [...taken.map((slice) => `${slice.label} ${percent(slice.share)}`), `this ${percent(step.adds)}`];
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", `${site.title}: ${[...said, free].join(", ")}`);
  const keys = [...taken.map((slice, index) => key(slice.kind, said[index] ?? "")),
    key(planned, `this ${percent(step.adds)}`), element("li", "syn-free", free)];
  return element("div", "syn-drawn", [drawn, element("ul", "syn-keys", keys)]);
}

function row(site: SiteGauge, step: Step): HTMLElement {
  const verdict = step.reason ? `would refuse it: ${step.reason}` : `leaves epsilon ${step.left.toPrecision(3)}`;
  return element(
    "section",
    "syn-site",
    [element("header", "syn-head", [element("strong", "", site.title), element("span", "syn-verdict", verdict)]),
      bar(site, step)],
    { site: site.title, refused: step.reason ? "yes" : "no" },
  );
}

export function render({ model, el }: Host): () => void {
  const sites = element("div", "syn-sites");
  sites.setAttribute("aria-live", "polite");
  const slider = document.createElement("input");
  const value = element("output", "syn-value");
  slider.type = "range";
  slider.min = "0";
  slider.step = "1";
  slider.setAttribute("data-testid", "gauge-slider");
  slider.setAttribute("aria-label", "Epsilon of one more request");

  const draw = (): void => {
    const epsilons = (model.get("epsilons") as number[] | undefined) ?? [];
    const at = Number(slider.value);
    value.textContent = String(epsilons[at] ?? "");
    slider.setAttribute("aria-valuetext", `epsilon ${epsilons[at] ?? ""}`);
    const told = (model.get("sites") as SiteGauge[] | undefined) ?? [];
    sites.replaceChildren(...told.flatMap((site) => {
      const step = site.steps[at];
      return step ? [row(site, step)] : [];
    }));
  };
  const begin = (): void => {
    const epsilons = (model.get("epsilons") as number[] | undefined) ?? [];
    slider.max = String(Math.max(0, epsilons.length - 1));
    slider.value = String(model.get("chosen") ?? 0);
    draw();
  };
  const label = element("label", "syn-ask", [
    document.createTextNode("If one more request cost epsilon "), value, slider,
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

export default { render };
