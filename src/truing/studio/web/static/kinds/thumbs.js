// Good or not, one answer after the other.
import { press, roving } from "./common.js";

const names = { up: true, down: false, none: null };

export function mount(root, { draft, changed, complete }) {
  const cards = [...root.querySelectorAll("[data-response]")];
  const labels = cards.map((_, place) => draft.labels?.[place] ?? null);
  const active = roving(cards, { from: labels.indexOf(null) });
  const draw = () => cards.forEach((card, place) => {
    card.dataset.label = labels[place] === null ? "" : labels[place] ? "up" : "down";
    const buttons = [...card.querySelectorAll("[data-thumb]")];
    press(buttons, buttons.find((b) => labels[place] !== null && names[b.dataset.thumb] === labels[place]));
  });
  const give = (place, label) => {
    labels[place] = label;
    draw();
    changed();
  };
  cards.forEach((card, place) => card.querySelectorAll("[data-thumb]").forEach((button) => {
    button.addEventListener("click", () => {
      const label = names[button.dataset.thumb];
      give(place, labels[place] === label ? null : label);
      if (cards.length === 1 && labels[place] !== null) complete();
    });
  }));
  const byKey = (label) => () => {
    give(active.at, label);
    if (!active.next()) complete();
  };
  draw();
  return {
    value: () => ({ labels: [...labels] }),
    missing: () => (labels.every((label) => label === null) ? "Give at least one thumb." : null),
    active: () => active.at,
    keys: [
      { keys: ["1"], label: "Thumb up", run: byKey(true) },
      { keys: ["2"], label: "Thumb down", run: byKey(false) },
      { keys: ["0"], label: "No verdict", run: byKey(null) },
      ...(cards.length > 1 ? active.keys : []),
    ],
  };
}
