// Puts the page together.

import { askAgain } from "./api.js";
import { byId } from "./dom.js";
import { jobs } from "./jobs/list.js";
import { askForKey, key } from "./key.js";
import { drawing } from "./map/draw.js";
import { makeMap } from "./map/map.js";
import { results } from "./map/results.js";
import { orderForm } from "./order/form.js";
import { orders } from "./orders.js";
import { pools } from "./pools/pools.js";
import { spend } from "./spend.js";
import { tabs } from "./tabs.js";
import { themes } from "./theme.js";

const view = makeMap(byId("map"));
const beside = tabs(document.querySelector('[role="tablist"]'));
const found = results(byId("panel-results"), view);

const form = orderForm(byId("panel-order"), view, {
  onTyped: (area) => {
    drawn.set(area);
    drawn.show(area);
  },
  onSubmitted: () => list.look(),
});
const drawn = drawing(view, (area) => {
  form.setArea(area);
  if (area) beside.choose("tab-order");
});
const list = jobs({
  onResults: (job) => found.ofJob(job, { pictures: false }).catch(() => {}), // its files are under Jobs all the same
  onShow: (job) => {
    beside.choose("tab-results");
    return found.ofJob(job, { pictures: true }).then((n) => {
      if (n) byId("map-section").scrollIntoView({ block: "start" });
      return n;
    });
  },
});

themes(byId("theme"), view.recolour);
byId("key-button").addEventListener("click", async () => {
  askAgain();
  const why = key() ? "A key is in use. Give another, or forget it." : "Give a key to be somebody whom this service knows.";
  if (await askForKey(why)) location.reload();
});
pools();
spend();
orders();
found.search({});
