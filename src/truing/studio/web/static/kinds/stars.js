// Stars on several aspects of several answers: a digit fills the active row and goes on to the next.
import { roving } from "./common.js";

export function mount(root, { task, settings, draft, changed, complete }) {
  const rows = [...root.querySelectorAll("[data-aspect]")];
  const size = task.texts.length;
  const scores = Object.fromEntries(
    settings.aspects.map((aspect) => [aspect, Array.from({ length: size }, (_, p) => draft.scores?.[aspect]?.[p] ?? null)]),
  );
  const cards = [...root.querySelectorAll("[data-response]")];
  const active = roving(rows, {
    from: rows.findIndex((row) => scores[row.dataset.aspect][Number(row.dataset.place)] === null),
    onMove: (at) => cards.forEach((card, place) => card.classList.toggle("active", Number(rows[at]?.dataset.place) === place)),
  });
  const draw = () => rows.forEach((row) => {
    const score = scores[row.dataset.aspect][Number(row.dataset.place)];
    row.querySelectorAll("[data-star]").forEach((star) => {
      star.classList.toggle("lit", score !== null && Number(star.dataset.star) <= score);
      star.setAttribute("aria-pressed", String(Number(star.dataset.star) === score));
    });
    row.querySelector("[data-score]").textContent = score ?? "–";
  });
  const give = (row, score) => {
    scores[row.dataset.aspect][Number(row.dataset.place)] = score;
    draw();
    changed();
  };
  rows.forEach((row) => row.querySelectorAll("[data-star]").forEach((star) => {
    star.addEventListener("click", () => {
      const score = Number(star.dataset.star);
      give(row, scores[row.dataset.aspect][Number(row.dataset.place)] === score ? null : score);
    });
  }));
  const digits = [];
  for (let score = settings.lowest; score <= Math.min(settings.highest, 9); score += 1) digits.push(String(score));
  draw();
  return {
    value: () => ({ scores: structuredClone(scores) }),
    missing: () => (Object.values(scores).flat().every((score) => score === null) ? "Give at least one star." : null),
    active: () => Number(rows[active.at].dataset.place),
    keys: [
      { keys: digits, shown: [digits[0], "…", digits.at(-1)], label: "So many stars, and on to the next",
        run: (_, key) => {
          give(rows[active.at], Number(key));
          if (!active.next() && Object.values(scores).flat().every((score) => score !== null)) complete();
        } },
      { keys: ["Backspace"], label: "No stars", run: () => give(rows[active.at], null) },
      ...active.keys,
    ],
  };
}
