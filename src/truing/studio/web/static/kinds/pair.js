// A against B. One key is a whole answer: which, and by how much.
import { press } from "./common.js";

export function mount(root, { draft, changed, complete }) {
  const options = [...root.querySelectorAll("[data-choice]")];
  const scale = options.filter((option) => option.dataset.choice !== "both_bad");
  const strength = (option) => (option.dataset.strength ? Number(option.dataset.strength) : null);
  let chosen = options.find(
    (option) => option.dataset.choice === draft.choice && strength(option) === (draft.strength ?? null),
  ) ?? null;
  const draw = () => {
    press(options, chosen);
    root.dataset.chosen = chosen?.dataset.choice ?? "";
  };
  const choose = (option) => {
    chosen = option;
    draw();
    changed();
  };
  draw();
  for (const option of options) {
    option.addEventListener("click", () => {
      choose(option);
      complete();
    });
  }
  const move = (step) => {
    const at = scale.indexOf(chosen);
    const middle = (scale.length - 1) / 2;
    const from = at >= 0 ? at : step > 0 ? Math.floor(middle) : Math.ceil(middle);
    choose(scale[Math.max(0, Math.min(scale.length - 1, from + step))]);
  };
  return {
    value: () => ({ choice: chosen?.dataset.choice ?? null, strength: chosen ? strength(chosen) : null }),
    missing: () => (chosen ? null : "Which answer is better? Choose one first."),
    keys: [
      ...options.map((option) => ({
        keys: [option.dataset.key],
        label: option.getAttribute("aria-label"),
        run: () => {
          choose(option);
          complete();
        },
      })),
      { keys: ["ArrowLeft"], label: "Move towards A (Enter gives it)", run: () => move(-1) },
      { keys: ["ArrowRight"], label: "Move towards B (Enter gives it)", run: () => move(1) },
    ],
  };
}
