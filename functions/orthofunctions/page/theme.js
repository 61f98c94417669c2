// Light, dark, or as the system has it; the choice is kept on this machine.

const NAME = "orthoburst.theme";

export function themes(select, onChange) {
  const root = document.documentElement;
  select.value = root.dataset.theme ?? "";
  select.addEventListener("change", () => {
    if (select.value) root.dataset.theme = select.value;
    else delete root.dataset.theme;
    try {
      localStorage.setItem(NAME, select.value);
    } catch {
      // storage is shut off: the choice lasts as long as the page
    }
    onChange();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
}
