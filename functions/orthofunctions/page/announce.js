// What changed, for those who hear the page: one sentence at a time.

import { byId } from "./dom.js";

const QUIET_MS = 1200;
const waiting = [];
let timer = null;

export function say(text) {
  waiting.push(text);
  timer ??= setTimeout(speak, 100);
}

function speak() {
  const text = waiting.length > 4 ? `${waiting.length} changes; the last: ${waiting.at(-1)}` : waiting.join(". ");
  waiting.length = 0;
  byId("live").textContent = text;
  timer = setTimeout(() => {
    timer = null;
    if (waiting.length) speak();
  }, QUIET_MS);
}
