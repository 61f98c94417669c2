// One job of the list: what, how far, what can be done about it.

import { el, setText } from "../dom.js";
import { ago, moment } from "../format.js";
import { shortTitle } from "../names.js";
import { kindOf } from "../pools/kinds.js";
import { detailOf } from "./detail.js";

const WORDS = { accepted: "waiting", running: "running", successful: "successful", failed: "failed", dismissed: "cancelled" };

export const isOpen = (job) => job.status === "accepted" || job.status === "running";
export const wordFor = (status) => WORDS[status] ?? status;

/** What a job is called: its first product and tiles, once its tasks are known. */
export function titleOf(job, explained) {
  const title = job.title ?? [...(explained?.tasks ?? []), ...(explained?.joined_tasks ?? [])].find((task) => task.title)?.title
    ?? explained?.outputs.find((one) => one.title)?.title;
  return title ? shortTitle(title) : job.request_id;
}

/** `act` has cancel, retry, show and open, each given the job. */
export function jobRow(first, act) {
  let job = first;
  let expanded = false;
  let shownDetail = "";
  const id = `detail-${job.jobID}`;
  const state = el("span", { class: "tag" });
  const title = el("h3");
  const facts = el("p", { class: "facts" });
  const track = el("div", { class: "track" });
  const percent = el("span", { class: "number", "aria-hidden": "true" });
  const progress = el("div", { class: "progress", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, track, percent);
  const details = el("button", { type: "button", "aria-expanded": false, "aria-controls": id, on: { click: toggle } }, "Why and where");
  const buttons = {
    show: el("button", { type: "button", on: { click: () => act.show(job) } }, "On the map"),
    cancel: el("button", { type: "button", on: { click: () => leave(act.cancel) } }, "Cancel"),
    retry: el("button", { type: "button", on: { click: () => act.retry(job) } }, "Try again"),
  };
  const detail = el("div", { class: "detail", id, hidden: true });
  const node = el("li", { class: "job", "data-job": job.jobID },
    el("div", {}, state),
    el("div", { class: "what" }, title, facts),
    progress,
    el("div", { class: "actions" }, ...Object.values(buttons), details),
    detail);

  function toggle() {
    expanded = !expanded;
    details.setAttribute("aria-expanded", expanded);
    detail.hidden = !expanded;
    act.open(job, expanded);
  }

  /** A button that goes away must not take the focus with it. */
  function leave(action) {
    if (document.activeElement === buttons.cancel) details.focus();
    action(job);
  }

  function update({ job: next, explained, results, trace }) {
    job = next;
    const name = titleOf(job, explained);
    setText(state, wordFor(job.status));
    state.dataset.state = job.status;
    setText(title, name);
    setText(facts, [job.message, `${job.source === "upload" ? "by standing order" : "ordered"} ${ago(job.created)}`].filter(Boolean).join(" · "));
    facts.title = moment(job.created);
    facts.classList.toggle("bad", job.status === "failed");
    progress.setAttribute("aria-label", `Progress of ${name}`);
    progress.setAttribute("aria-valuenow", job.progress);
    setText(percent, `${job.progress} %`);
    drawParts(track, job.progress, explained?.tasks ?? []);
    for (const [action, button] of Object.entries(buttons)) {
      button.setAttribute("aria-label", `${button.textContent}: ${name}`);
      button.hidden = { show: job.progress === 0 || job.status === "dismissed", cancel: !isOpen(job), retry: job.status !== "failed" && job.status !== "dismissed" }[action];
    }
    details.setAttribute("aria-label", `Why and where: ${name}`);
    if (expanded) {
      const seen = JSON.stringify([job.status, { ...explained, at: 0 }, results && results.outputs?.length, results?.problem, trace?.as_of, trace?.problem]);
      if (seen !== shownDetail) {
        shownDetail = seen;
        const open = new Set([...detail.querySelectorAll("details[open]")].map((one) => one.dataset.key));
        detail.replaceChildren(...detailOf(job, { explained, results, trace }, act));
        for (const one of detail.querySelectorAll("details")) one.open = open.has(one.dataset.key);
      }
    }
  }

  return { node, update, isExpanded: () => expanded };
}

/** The bar, in the colours of the pools that did each part. */
function drawParts(track, percent, tasks) {
  const ran = tasks.filter((task) => task.pool && task.progress > 0);
  const sum = ran.reduce((all, task) => all + task.progress, 0);
  const shares = new Map();
  for (const task of ran) {
    const kind = kindOf(task.pool);
    shares.set(kind, (shares.get(kind) ?? 0) + (task.progress / sum) * percent);
  }
  if (!shares.size) shares.set("", percent);
  const parts = [...shares].sort().reverse(); // the centre first
  while (track.children.length > parts.length) track.lastChild.remove();
  parts.forEach(([kind, width], n) => {
    const part = track.children[n] ?? track.appendChild(el("div", { class: "part" }));
    part.dataset.kind = kind;
    part.style.width = `${width}%`;
  });
}
