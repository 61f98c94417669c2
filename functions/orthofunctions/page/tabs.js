// Tabs as the ARIA authoring practices have them: arrows go from one to the next.

export function tabs(list) {
  const all = [...list.querySelectorAll('[role="tab"]')];

  function choose(tab, { focus = false } = {}) {
    for (const one of all) {
      const chosen = one === tab;
      one.setAttribute("aria-selected", chosen);
      one.tabIndex = chosen ? 0 : -1;
      document.getElementById(one.getAttribute("aria-controls")).hidden = !chosen;
    }
    if (focus) tab.focus();
  }

  list.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const here = all.indexOf(document.activeElement);
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || here < 0) return;
    event.preventDefault();
    choose(all[(to + all.length) % all.length], { focus: true });
  });
  return { choose: (id, options) => choose(document.getElementById(id), options) };
}
