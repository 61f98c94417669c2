// What the tests of the page ask of it, in the page itself: an expression, whose members they call.
({
  /** Names of all controls that Tab should reach, in the order of the page. */
  controls() {
    return [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
      .filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0)
      .map(this.nameOf);
  },

  /** What has the focus, and the style of the line around it. */
  focused() {
    const one = document.activeElement;
    return one === document.body ? ["", ""] : [this.nameOf(one), getComputedStyle(one).outlineStyle];
  },

  nameOf(one) {
    return (one.id || one.getAttribute("aria-label") || one.textContent || one.labels?.[0]?.textContent || "").trim();
  },

  /** Controls that a screen reader could not tell. */
  nameless() {
    return [...document.querySelectorAll("button, input, select, textarea, a[href]")]
      .filter((one) => one.checkVisibility())
      .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length))
      .map((one) => one.outerHTML.slice(0, 120));
  },

  /** Texts whose contrast is below AA. Source: WCAG 2.2, relative luminance and contrast ratio, success criterion 1.4.3. */
  faint() {
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((one, n) => one * a + below[n] * (1 - a));
    const groundOf = (node) => {
      if (!node) return [255, 255, 255];
      const own = rgba(getComputedStyle(node).backgroundColor);
      return own[3] === 1 ? own.slice(0, 3) : over(own, groundOf(node.parentElement));
    };
    const luminance = (rgb) =>
      rgb
        .map((one) => one / 255)
        .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
        .reduce((sum, one, n) => sum + one * [0.2126, 0.7152, 0.0722][n], 0);
    const found = [];
    for (const node of document.querySelectorAll("body *")) {
      const hasText = [...node.childNodes].some((one) => one.nodeType === Node.TEXT_NODE && one.data.trim());
      if (!hasText || !node.checkVisibility() || node.closest(".unseen, .skip, noscript, option")) continue;
      const style = getComputedStyle(node);
      const ground = groundOf(node);
      const ink = over(rgba(node instanceof SVGElement ? style.fill : style.color), ground);
      const [high, low] = [luminance(ink), luminance(ground)].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      const sizePx = parseFloat(style.fontSize);
      const isLarge = sizePx >= 24 || (sizePx >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (isLarge ? 3 : 4.5)) {
        found.push(`${ratio.toFixed(2)} ${node.tagName} ${node.className} ${node.textContent.trim().slice(0, 40)}`);
      }
    }
    return found;
  },
})
