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

// src/tracker.ts
var STEPS = ["submitted", "under_review", "approved", "running", "released"];
var STEPS_WITH_DECISION = ["submitted", "under_review", "approved", "running", "staged", "summing", "released"];
var WRONG_ENDS = ["rejected", "failed", "expired", "revoked", "withdrawn", "withheld"];
var STOOD_AT = { failed: "running", cleared: "summing", withheld: "staged" };
var WORDS = { under_review: "under review", staged: "release decision" };
var SIGNS = {
  approved: "✓",
  cleared: "✓",
  rejected: "✕",
  withheld: "✕",
  staged: "…",
  waiting: "…"
};
var spoken = (status) => WORDS[status] ?? status;
var steps = (view) => view.shape === "aggregate" ? STEPS_WITH_DECISION : STEPS;
function reached(view) {
  const step = steps(view).indexOf(STOOD_AT[view.status] ?? view.status);
  return step >= 0 ? step : STEPS.indexOf("under_review");
}
function stepper(view) {
  const now = reached(view);
  const wrong = WRONG_ENDS.includes(view.status);
  const items = steps(view).map((status, index) => {
    const done = index < now || view.status === "released";
    const state = done ? "done" : index > now ? "ahead" : wrong ? "wrong" : "now";
    const label = state === "wrong" ? view.status : spoken(status);
    const item = element(
      "li",
      "syn-step",
      [
        element("span", "syn-dot", state === "done" ? "✓" : state === "wrong" ? "✕" : String(index + 1)),
        element("span", "syn-step-label", label)
      ],
      { step: status, state }
    );
    if (state === "now" || state === "wrong") item.setAttribute("aria-current", "step");
    return item;
  });
  return element("ol", "syn-steps", items);
}
function chips(view) {
  const items = view.sites.map((site) => {
    const state = site.output?.state ?? site.verdict;
    const { by, reason } = site.output?.by ? site.output : site;
    const chip = element(
      "li",
      "syn-chip",
      [
        element("span", "syn-sign", SIGNS[state] ?? "…"),
        element("span", "", site.site),
        element("span", "syn-verdict", state)
      ],
      { site: site.site, verdict: state }
    );
    chip.title = [by && `by ${by}`, reason].filter(Boolean).join(": ");
    return chip;
  });
  return element("ul", "syn-chips", items, { testid: "tracker-sites" });
}
function rounds(view) {
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
function reasons(view, notice) {
  const told = view.sites.filter((site) => site.verdict === "rejected").map((site) => `${site.site} rejected it${site.reason ? `: ${site.reason}` : "."}`);
  for (const { site, output } of view.sites) {
    if (output?.state === "withheld") told.push(`${site} does not let its output go: ${output.reason}`);
  }
  if (view.failure) told.push(`${view.failure.message} ${view.failure.hint}`.trim());
  if (notice) told.push(notice);
  return told.map((text) => element("p", "syn-reason", text, { testid: "tracker-reason" }));
}
function questions(view) {
  const thread = view.thread ?? [];
  const answered = thread.map((said) => !said.site).lastIndexOf(true);
  const open = thread.slice(answered + 1);
  if (!open.length || view.status !== "under_review") return [];
  const answer = element("code", "", `%fed answer ${view.name || view.id} "..."`);
  return [
    ...open.map((said) => element("p", "syn-question", `${said.site} asks: ${said.text}`, { testid: "tracker-question" })),
    element("p", "syn-next", [document.createTextNode("Answer: "), answer])
  ];
}
function ending(view) {
  if (view.status !== "released") return [];
  return [element("p", "syn-next", [
    document.createTextNode("Released. See it: "),
    element("code", "", `%fed result ${view.name || view.id}`)
  ])];
}
function footer(view, connection) {
  const link = connection === "lost" ? "connection lost, trying again" : connection === "live" ? "live" : "";
  const facts = [
    `Plan ${view.plan_digest.slice(0, 12)}`,
    view.datasets.join(", "),
    view.mode,
    `changed ${view.updated_at.slice(0, 16).replace("T", " ")} UTC`
  ];
  return element("footer", "syn-foot", [
    element("span", "", facts.filter(Boolean).join(" · ")),
    ...link ? [element("span", "syn-link", link, { connection })] : []
  ]);
}
function card(view, connection, notice) {
  const head = element("header", "syn-head", [
    element("strong", "syn-name", view.name || view.id),
    element("span", "syn-kind", view.title),
    element("span", "syn-badge", spoken(view.status), { badge: view.status })
  ]);
  return element(
    "section",
    "syn-tracker",
    [
      head,
      element("p", "syn-purpose", view.purpose),
      stepper(view),
      chips(view),
      ...rounds(view),
      ...questions(view),
      ...reasons(view, notice),
      ...ending(view),
      footer(view, connection)
    ],
    { testid: "request-tracker", status: view.status, request: view.id, name: view.name }
  );
}
function render({ model, el }) {
  const draw = () => {
    const view = model.get("view");
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
var tracker_default = { render };
export {
  tracker_default as default,
  render
};
