// Pools beside each other on one scale: now, and over time.

import { get } from "../api.js";
import { byId, match, note, setText } from "../dom.js";
import { repeat } from "../poll.js";
import { poolCard, waitingCard } from "./card.js";
import { scaleFor } from "./chart.js";
import { learn } from "./kinds.js";

const [LIVE_MS, HISTORY_MS] = [4000, 60_000];
const MOST_LIVE = 1000;
const WAITING = "";

export function pools() {
  const cards = byId("pools-cards");
  const live = new Map(); // points of this visit by pool: closer together than the service keeps them
  let history = { pools: {}, pending: [] };
  let known = [];

  function draw() {
    const to = Date.now();
    const from = to - Number(byId("pools-hours").value) * 3_600_000;
    const all = new Map(known.map((pool) => [pool.pool, pointsOf(pool.pool, from)]));
    const scale = scaleFor([...all.values()].flat());
    for (const [pool, points] of all) cards.parts.get(pool).draw(points, from, to, scale);
    const waiting = pointsOf(WAITING, from);
    cards.parts.get(WAITING)?.draw(waiting, from, to, scaleFor(waiting));
  }

  function pointsOf(pool, from) {
    const here = live.get(pool) ?? [];
    const noted = pool === WAITING
      ? history.pending.map(({ at, n }) => ({ at: Date.parse(at), running: n }))
      : (history.pools[pool] ?? []).map((one) => ({ ...one, at: Date.parse(one.at) }));
    const began = here[0]?.at ?? Infinity;
    const both = [...noted.filter((one) => one.at < began), ...here];
    const first = both.findIndex((one) => one.at >= from);
    return first < 0 ? both.slice(-1) : both.slice(Math.max(0, first - 1));
  }

  function remember(pool, point) {
    const here = live.get(pool) ?? [];
    here.push({ at: Date.now(), ...point });
    if (here.length > MOST_LIVE) here.shift();
    live.set(pool, here);
  }

  async function lookNow() {
    const answer = await get("/pools");
    note(byId("pools-notice"), null);
    learn(answer.pools);
    known = answer.pools;
    for (const { pool, running, queued, slots } of known) remember(pool, { running, queued, slots });
    remember(WAITING, { running: answer.pending });
    match(cards, [...known, { pool: WAITING, pending: answer.pending }], (pool) => pool.pool,
      (pool) => (pool.pool === WAITING ? waitingCard() : poolCard(pool)));
    draw();
    pulse(answer);
    return LIVE_MS;
  }

  async function lookBack() {
    try {
      history = await get("/pools/history", { hours: Math.max(1, byId("pools-hours").value) });
      if (known.length) draw();
    } catch (error) {
      if (!error.isAbsent) throw error; // without it the charts begin with this visit
    }
    return HISTORY_MS;
  }

  repeat(lookNow, (error) => {
    note(byId("pools-notice"), error.message);
    setText(byId("pulse"), error.status === 401 ? "an API key is needed" : "no answer from the service");
    byId("pulse").classList.add("bad");
  });
  const again = repeat(lookBack, (error) => note(byId("pools-notice"), error.message));
  byId("pools-hours").addEventListener("change", () => {
    if (known.length) draw();
    again();
  });
}

function pulse({ pools: all, pending }) {
  const said = all.map((pool) => `${pool.pool} ${pool.running}/${pool.slots}`);
  setText(byId("pulse"), [...said, `${pending} waiting`].join(" · "));
  byId("pulse").classList.remove("bad");
}
