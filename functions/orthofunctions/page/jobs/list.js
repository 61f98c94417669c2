// The jobs, newest first, looked at again and again; quickly while something moves.

import { askAgain, get, post, remove } from "../api.js";
import { say } from "../announce.js";
import { byId, match, note } from "../dom.js";
import { repeat } from "../poll.js";
import { filesOf } from "./files.js";
import { isOpen, jobRow, titleOf, wordFor } from "./row.js";

const [QUICK_MS, SLOW_MS] = [2000, 10_000];
const [PAGE, MOST] = [20, 500];
const AT_A_TIME = 4;

/** `onResults` is given a job whose images have come, `onShow` one to be put on the map. */
export function jobs({ onResults, onShow }) {
  const list = byId("jobs-list");
  const explanations = new Map();
  const files = new Map();
  const traces = new Map();
  const before = new Map(); // status by job, to tell what changed
  const pools = new Map(); // of tasks
  let limit = PAGE;
  let seen = [];

  const act = {
    open: () => look(),
    show: (job) => attempt(async () => {
      if (!(await onShow(job))) note(byId("jobs-notice"), "There is no image of this job yet.", false);
    }),
    cancel: (job) => attempt(async () => {
      await remove(`/jobs/${job.jobID}`);
      say(`${titleOf(job, explanations.get(job.jobID))} was cancelled`);
    }),
    retry: (job) => attempt(async () => {
      await post(`/jobs/${job.jobID}/retry`);
      say("Ordered again as a new job");
    }),
    copy: (job) => attempt(async () => {
      const made = await post(`/jobs/${job.jobID}/copies`);
      say(made.jobs.length ? "A job copies the images" : "All images are in blob storage already");
    }),
  };

  async function attempt(action) {
    askAgain();
    try {
      note(byId("jobs-notice"), null);
      await action();
    } catch (error) {
      note(byId("jobs-notice"), error.message);
      say(error.message);
    }
    look();
  }

  async function lookOnce() {
    const answer = await get("/jobs", { limit, status: byId("jobs-filter").value });
    const wanted = byId("jobs-filter").value.split(",").filter(Boolean);
    seen = answer.jobs.filter((job) => !wanted.length || wanted.includes(job.status));
    note(byId("jobs-notice"), null);
    byId("jobs-more").hidden = answer.jobs.length < limit || limit >= MOST;
    const empty = byId("jobs-empty");
    empty.hidden = seen.length > 0;
    empty.textContent = wanted.length ? "No such jobs." : "No jobs yet: draw an area on the map and order an image of it, or upload a product.";
    draw();
    await inTurn(seen.filter(wantsExplanation), explain);
    await inTurn(seen.filter((job) => part(job)?.isExpanded() && job.progress > 0), listFiles);
    await inTurn(seen.filter(wantsTrace), trace);
    draw();
    seen.forEach(tellChange);
    return seen.some(isOpen) ? QUICK_MS : SLOW_MS;
  }

  const part = (job) => list.parts?.get(job.jobID);

  function draw() {
    const known = seen.map((job) => ({ job, explained: explanations.get(job.jobID), results: files.get(job.jobID), trace: traces.get(job.jobID) }));
    match(list, known, ({ job }) => job.jobID, ({ job }) => jobRow(job, act));
  }

  function wantsExplanation(job) {
    const known = explanations.get(job.jobID);
    if (!known || known.status !== job.status || known.progress !== job.progress) return true;
    const age = Date.now() - known.at; // twenty open jobs must not use up what a caller may call in a minute
    return (isOpen(job) && (part(job)?.isExpanded() || age > SLOW_MS)) || (known.problem && age > SLOW_MS);
  }

  async function explain(job) {
    try {
      explanations.set(job.jobID, { ...(await get(`/jobs/${job.jobID}/explain`)), ...seenAt(job) });
    } catch (error) {
      explanations.set(job.jobID, { problem: error.message, outputs: [], tasks: [], ...seenAt(job) });
    }
    for (const task of explanations.get(job.jobID).tasks) {
      if (task.pool && pools.get(task.task_id) !== task.pool && before.has(job.jobID)) {
        say(`${titleOf(job, explanations.get(job.jobID))}: ${task.state} in ${task.pool}`);
      }
      pools.set(task.task_id, task.pool);
    }
  }

  async function listFiles(job) {
    const known = files.get(job.jobID);
    if (known && known.progress === job.progress) return;
    try {
      files.set(job.jobID, { outputs: await filesOf(job), progress: job.progress });
    } catch (error) {
      files.set(job.jobID, { problem: error.message, progress: job.progress });
    }
  }

  function wantsTrace(job) {
    if (!part(job)?.isExpanded()) return false;
    const known = traces.get(job.jobID);
    return !known || known.seen !== job.status || (Date.now() - known.at > SLOW_MS && (isOpen(job) || known.problem));
  }

  async function trace(job) {
    const when = { seen: job.status, at: Date.now() };
    try {
      traces.set(job.jobID, { ...(await get(`/jobs/${job.jobID}/trace`)), ...when });
    } catch (error) {
      traces.set(job.jobID, { problem: error.message, ...when });
    }
  }

  function tellChange(job) {
    const was = before.get(job.jobID);
    before.set(job.jobID, job.status);
    if (was === job.status) return;
    if (was !== undefined) say(`${titleOf(job, explanations.get(job.jobID))}: ${wordFor(job.status)}`);
    if (was !== undefined && job.status === "successful") onResults(job);
  }

  const look = repeat(lookOnce, (error) => {
    note(byId("jobs-notice"), error.message);
    byId("jobs-empty").hidden = true;
  });
  byId("jobs-filter").addEventListener("change", look);
  byId("jobs-more").addEventListener("click", () => {
    limit = Math.min(MOST, limit + PAGE);
    look();
  });
  return { look };
}

const seenAt = ({ status, progress }) => ({ status, progress, at: Date.now() });

async function inTurn(items, action) {
  const left = [...items];
  const one = async () => {
    while (left.length) await action(left.shift());
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, one));
}
