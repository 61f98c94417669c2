// Before the first paint, so that a dark page never flashes light: not a module, which would come later.
try {
  const chosen = localStorage.getItem("orthoburst.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // storage may be shut off: the system's colours stay
}
