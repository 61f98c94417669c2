// How the image is made. What is left alone suits the product.

import { el } from "../dom.js";

const GRIDS = [
  ["area", "Just the area, one image"],
  ["mgrs", "Sentinel-2 tiles that the products touch"],
  ["footprint", "The whole product"],
];
const RADIOMETRIES = [
  ["", "Suits the product"],
  ["sigma0", "Sigma nought (radar)"],
  ["gamma0", "Gamma nought (radar)"],
  ["gamma0_rtc", "Terrain-flattened gamma nought (radar)"],
  ["beta0", "Beta nought (radar)"],
  ["reflectance", "Reflectance (optical)"],
  ["physical", "Physical quantity (Sentinel-3)"],
  ["dn", "Numbers as in the product"],
];
const TERRAINS = [["", "The site's default"], ["height", "One height"], ["dem", "A DEM of the store"]];

export function optionFields(onChange) {
  const choice = (pairs) => el("select", {}, pairs.map(([value, text]) => el("option", { value }, text)));
  const grid = choice(GRIDS);
  const radiometry = choice(RADIOMETRIES);
  const spacing = el("input", { type: "number", min: 0.1, max: 5490, step: "any", inputmode: "decimal", placeholder: "suits the product" });
  const bands = el("input", { type: "text", spellcheck: "false", placeholder: "all, for example vv, vh" });
  const terrain = choice(TERRAINS);
  const height = el("input", { type: "number", min: -500, max: 9000, step: "any", value: 0 });
  const dem = el("input", { type: "text", spellcheck: "false", placeholder: "aux/dem.tif" });
  const patience = el("input", { type: "number", min: 0, max: 43_200, step: "any", placeholder: "site's" });
  const deadline = el("input", { type: "datetime-local" });
  const heightLabel = el("label", { hidden: true }, "Height (m above the ellipsoid)", height);
  const demLabel = el("label", { hidden: true }, "DEM", dem);

  const node = el("fieldset", {},
    el("legend", {}, "3. Image"),
    el("div", { class: "form" },
      el("label", {}, "Grid", grid),
      el("div", { class: "fields" },
        el("label", {}, "Radiometry", radiometry),
        el("label", {}, "Pixel size (m)", spacing)),
      el("details", {},
        el("summary", {}, "Bands, terrain, patience, deadline"),
        el("div", { class: "fields" },
          el("label", {}, "Bands", bands),
          el("label", {}, "Heights", terrain),
          heightLabel, demLabel,
          el("label", {}, "Patience (min)", patience),
          el("label", {}, "Deadline", deadline)))));
  node.addEventListener("input", () => {
    heightLabel.hidden = terrain.value !== "height";
    demLabel.hidden = terrain.value !== "dem";
    onChange();
  });

  return {
    node,
    needsArea: () => grid.value === "area",
    /** The part of a request's inputs that is said here. */
    inputs(area) {
      const wanted = bands.value.split(/[\s,]+/).filter(Boolean);
      const size = spacing.value === "" ? {} : { spacing_m: Number(spacing.value) };
      const options = {
        ...(radiometry.value && { radiometry: radiometry.value }),
        ...(wanted.length && { bands: wanted }),
      };
      return {
        grid: { kind: grid.value, ...(grid.value === "area" && { area }), ...size },
        ...(Object.keys(options).length && { options }),
        ...(terrain.value === "height" && { terrain: { height_m: Number(height.value) } }),
        ...(terrain.value === "dem" && { terrain: { dem: dem.value.trim() } }),
        ...(patience.value !== "" && { patience_s: Number(patience.value) * 60 }),
        ...(deadline.value && { deadline: new Date(deadline.value).toISOString() }),
      };
    },
  };
}
