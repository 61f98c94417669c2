// A new order: area, products, image; what it would take; submit.

import { Problem, askAgain, post } from "../api.js";
import { say } from "../announce.js";
import { el, note, setText } from "../dom.js";
import { count, eur, plural, seconds } from "../format.js";
import { areaFields } from "./area.js";
import { optionFields } from "./options.js";
import { productFields } from "./products.js";

const PROCESS = "orthorectify";
const SETTLED_MS = 500;
const NO_ESTIMATES = "This service gives no estimates; an order can still be placed.";

/** `onTyped` is given an area that was typed, `onSubmitted` the new job. */
export function orderForm(panel, view, { onTyped, onSubmitted }) {
  let area = null;
  let requestId = newId();
  let timer = null;
  let asking = 0;
  let gives = true;

  const areas = areaFields(onTyped);
  const products = productFields(view, changed);
  const options = optionFields(changed);
  const estimate = el("div", { class: "estimate", role: "status" });
  const problem = el("p", { class: "notice", role: "alert", hidden: true });
  const submit = el("button", { type: "submit", class: "strong" }, "Order");
  const form = el("form", { class: "form", novalidate: true },
    areas.node, products.node, options.node,
    el("div", {}, el("h3", { class: "unseen" }, "Estimate"), estimate),
    problem,
    el("div", { class: "actions" }, submit));
  panel.append(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    order();
  });
  changed();

  function missing() {
    if (!products.chosen().length) return "Choose at least one product.";
    if (options.needsArea() && !area) return "Draw an area, or take another grid.";
    return null;
  }

  function inputs() {
    return { products: products.chosen(), ...options.inputs(area) };
  }

  function changed() {
    requestId = newId();
    note(problem, null);
    clearTimeout(timer);
    asking += 1;
    const lacks = missing();
    submit.disabled = Boolean(lacks);
    if (lacks) setText(estimate, lacks);
    else timer = setTimeout(reckon, SETTLED_MS);
  }

  async function reckon() {
    const mine = asking;
    let said = [NO_ESTIMATES];
    try {
      if (!gives) throw new Problem(404, {});
      const answer = await post("/batches", { validate_only: true, executions: [{ process: PROCESS, inputs: inputs() }] });
      said = inWords(answer.executions[0]);
    } catch (error) {
      if (error.isAbsent) gives = false; // it is not asked again
      else said = [error instanceof Problem ? error.message : "The estimate could not be read."];
    }
    if (mine === asking) estimate.replaceChildren(...said);
  }

  async function order() {
    if (missing()) return;
    askAgain();
    submit.disabled = true;
    note(problem, null);
    try {
      const job = await post(`/processes/${PROCESS}/execution`, { inputs: { request_id: requestId, ...inputs() } });
      requestId = newId();
      setText(estimate, "Ordered: it is the first under Jobs.");
      say("The order was accepted");
      onSubmitted(job);
    } catch (error) {
      const faults = error.errors?.map((one) => `${one.at.replace(/^inputs\./, "")}: ${one.message}`) ?? [];
      note(problem, faults.length ? `Not accepted. ${faults.join("; ")}` : error.message);
    }
    submit.disabled = Boolean(missing());
  }

  return {
    setArea(next) {
      area = next;
      areas.show(area);
      products.look(area);
      changed();
    },
  };
}

/** An answer of validate_only, as nodes. */
function inWords(one) {
  if (!one.valid) {
    const faults = (one.errors ?? []).map((fault) => (typeof fault === "string" ? fault : fault.message));
    return [`It would not be accepted: ${faults.join("; ") || "no reason was given"}`];
  }
  const figures = [
    plural(one.images, "image"),
    one.megapixels !== undefined && one.megapixels !== null && `${count(one.megapixels)} Mpx`,
    one.run_s !== undefined && one.run_s !== null && `about ${seconds(one.run_s)}`,
    one.eur ? eur(one.eur) : "no money",
  ].filter(Boolean);
  const where = [one.pool && `would run in ${one.pool}`, one.why].filter(Boolean).join(": ");
  return [el("strong", {}, figures.join(" · ")), el("span", {}, where)];
}

/** One id for one order, however often the button is pressed or the answer is lost. */
function newId() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `p${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
