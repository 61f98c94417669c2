// Which products: those of the store that touch the area, or any by its name.

import { get } from "../api.js";
import { el, match, note, setText } from "../dom.js";
import { bytes, plural, when } from "../format.js";
import { shortName } from "../names.js";
import { boxOf } from "./area.js";

const MOST = 16; // in one request

/** `onChange` is called when other products are chosen. */
export function productFields(view, onChange) {
  const outlines = view.shapes("product");
  const chosen = new Set();
  let known = [];

  const message = el("p", { class: "fine", role: "status" }, "Those that touch the area are listed here.");
  const problem = el("p", { class: "notice", hidden: true });
  const list = el("ul", { class: "products", "aria-label": "Products in the store" });
  const name = el("input", { type: "text", spellcheck: "false", placeholder: "products/S1A_IW_GRDH_….SAFE", "aria-label": "Name of a product" });
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      add();
    }
  });

  async function look(area) {
    let found = [];
    outlines.clearLayers();
    if (area) {
      try {
        found = (await get("/products", { bbox: boxOf(area).join(","), limit: 100 })).features;
        setText(message, found.length
          ? `${plural(found.length, "product")} in the store, newest first`
          : "No product in the store touches this area. Draw another, or name a product.");
      } catch (error) {
        setText(message, error.isAbsent
          ? "This service does not list the products of its store: name them below."
          : `The products could not be listed. ${error.message}`);
      }
    }
    for (const feature of found) if (feature.geometry) outlines.addData(feature);
    known = [...known.filter((one) => chosen.has(one.ref) && !found.some((other) => other.properties.ref === one.ref)),
      ...found.map((feature) => feature.properties)];
    draw();
  }

  function add() {
    const ref = name.value.trim().replace(/^(?!products\/|id:)/, "products/").replace(/\/$/, "");
    if (ref === "products/") return;
    if (!known.some((one) => one.ref === ref)) known = [{ ref, name: ref }, ...known];
    choose(ref, true);
    name.value = "";
    draw();
  }

  function choose(ref, isChosen) {
    if (isChosen && chosen.size >= MOST) {
      note(problem, `One order takes up to ${MOST} products.`);
      draw();
      return;
    }
    note(problem, null);
    chosen[isChosen ? "add" : "delete"](ref);
    onChange();
  }

  function draw() {
    match(list, known, (one) => one.ref, (one) => {
      const box = el("input", { type: "checkbox", on: { change: () => choose(one.ref, box.checked) } });
      const facts = [one.product_type, one.start && when(one.start), one.size_bytes && bytes(one.size_bytes)];
      const node = el("li", {},
        el("label", { class: "check", title: one.ref }, box,
          el("span", {}, shortName(one.name ?? one.ref), el("span", { class: "fine" }, facts.filter(Boolean).join(" · ")))));
      return { node, update: () => { box.checked = chosen.has(one.ref); } };
    });
  }

  const node = el("fieldset", {},
    el("legend", {}, "2. Products"),
    message, list, problem,
    el("details", {},
      el("summary", {}, "Name a product of the store"),
      el("div", { class: "form" }, name,
        el("div", { class: "actions" }, el("button", { type: "button", on: { click: add } }, "Add it")))));

  return { node, look, chosen: () => [...chosen] };
}
