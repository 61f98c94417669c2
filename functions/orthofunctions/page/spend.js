// What the month has cost, against what it may.

import { get } from "./api.js";
import { byId, el } from "./dom.js";
import { eur, seconds } from "./format.js";
import { repeat } from "./poll.js";

const EVERY_MS = 30_000;

export function spend() {
  const body = byId("spend-body");
  let shown = "";

  repeat(async () => {
    const costs = await get("/costs");
    const seen = JSON.stringify(costs);
    if (seen !== shown) body.replaceChildren(card(costs));
    shown = seen;
    return EVERY_MS;
  }, (error) => {
    shown = "";
    body.replaceChildren(el("p", { class: "notice bad" }, error.message));
  });
}

function card(costs) {
  const used = costs.spent_eur + costs.reserved_eur;
  const of = costs.budget_eur;
  const month = new Date(`${costs.month}-15T00:00:00Z`).toLocaleDateString("en-GB", { month: "long", year: "numeric" });
  const sum = of === null ? `${eur(costs.spent_eur)} spent` : `${eur(costs.spent_eur)} of ${eur(of)} spent`;
  const facts = [
    costs.reserved_eur > 0 && `${eur(costs.reserved_eur)} more is reserved for what runs`,
    costs.contingency_eur > 0 && `if all of it takes as long as it may, ${eur(costs.contingency_eur)} beyond that`,
    of === null && "no limit is set for the month",
    costs.forecast_eur !== null && `at this pace ${eur(costs.forecast_eur)} by its end${of !== null && costs.forecast_eur > of ? ", more than the budget" : ""}`,
  ].filter(Boolean);
  return el("div", { class: "card budget" },
    el("h3", {}, month),
    el("p", { class: "sum" }, sum),
    of !== null && of > 0 && bar(costs, used, of),
    facts.length > 0 && el("p", { class: "fine" }, sentence(facts)),
    el("table", {},
      el("caption", { class: "unseen" }, "Slots used this month"),
      el("tbody", {},
        el("tr", {}, el("th", { scope: "row" }, "On-prem slots, paid for already"), el("td", { class: "number" }, seconds(costs.on_prem_slot_s))),
        el("tr", {}, el("th", { scope: "row" }, "Cloud slots"), el("td", { class: "number" }, seconds(costs.cloud_slot_s))))),
    costs.users?.length > 0 && users(costs.users));
}

function bar(costs, used, of) {
  const share = (money) => `${Math.min(100, (100 * money) / of)}%`;
  const spent = el("div", { class: "spent" });
  const reserved = el("div", { class: "reserved" });
  spent.style.width = share(costs.spent_eur);
  reserved.style.width = share(costs.reserved_eur);
  const percent = Math.round((100 * used) / of);
  return el("div", {
    class: "track", role: "meter", "aria-label": "Budget used", "aria-valuemin": 0, "aria-valuemax": 100,
    "aria-valuenow": Math.min(100, percent), "aria-valuetext": `${percent} % of the month's budget, reservations included`,
  }, spent, reserved);
}

function users(all) {
  return el("details", {},
    el("summary", {}, "By user"),
    el("div", { class: "wide" }, el("table", {},
      el("caption", { class: "unseen" }, "Spend by user"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "User"),
        ["Spent", "Reserved", "On-prem", "Cloud"].map((head) => el("th", { scope: "col", class: "number" }, head)))),
      el("tbody", {}, all.map((one) => el("tr", {},
        el("th", { scope: "row" }, one.user),
        [eur(one.spent_eur), eur(one.reserved_eur), seconds(one.on_prem_slot_s), seconds(one.cloud_slot_s)]
          .map((text) => el("td", { class: "number" }, text))))))));
}

function sentence(facts) {
  const text = facts.join("; ");
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
