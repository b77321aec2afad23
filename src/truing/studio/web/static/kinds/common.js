// What several kinds share: an active thing among many, moved by arrows, seen and said.
export function roving(items, { onMove, from = 0 } = {}) {
  // `from`: where a draft was left; -1 where it is whole.
  let at = from < 0 ? Math.max(items.length - 1, 0) : from;
  const draw = (scroll) => {
    items.forEach((item, index) => {
      item.classList.toggle("active", index === at);
      if (index === at) item.setAttribute("aria-current", "true");
      else item.removeAttribute("aria-current");
    });
    if (scroll) items[at]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    onMove?.(at);
  };
  draw(false);
  items.forEach((item, index) => item.addEventListener("pointerdown", () => {
    at = index;
    draw(false);
  }));
  return {
    get at() {
      return at;
    },
    to(index) {
      at = Math.max(0, Math.min(items.length - 1, index));
      draw(true);
    },
    // False where there is nothing behind.
    next() {
      if (at + 1 >= items.length) return false;
      this.to(at + 1);
      return true;
    },
    keys: [
      { keys: ["ArrowLeft", "ArrowUp"], label: "The one before", run: () => roveBy(-1), repeats: true },
      { keys: ["ArrowRight", "ArrowDown"], label: "The one after", run: () => roveBy(1), repeats: true },
    ],
  };
  function roveBy(step) {
    at = Math.max(0, Math.min(items.length - 1, at + step));
    draw(true);
  }
}

export function press(buttons, chosen) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
}
