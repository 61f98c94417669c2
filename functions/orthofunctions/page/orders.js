// Standing orders: what is made of products as they come.

import { get } from "./api.js";
import { byId, el } from "./dom.js";
import { seconds, when } from "./format.js";
import { repeat } from "./poll.js";

const EVERY_MS = 120_000;
const MISSIONS = { sentinel1: "Sentinel-1", sentinel2: "Sentinel-2", sentinel3: "Sentinel-3", rpc: "Images with RPC" };
const GRIDS = { mgrs: "Sentinel-2 tiles", footprint: "whole product", area: "an area", bounds: "a rectangle" };

export function orders() {
  const body = byId("orders-body");
  repeat(async () => {
    const answer = await get("/orders");
    body.replaceChildren(...(answer.orders.length
      ? answer.orders.map(card)
      : [el("p", { class: "empty" }, "None: uploads wait until somebody orders images of them.")]));
    return EVERY_MS;
  }, (error) => {
    const text = error.isAbsent ? "This service does not tell its standing orders." : error.message;
    body.replaceChildren(el("p", { class: "notice" }, text));
  });
}

function card(order) {
  return order.missions ? siteCard(order) : ownCard(order);
}

function siteCard(order) {
  return el("div", { class: "card budget" },
    el("h3", {}, "The site's default"),
    el("p", { class: "fine" }, `On uploads that no other order fits, in the name of ${order.user}.`),
    table(order, "Products", Object.entries(order.missions).map(([mission, template]) => [MISSIONS[mission] ?? mission, template])),
    order.terrain && el("p", { class: "fine" }, heights(order.terrain)));
}

function ownCard(order) {
  const filter = order.products ?? {};
  const wanted = ["missions", "platforms", "product_types", "modes", "polarisations", "relative_orbits"]
    .flatMap((name) => (filter[name] ?? []).map(String));
  const facts = [
    filter.area ? "where they touch its area" : "anywhere",
    filter.orbit_direction,
    filter.max_cloud_cover_percent !== undefined && `at most ${filter.max_cloud_cover_percent} % cloud`,
    order.until && `until ${when(order.until)}`,
    order.products_per_month !== undefined && (order.products_per_month === 0 ? "paused" : `at most ${order.products_per_month} products a month`),
  ].filter(Boolean);
  return el("div", { class: "card budget" },
    el("h3", {}, order.title || order.id),
    el("p", { class: "fine" }, facts.join("; ")),
    table(order, "Products", [[wanted.join(", ") || "all", order]]),
    order.terrain && el("p", { class: "fine" }, heights(order.terrain)));
}

function table(order, first, rows) {
  return el("div", { class: "wide", tabindex: 0, role: "group", "aria-label": `Standing order ${order.id}` }, el("table", {},
    el("caption", { class: "unseen" }, `Standing order ${order.id}`),
    el("thead", {}, el("tr", {}, [first, "Grid", "Options", "Patience"].map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map(([name, template]) => el("tr", {},
      el("th", { scope: "row" }, name),
      el("td", {}, gridIn(template.grid)),
      el("td", {}, optionsIn(template.options)),
      el("td", {}, template.patience_s === undefined ? "site's" : seconds(template.patience_s)))))));
}

const heights = (terrain) => `Heights: ${terrain.dem ?? `${terrain.height_m} m everywhere`}.`;

function gridIn(grid) {
  if (!grid) return "what suits them";
  const size = grid.spacing_m ?? grid.spacing;
  return [GRIDS[grid.kind] ?? grid.kind, size && `${size} m`].filter(Boolean).join(", ");
}

function optionsIn(options = {}) {
  const said = Object.entries(options).filter(([name, value]) => value !== null && !(name === "scale" && value === "linear") && String(value) !== "");
  return said.map(([name, value]) => `${name.replaceAll("_", " ")} ${String(value).replaceAll(",", ", ")}`).join("; ") || "what suits them";
}
