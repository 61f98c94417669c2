// One pool: its figures now, its load over time, its workers.

import { el, match, setText, svg } from "../dom.js";
import { ago, atMinute, plural, seconds } from "../format.js";
import { chart } from "./chart.js";

const KINDS = { onprem: "on-prem", cloud: "cloud", waiting: "" };
const ROWS = 30;

export function poolCard(pool) {
  const figures = Object.fromEntries(["running", "slots", "queued", "agents"].map((name) => [name, el("dd", {}, "–")]));
  const paused = el("span", { class: "tag" }, "paused");
  const graph = graphOf(pool.kind, `${pool.pool}: load over time`);
  const workers = workersOf();
  const node = el("article", { class: "card pool", "data-kind": pool.kind, "data-pool": pool.pool },
    el("div", { class: "heading-line" },
      el("h3", {}, pool.pool, " ", el("span", { class: "tag", "data-kind": pool.kind }, KINDS[pool.kind])),
      paused),
    el("dl", { class: "figures" },
      Object.entries(figures).map(([name, value]) => el("div", {}, el("dt", {}, name === "agents" ? "workers" : name), value))),
    graph.node, workers.node);

  return {
    node,
    update(next) {
      for (const [name, value] of Object.entries(figures)) setText(value, next[name]);
      paused.hidden = !next.paused;
      workers.update(next.workers);
    },
    draw: graph.draw,
  };
}

/** What waits for a decision belongs to no pool yet. */
export function waitingCard() {
  const n = el("dd", {}, "–");
  const graph = graphOf("waiting", "Tasks that wait for a decision, over time");
  const node = el("article", { class: "card pool", "data-kind": "waiting" },
    el("div", { class: "heading-line" }, el("h3", {}, "Waiting")),
    el("dl", { class: "figures" }, el("div", {}, el("dt", {}, "tasks"), n)),
    graph.node,
    el("p", { class: "fine" }, "Tasks wait here until a slot is free or their patience ends; under each job it says for what."));
  return { node, update: ({ pending }) => setText(n, pending >= 1000 ? "1000+" : pending), draw: graph.draw };
}

function graphOf(kind, label) {
  const drawing = svg("svg", { class: "chart", role: "img", "aria-label": label });
  const rows = el("tbody");
  const isPool = kind !== "waiting";
  const heads = isPool ? ["Time", "Running", "Queued", "Slots"] : ["Time", "Waiting"];
  const table = el("details", {},
    el("summary", {}, "Figures"),
    el("div", { class: "wide" }, el("table", {},
      el("caption", { class: "unseen" }, label),
      el("thead", {}, el("tr", {}, heads.map((head, n) => el("th", { scope: "col", class: n ? "number" : "" }, head)))),
      rows)));
  const node = el("figure", {},
    drawing,
    isPool && el("ul", { class: "legend", "aria-hidden": "true" },
      el("li", { class: "running" }, "running"), el("li", { class: "queued" }, "queued"), el("li", { class: "slots" }, "slots")),
    table);
  let last = null;

  function draw(points, from, to, most) {
    last = [points, from, to, most];
    chart(drawing, points, from, to, most);
    const peak = Math.max(0, ...points.map((one) => one.running));
    drawing.setAttribute("aria-label", `${label}: at most ${plural(peak, isPool ? "task" : "task")}, now ${points.at(-1)?.running ?? 0}`);
    if (!table.open) return;
    const step = Math.ceil(points.length / ROWS);
    const chosen = points.filter((_, n) => (points.length - 1 - n) % step === 0).toReversed();
    match(rows, chosen, (one) => one.at, (one) => ({
      node: el("tr", {}, el("th", { scope: "row" }, atMinute(new Date(one.at))),
        (isPool ? [one.running, one.queued, one.slots] : [one.running]).map((n) => el("td", { class: "number" }, n))),
    }));
  }

  new ResizeObserver(() => last && draw(...last)).observe(drawing);
  table.addEventListener("toggle", () => last && draw(...last));
  return { node, draw };
}

function workersOf() {
  const rows = el("tbody");
  const summary = el("summary", {}, "Workers");
  const node = el("details", { class: "workers" }, summary,
    el("div", { class: "wide" }, el("table", {},
      el("caption", { class: "unseen" }, "Workers"),
      el("thead", {}, el("tr", {}, ["Worker", "State", "Slots", "Runs", "Walltime left", "Machine", "Heard"].map((head) => el("th", { scope: "col" }, head)))),
      rows)));

  function rowOf() {
    const cells = Array.from({ length: 6 }, () => el("td"));
    const name = el("th", { scope: "row" });
    return {
      node: el("tr", {}, name, cells),
      update(worker) {
        setText(name, worker.agent);
        const left = worker.walltime_left_s;
        const runs = worker.running.map((one) => `${Math.round(100 * one.progress)} %${one.phase ? ` ${one.phase}` : ""}`);
        [worker.state, worker.slots, runs.join(", ") || "nothing", left === null || left === undefined ? "no limit" : seconds(left),
          worker.machine || "–", ago(worker.heard)].forEach((text, n) => setText(cells[n], text));
      },
    };
  }

  return {
    node,
    update(workers) {
      setText(summary, plural(workers.length, "worker"));
      match(rows, workers, (worker) => worker.agent, rowOf);
    },
  };
}
