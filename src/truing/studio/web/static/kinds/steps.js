// Each step of a reasoning: good, neutral or bad. The first bad one is the first error.
import { press, roving } from "./common.js";

export function mount(root, { settings, draft, changed, complete }) {
  const rows = [...root.querySelectorAll("[data-step]")];
  const responses = [...root.querySelectorAll("[data-response]")];
  const of = (place) => rows.filter((row) => Number(row.dataset.place) === place);
  const marks = responses.map((_, place) => of(place).map((_, step) => draft.marks?.[place]?.[step] ?? null));
  const active = roving(rows, {
    from: rows.findIndex((row) => marks[Number(row.dataset.place)][Number(row.dataset.step)] === null),
  });
  const first = (place) => {
    const found = marks[place].indexOf(-1);
    return found < 0 ? null : found;
  };
  const draw = () => rows.forEach((row) => {
    const [place, step] = [Number(row.dataset.place), Number(row.dataset.step)];
    const mark = marks[place][step];
    row.dataset.mark = mark ?? "";
    const buttons = [...row.querySelectorAll("[data-give]")];
    press(buttons, buttons.find((button) => mark !== null && Number(button.dataset.give) === mark));
    row.querySelector("[data-first-error]").hidden = first(place) !== step;
  });
  const set = (row, mark) => {
    marks[Number(row.dataset.place)][Number(row.dataset.step)] = mark;
  };
  const done = () => {
    draw();
    changed();
  };
  const whole = () => marks.flat().every((mark) => mark !== null) ||
    (settings.first_error_only && marks.every((row) => row.includes(-1) || row.every((mark) => mark !== null)));
  const give = (mark) => () => {
    if (settings.first_error_only && mark === -1) {
      firstError();
      return;
    }
    set(rows[active.at], mark);
    done();
    if (!active.next() && whole()) complete();
  };
  // The first error is here: all before it is good, what follows is not said.
  const firstError = () => {
    const row = rows[active.at];
    const [place, step] = [Number(row.dataset.place), Number(row.dataset.step)];
    marks[place] = marks[place].map((_, s) => (s < step ? 1 : s === step ? -1 : null));
    done();
    next(place);
  };
  const allGood = () => {
    const place = Number(rows[active.at].dataset.place);
    marks[place] = marks[place].map(() => 1);
    done();
    next(place);
  };
  const next = (place) => {
    if (place + 1 < responses.length) active.to(rows.indexOf(of(place + 1)[0]));
    else if (settings.first_error_only || whole()) complete();
  };
  rows.forEach((row) => row.querySelectorAll("[data-give]").forEach((button) => {
    button.addEventListener("click", () => {
      const mark = Number(button.dataset.give);
      const now = marks[Number(row.dataset.place)][Number(row.dataset.step)];
      set(row, now === mark ? null : mark);
      done();
    });
  }));
  draw();
  return {
    value: () => ({ marks: marks.map((row) => [...row]), first_error: marks.map((_, place) => first(place)) }),
    missing: () => (marks.flat().every((mark) => mark === null) ? "Mark at least one step." : null),
    active: () => Number(rows[active.at].dataset.place),
    keys: [
      { keys: ["1"], label: "Good step", run: give(1) },
      { keys: ["2"], label: "Neutral step", run: give(0) },
      { keys: ["3"], label: "Bad step", run: give(-1) },
      { keys: ["e"], label: "The first error is here: all before is good", run: firstError },
      { keys: ["n"], label: "No error: all steps are good", run: allGood },
      { keys: ["Backspace"], label: "No mark", run: () => {
        set(rows[active.at], null);
        done();
      } },
      ...active.keys,
    ],
  };
}
