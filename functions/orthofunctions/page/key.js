// The API key: kept for this tab only, asked for when the service wants one.

import { byId } from "./dom.js";

const NAME = "orthoburst.key";
let asking = null;
let inMemory = "";

export function key() {
  try {
    return sessionStorage.getItem(NAME) ?? inMemory;
  } catch {
    return inMemory;
  }
}

function keep(value) {
  inMemory = value;
  try {
    if (value) sessionStorage.setItem(NAME, value);
    else sessionStorage.removeItem(NAME);
  } catch {
    // storage is shut off: the key lives as long as the page
  }
}

/** Ask, once for all who want one at the same time. Resolves to whether something was said: then try again. */
export function askForKey(why) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    const input = byId("key-input");
    byId("key-why").textContent = why;
    input.value = "";
    dialog.returnValue = "cancel";
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        const said = dialog.returnValue === "use" ? input.value.trim() : "";
        input.value = "";
        if (said || dialog.returnValue === "forget") keep(said);
        resolve(Boolean(said) || dialog.returnValue === "forget");
      },
      { once: true },
    );
    dialog.showModal();
    input.focus();
  });
  return asking;
}
