// The request tracker: where one Request is between submitted and released, what each site said, how the rounds go.

import { element, type Host } from "./host";

interface Verdict {
  site: string;
  verdict: "waiting" | "approved" | "rejected";
  reason: string;
  by: string;
}

interface Progress {
  round?: number;
  max_rounds?: number;
  text?: string;
}

interface RequestView {
  id: string;
  name: string;
  status: string;
  title: string;
  mode: string;
  purpose: string;
  plan_digest: string;
  datasets: string[];
  sites: Verdict[];
  progress: Progress | null;
  failure: { message: string; hint: string } | null;
  submitted_at: string;
  updated_at: string;
}

const STEPS = ["submitted", "under_review", "approved", "running", "released"];
const WRONG_ENDS = ["rejected", "failed", "expired", "revoked", "withdrawn"];
const WORDS: Record<string, string> = { under_review: "under review" };
const SIGNS: Record<Verdict["verdict"], string> = { approved: "✓", rejected: "✕", waiting: "…" };

const spoken = (status: string): string => WORDS[status] ?? status;

/** The step at which a Request stands, or stood when it ended without a result. */
function reached(view: RequestView): number {
  if (view.status === "failed") return STEPS.indexOf("running");
  const step = STEPS.indexOf(view.status);
  return step >= 0 ? step : STEPS.indexOf("under_review");
}

function stepper(view: RequestView): HTMLElement {
  const now = reached(view);
  const wrong = WRONG_ENDS.includes(view.status);
  const items = STEPS.map((status, index) => {
    const done = index < now || view.status === "released";
    const state = done ? "done" : index > now ? "ahead" : wrong ? "wrong" : "now";
    const label = state === "wrong" ? view.status : spoken(status);
    const item = element(
      "li",
      "syn-step",
      [element("span", "syn-dot", state === "done" ? "✓" : state === "wrong" ? "✕" : String(index + 1)),
        element("span", "syn-step-label", label)],
      { step: status, state },
    );
    if (state === "now" || state === "wrong") item.setAttribute("aria-current", "step");
    return item;
  });
  return element("ol", "syn-steps", items);
}

function chips(view: RequestView): HTMLElement {
  const items = view.sites.map((site) => {
    const chip = element(
      "li",
      "syn-chip",
      [element("span", "syn-sign", SIGNS[site.verdict] ?? "…"), element("span", "", site.site),
        element("span", "syn-verdict", site.verdict)],
      { site: site.site, verdict: site.verdict },
    );
    chip.title = [site.by && `by ${site.by}`, site.reason].filter(Boolean).join(": ");
    return chip;
  });
  return element("ul", "syn-chips", items, { testid: "tracker-sites" });
}

function rounds(view: RequestView): HTMLElement[] {
  const progress = view.progress;
  if (!progress) return [];
  const { round = 0, max_rounds: most = 0 } = progress;
  const text = progress.text || (most ? `Round ${round} of at most ${most}` : "Starting");
  const line = element("p", "syn-progress", text, { testid: "tracker-progress" });
  if (!most) return [line];
  const bar = document.createElement("progress");
  bar.max = most;
  bar.value = Math.min(round, most);
  bar.setAttribute("aria-label", text);
  return [line, bar];
}

function reasons(view: RequestView, notice: string): HTMLElement[] {
  const told = view.sites
    .filter((site) => site.verdict === "rejected")
    .map((site) => `${site.site} rejected it${site.reason ? `: ${site.reason}` : "."}`);
  if (view.failure) told.push(`${view.failure.message} ${view.failure.hint}`.trim());
  if (notice) told.push(notice);
  return told.map((text) => element("p", "syn-reason", text, { testid: "tracker-reason" }));
}

function ending(view: RequestView): HTMLElement[] {
  if (view.status !== "released") return [];
  return [element("p", "syn-next", [
    document.createTextNode("Released. See it: "),
    element("code", "", `%fed result ${view.name || view.id}`),
  ])];
}

function footer(view: RequestView, connection: string): HTMLElement {
  const link = connection === "lost" ? "connection lost, trying again" : connection === "live" ? "live" : "";
  const facts = [`Plan ${view.plan_digest.slice(0, 12)}`, view.datasets.join(", "), view.mode,
    `changed ${view.updated_at.slice(0, 16).replace("T", " ")} UTC`];
  return element("footer", "syn-foot", [
    element("span", "", facts.filter(Boolean).join(" · ")),
    ...(link ? [element("span", "syn-link", link, { connection })] : []),
  ]);
}

function card(view: RequestView, connection: string, notice: string): HTMLElement {
  const head = element("header", "syn-head", [
    element("strong", "syn-name", view.name || view.id),
    element("span", "syn-kind", view.title),
    element("span", "syn-badge", spoken(view.status), { badge: view.status }),
  ]);
  return element(
    "section",
    "syn-tracker",
    [head, element("p", "syn-purpose", view.purpose), stepper(view), chips(view), ...rounds(view),
      ...reasons(view, notice), ...ending(view), footer(view, connection)],
    { testid: "request-tracker", status: view.status, request: view.id, name: view.name },
  );
}

export function render({ model, el }: Host): () => void {
  const draw = (): void => {
    const view = model.get("view") as RequestView | undefined;
    if (!view?.status) return;
    const drawn = card(view, String(model.get("connection") ?? ""), String(model.get("notice") ?? ""));
    drawn.setAttribute("aria-live", "polite");
    el.replaceChildren(drawn);
  };
  const events = ["change:view", "change:connection", "change:notice"];
  for (const event of events) model.on(event, draw);
  draw();
  return () => {
    for (const event of events) model.off(event, draw);
  };
}

export default { render };
