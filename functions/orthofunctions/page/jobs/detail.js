// Why a job ran where it did, what it cost, and its files.

import { el } from "../dom.js";
import { bytes, eur, moment, plural, seconds } from "../format.js";
import { shortTitle } from "../names.js";
import { kindOf } from "../pools/kinds.js";
import { timelineBlock } from "./timeline.js";

const MOST_TASKS = 20;
const FILES = { image: "Image (COG)", mask: "Mask", browse: "Picture", item: "STAC Item" };

/** Nodes for what is known of a job. */
export function detailOf(job, { explained, results, trace }, act) {
  return [tasksBlock(explained), filesBlock(job, results, act), timelineBlock(trace), factsBlock(job, explained)].filter(Boolean);
}

function tasksBlock(explained) {
  if (!explained) return el("p", { class: "fine" }, "Asking why …");
  if (explained.problem) return el("p", { class: "notice bad" }, explained.problem);
  const tasks = [...explained.tasks, ...(explained.joined_tasks ?? [])];
  const more = tasks.length - MOST_TASKS;
  return el("div", { class: "block" },
    el("h4", {}, "Why it runs where it does"),
    tasks.length
      ? el("ul", { class: "tasks" }, tasks.slice(0, MOST_TASKS).map((task) => taskNode(task)))
      : el("p", { class: "fine" }, "Nothing had to run: all images were in the catalogue, or it is not planned yet."),
    more > 0 && el("p", { class: "fine" }, `and ${plural(more, "more task")}`));
}

function taskNode(task) {
  const kind = kindOf(task.pool);
  const decision = task.decision;
  const attempts = task.failures + task.silences;
  return el("li", { class: "task", "data-kind": kind, "data-pool": task.pool },
    el("div", { class: "line" },
      el("strong", {}, task.title ? shortTitle(task.title) : task.task_id),
      el("span", { class: "tag", "data-state": task.state }, task.state === "pending" ? "waiting" : task.state),
      task.pool && el("span", { class: "tag", "data-kind": kind }, task.pool),
      task.state === "running" && el("span", { class: "fine" }, `${Math.round(100 * task.progress)} %${task.phase ? `, ${task.phase}` : ""} on ${task.agent ?? "a worker"}`),
      attempts > 0 && el("span", { class: "fine" }, `${plural(attempts, "attempt")} before`)),
    decision?.sentence && el("p", { class: "why" }, decision.sentence),
    task.waits && el("p", { class: "why" }, `It waits: ${task.waits}.`),
    task.fault && el("p", { class: "why bad" }, `${task.fault.kind}: ${task.fault.message}`),
    decision?.figures && figuresTable(task, decision));
}

function figuresTable(task, decision) {
  const pools = Object.entries(decision.figures);
  const withDeadline = pools.some(([, one]) => one.in_time !== null && one.in_time !== undefined);
  const row = ([pool, one]) =>
    el("tr", { class: pool === decision.pool ? "chosen" : "" },
      el("th", { scope: "row" }, el("span", { class: "tag", "data-kind": one.kind }, pool), pool === decision.pool && el("span", { class: "unseen" }, " chosen")),
      el("td", { class: "number" }, one.free_slots),
      el("td", { class: "number" }, one.start_in_s === null || one.start_in_s === undefined ? "unknown" : seconds(one.start_in_s)),
      el("td", { class: "number" }, seconds(one.transfer_s)),
      el("td", { class: "number" }, seconds(one.run_s)),
      el("td", { class: "number" }, one.cost_eur ? eur(one.cost_eur) : "none"),
      withDeadline && el("td", {}, one.in_time ? "yes" : "no"),
      el("td", {}, one.basis));
  return el("details", { "data-key": task.task_id },
    el("summary", {}, "What every pool had to offer then"),
    el("div", { class: "wide" },
      el("table", {},
        el("caption", { class: "unseen" }, "What every pool had to offer when this was decided"),
        el("thead", {}, el("tr", {},
          el("th", { scope: "col" }, "Pool"),
          ["Free slots", "Starts in", "Transfer", "Run", "Cost"].map((head) => el("th", { scope: "col", class: "number" }, head)),
          withDeadline && el("th", { scope: "col" }, "In time"),
          el("th", { scope: "col" }, "Capacity"))),
        el("tbody", {}, pools.map(row)))));
}

function filesBlock(job, results, act) {
  if (!results) return null;
  if (results.problem) return job.status === "failed" ? null : el("p", { class: "notice" }, results.problem);
  if (!results.outputs.length) return null;
  const isHere = (file) => /^https?:/.test(file.href ?? "");
  const onSite = results.outputs.some((output) => output.files.some((file) => !file.href));
  return el("div", { class: "block" },
    el("h4", {}, "Files"),
    el("ul", { class: "tasks" }, results.outputs.map((output) =>
      el("li", {},
        el("div", { class: "line" }, shortTitle(output.title ?? output.digest), " ",
          output.pool && el("span", { class: "tag", "data-kind": kindOf(output.pool) }, output.pool)),
        el("div", { class: "files" }, output.files.map((file) => {
          const words = [FILES[file.kind] ?? file.kind.replaceAll("_", " "), file.size && bytes(file.size)].filter(Boolean).join(", ");
          return isHere(file)
            ? el("a", { href: file.href, download: "", rel: "noreferrer" }, words)
            : el("span", { class: "fine" }, `${words} (on site)`);
        }))))),
    onSite && el("div", { class: "actions" },
      el("button", { type: "button", on: { click: () => act.copy(job) } }, "Copy what lies on site")));
}

function factsBlock(job, explained) {
  const cost = explained?.cost;
  const facts = [
    ["Ordered", moment(job.created)],
    job.started && ["Started", moment(job.started)],
    job.finished && ["Finished", moment(job.finished)],
    job.expires && ["Results kept until", moment(job.expires)],
    cost && ["Cost so far", `${cost.eur ? eur(cost.eur) : "none"}; ${seconds(cost.on_prem_slot_s)} of on-prem slots, ${seconds(cost.cloud_slot_s)} of cloud slots`],
    ["Job", job.jobID],
    ["Request", job.request_id],
  ].filter(Boolean);
  return el("details", { "data-key": "facts" },
    el("summary", {}, "Times and cost"),
    el("table", {}, el("tbody", {}, facts.map(([name, value]) =>
      el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value))))));
}
