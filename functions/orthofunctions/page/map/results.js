// Images that are there: found by place and time, listed, outlined, and laid on the map.

import { get, post } from "../api.js";
import { say } from "../announce.js";
import { el, match, note, setText } from "../dom.js";
import { bytes, plural, when } from "../format.js";
import { shortName } from "../names.js";

const L = window.L;
const [A_PAGE, A_JOB] = [50, 100];
const NO_SEARCH = "This service offers no STAC search, so results cannot be put on the map. Their files are under Jobs.";

export function results(panel, view) {
  const outlines = view.shapes("footprint");
  const shown = new Map(); // layers of pictures by item id
  const boxes = new Map(); // outlines by item id
  let items = [];
  let token = null;
  let asked = {};

  const message = el("p", { class: "notice", hidden: true });
  const total = el("p", { class: "fine", role: "status" });
  const list = el("ul", { class: "results", "aria-label": "Results" });
  const more = el("button", { type: "button", hidden: true, on: { click: () => search({ ...asked, token }) } }, "Show more");
  const from = el("input", { type: "date" });
  const until = el("input", { type: "date" });
  const opacity = el("input", {
    type: "range", min: 0, max: 100, value: 100, "aria-label": "Opacity of the pictures in percent",
    on: { input: () => shown.forEach((layer) => layer.setOpacity(opacity.value / 100)) },
  });
  panel.append(
    el("div", { class: "results-form" },
      el("div", { class: "fields" }, el("label", {}, "Taken from ", from), el("label", {}, "until ", until)),
      el("div", { class: "actions" },
        el("button", { type: "button", class: "strong", on: { click: () => search({ bbox: visible() }) } }, "Search this view"),
        el("button", { type: "button", on: { click: () => search({}) } }, "Search everywhere"),
      ),
      el("label", {}, "Opacity ", opacity),
      message, total),
    list, more);

  function visible() {
    const bounds = view.map.getBounds();
    const clip = (value, most) => Math.max(-most, Math.min(most, Math.round(value * 1e5) / 1e5));
    return [clip(bounds.getWest(), 180), clip(bounds.getSouth(), 90), clip(bounds.getEast(), 180), clip(bounds.getNorth(), 90)];
  }

  async function search(query) {
    asked = { ...query, token: undefined };
    const body = { limit: A_PAGE, ...query };
    if (from.value || until.value) {
      body.datetime = `${from.value ? `${from.value}T00:00:00Z` : ".."}/${until.value ? `${until.value}T23:59:59Z` : ".."}`;
    }
    try {
      const found = await post("/stac/search", body);
      note(message, null);
      if (!query.token) clear();
      take(found.features);
      token = tokenOf(found.links);
      more.hidden = !token;
      setText(total, items.length ? `${plural(items.length, "image")}${token ? " so far" : ""}` : "No images there.");
      return found.features;
    } catch (problem) {
      note(message, problem.isAbsent ? NO_SEARCH : problem.message, !problem.isAbsent);
      return [];
    }
  }

  function take(found) {
    const known = new Set(items.map((item) => item.id));
    for (const item of found) {
      if (known.has(item.id)) continue;
      items.push(item);
      if (!item.geometry) continue;
      const outline = L.geoJSON(item, { pane: "shapes", style: { className: "footprint" } });
      outline.on("click", () => reveal(item));
      outline.addTo(outlines);
      boxes.set(item.id, outline);
    }
    draw();
  }

  function clear() {
    const kept = items.filter((item) => shown.has(item.id));
    for (const item of items) {
      if (shown.has(item.id)) continue;
      outlines.removeLayer(boxes.get(item.id) ?? outlines);
      boxes.delete(item.id);
    }
    items = kept;
  }

  const draw = () => match(list, items, (item) => item.id, (item) => row(item));

  function row(item) {
    const problem = el("p", { class: "facts", role: "status" });
    const box = el("input", { type: "checkbox", on: { change: () => toggle(item, box.checked, problem) } });
    const about = item.properties;
    const date = about.datetime ?? about.start_datetime;
    const facts = [date && when(date), about["orthoburst:radiometry"], spacingOf(item)].filter(Boolean).join(" · ");
    const data = item.assets?.data;
    const node = el("li", { class: "result", "data-item": item.id },
      el("label", { class: "title" }, box, el("span", {}, titleOf(item))),
      el("p", { class: "facts" }, facts),
      el("div", { class: "actions" },
        el("button", { type: "button", class: "quiet", on: { click: () => reveal(item) } }, "Zoom to it"),
        data?.href && el("a", { class: "button quiet", href: data.href, download: "" },
          `Image${data["file:size"] ? `, ${bytes(data["file:size"])}` : ""}`)),
      problem);
    return { node, box, problem, update: () => { box.checked = shown.has(item.id); } };
  }

  async function toggle(item, wanted, problem) {
    setText(problem, "");
    if (!wanted) {
      shown.get(item.id)?.remove();
      shown.delete(item.id);
    } else {
      try {
        await show(item);
        say(`${titleOf(item)} is on the map`);
      } catch (error) {
        setText(problem, `Not shown: ${error.message}`);
      }
    }
    choose(item, shown.has(item.id));
    draw();
  }

  async function show(item) {
    if (shown.has(item.id)) return;
    const href = item.assets?.thumbnail?.href;
    if (!/^https?:/.test(href ?? "")) throw new Error("the picture lies on site; ask for a copy of the job's images");
    const grid = gridOf(item);
    if (!grid) throw new Error("the item does not say in which projection it is");
    shown.set(item.id, await view.place(href, grid.epsg, grid.bbox, opacity.value / 100));
  }

  function choose(item, isChosen) {
    boxes.get(item.id)?.eachLayer((layer) => layer.getElement()?.classList.toggle("chosen", isChosen));
  }

  function reveal(item) {
    if (item.geometry) view.fit(L.geoJSON(item).getBounds());
    const part = list.parts?.get(item.id);
    part?.node.scrollIntoView({ block: "nearest" });
    if (part && !part.box.checked) {
      part.box.checked = true;
      toggle(item, true, part.problem);
    }
  }

  return {
    search,
    /** Outline a job's images; with `pictures` also draw them and go there. Resolves to how many there are. */
    async ofJob(job, { pictures }) {
      const { outputs } = await get(`/jobs/${job.jobID}/explain`);
      const ids = outputs.filter((one) => one.state === "committed").map((one) => one.digest).slice(0, A_JOB);
      if (!ids.length) return 0;
      let found;
      try {
        found = (await post("/stac/search", { ids, limit: ids.length })).features;
      } catch (problem) {
        if (problem.isAbsent) throw new Error(NO_SEARCH);
        throw problem;
      }
      take(found);
      if (pictures && found.length) {
        view.fit(L.geoJSON(found).getBounds());
        for (const item of found) {
          const { box, problem } = list.parts.get(item.id);
          box.checked = true;
          await toggle(item, true, problem);
        }
        list.parts.get(found[0].id).node.scrollIntoView({ block: "nearest" });
      }
      setText(total, plural(items.length, "image"));
      return found.length;
    },
  };
}

function titleOf(item) {
  const about = item.properties;
  const products = about["orthoburst:products"] ?? [];
  const { "mgrs:utm_zone": zone, "mgrs:latitude_band": band, "mgrs:grid_square": square } = about;
  const tile = zone ? ` · ${String(zone).padStart(2, "0")}${band}${square}` : "";
  return `${about.title ?? (products.length ? shortName(products[0]) : item.id.slice(0, 12))}${tile}`;
}

function spacingOf(item) {
  const step = item.properties["proj:transform"]?.[0];
  return step ? (step < 0.1 ? `${step.toPrecision(2)}°` : `${step} m`) : null;
}

function gridOf(item) {
  const about = item.properties;
  const code = about["proj:epsg"] ?? Number(/^EPSG:(\d+)$/.exec(about["proj:code"] ?? "")?.[1]);
  const [dx, , left, , dy, top] = about["proj:transform"] ?? [];
  const [rows, cols] = about["proj:shape"] ?? [];
  const bbox = about["proj:bbox"] ?? (dx && rows && [left, top + dy * rows, left + dx * cols, top]);
  return code && bbox ? { epsg: code, bbox } : null;
}

function tokenOf(links = []) {
  const next = links.find((link) => link.rel === "next");
  return next ? (next.body?.token ?? new URL(next.href).searchParams.get("token")) : null;
}
