// Where a job's time went: bars to scale, and each attempt in words.

import { el, svg } from "../dom.js";
import { atSecond, plural, took } from "../format.js";
import { shortTitle } from "../names.js";

const MOST_TASKS = 10;
const WIDTH = 1000; // of a bar's own coordinates
const PHASES = {
  queue: ["waiting for its plan", "wait"],
  planning: ["planning", "office"],
  earlier: ["earlier, not kept", "unknown"],
  slot: ["waiting for a slot", "wait"],
  back_off: ["waiting before another attempt", "bad"],
  start: ["waiting for a worker", "wait"],
  fetch: ["fetching", "fetch"],
  compute: ["computing", "compute"],
  deliver: ["delivering", "deliver"],
  run: ["at work", "compute"],
  commit: ["being checked and entered", "office"],
  lost: ["lost with its worker", "bad"],
  settle: ["its end being written", "office"],
};

const wordFor = (phase) => PHASES[phase]?.[0] ?? phase.replaceAll("_", " ");
const paintOf = (phase) => PHASES[phase]?.[1] ?? "unknown";

/** A block of the detail; closed until somebody wants to know. */
export function timelineBlock(trace) {
  if (!trace) return null;
  if (trace.problem) return el("p", { class: "notice" }, trace.problem);
  const first = (one) => (one.critical ? 0 : 1);
  const tasks = [...trace.tasks].sort((a, b) => first(a) - first(b) || b.seconds - a.seconds);
  const more = tasks.length - MOST_TASKS;
  const so = trace.finished ? "" : " so far";
  return el("details", { "data-key": "timeline" },
    el("summary", {}, "Where the time went"),
    el("div", { class: "timeline" },
      trace.longest && el("p", { class: "why" }, `${trace.longest.summary}, of ${took(trace.total_s)}${so}.`),
      (trace.longest?.says ?? []).map((sentence) => el("p", { class: "fine" }, sentence)),
      lane("The job", trace, trace.path, trace.total_s),
      el("ul", { class: "tasks" }, tasks.slice(0, MOST_TASKS).map((task) =>
        el("li", {},
          lane(task.title ? shortTitle(task.title) : task.task_id ?? "A task", trace, task.segments, task.seconds, task),
          el("ol", { class: "fine" }, attemptsOf(task.segments).map((text) => el("li", {}, text)))))),
      more > 0 && el("p", { class: "fine" }, `and ${plural(more, "task")} that took less`),
      totals(trace)));
}

function lane(name, trace, segments, seconds, task) {
  const said = segments.map((one) => `${wordFor(one.phase)} ${took(one.seconds)}`).join(", ");
  return el("div", { class: "lane" },
    el("div", { class: "line" },
      el("strong", {}, name),
      el("span", { class: "number fine" }, took(seconds)),
      task?.joined && el("span", { class: "fine" }, "another job's, which this one joined"),
      task?.run?.slow && el("span", { class: "tag", "data-state": "failed" }, "slow")),
    task?.run?.slow && el("p", { class: "why" }, task.run.says),
    svg("svg", { viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${said || "no time yet"}` },
      segments.map((one) => bar(trace, one))));
}

function bar(trace, one) {
  const start = Date.parse(trace.created);
  const whole = Math.max(1, Date.parse(trace.as_of) - start);
  const at = (iso) => (WIDTH * (Date.parse(iso) - start)) / whole;
  return svg("rect", { x: at(one.start), y: 0, width: Math.max(1, at(one.end) - at(one.start)), height: 10, "data-paint": paintOf(one.phase) },
    svg("title", {}, `${wordFor(one.phase)} ${took(one.seconds)}`));
}

/** A sentence for each wait and for each delivery. */
function attemptsOf(segments) {
  const groups = [];
  for (const one of segments) {
    const key = one.release ? `${one.release} ${one.delivery ?? ""}` : null;
    if (key && groups.at(-1)?.key === key) groups.at(-1).parts.push(one);
    else groups.push({ key, parts: [one] });
  }
  return groups.map(({ key, parts }) => {
    const [one] = parts;
    const which = key && `release ${one.release}${one.delivery ? `, delivery ${one.delivery}` : ""}`;
    const place = [which, one.pool && `in ${one.pool}`, one.agent && `on ${one.agent}`].filter(Boolean).join(" ");
    const phases = parts.map((part) => `${wordFor(part.phase)} ${took(part.seconds)}`).join(", ");
    const says = parts.find((part) => part.says)?.says;
    return `${atSecond(one.start)} ${key ? `${place}: ${phases}` : `${phases} ${place}`}${says ? ` (${says})` : ""}`;
  });
}

function totals(trace) {
  const ofJob = new Map();
  for (const one of trace.path) ofJob.set(one.phase, (ofJob.get(one.phase) ?? 0) + one.seconds);
  const known = [...Object.keys(PHASES), ...ofJob.keys(), ...Object.keys(trace.phases)];
  const phases = [...new Set(known)].filter((phase) => ofJob.has(phase) || phase in trace.phases);
  const share = (phase) => (ofJob.has(phase) && trace.total_s > 0 ? `${Math.round((100 * ofJob.get(phase)) / trace.total_s)} %` : "");
  return el("div", { class: "wide" },
    el("table", {},
      el("caption", { class: "unseen" }, "Time by phase"),
      el("thead", {}, el("tr", {},
        el("th", { scope: "col" }, "Phase"),
        ["Share", "Of the job", "Of all tasks"].map((head) => el("th", { scope: "col", class: "number" }, head)))),
      el("tbody", {}, phases.map((phase) => el("tr", {},
        el("th", { scope: "row" }, el("span", { class: "swatch", "data-paint": paintOf(phase) }), wordFor(phase)),
        el("td", { class: "number" }, share(phase)),
        el("td", { class: "number" }, ofJob.has(phase) ? took(ofJob.get(phase)) : ""),
        el("td", { class: "number" }, phase in trace.phases ? took(trace.phases[phase]) : ""))))));
}
