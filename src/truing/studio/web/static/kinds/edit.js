// The answer as it should have been; what was changed is seen while writing.
import { diff, nodes } from "../diff.js";

export function mount(root, { task, draft, changed }) {
  const fields = [...root.querySelectorAll("[data-edit]")];
  const reasons = [...root.querySelectorAll("[data-text]")];
  const views = [...root.querySelectorAll("[data-changes]")];
  let timer;
  const draw = () => fields.forEach((field, place) => {
    const same = field.value === task.texts[place];
    views[place].closest("[data-changes-box]").dataset.same = String(same);
    views[place].replaceChildren(...(same ? [] : nodes(diff(task.texts[place], field.value), ["left", "right"])));
  });
  const grow = (field) => {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight + 4, innerHeight * 0.6)}px`;
  };
  fields.forEach((field, place) => {
    field.value = draft.edits?.[place] ?? task.texts[place];
    grow(field);
    field.addEventListener("input", () => {
      grow(field);
      changed();
      clearTimeout(timer);
      timer = setTimeout(draw, 120);
    });
  });
  reasons.forEach((field, place) => {
    field.value = draft.texts?.[place] ?? "";
    field.addEventListener("input", changed);
  });
  root.querySelectorAll("[data-restore]").forEach((button, place) => button.addEventListener("click", () => {
    fields[place].value = task.texts[place];
    grow(fields[place]);
    draw();
    changed();
  }));
  draw();
  const edits = () => fields.map((field, place) => (field.value === task.texts[place] ? null : field.value));
  const texts = () => (reasons.length ? reasons.map((field) => field.value.trim() || null) : null);
  return {
    value: () => ({ edits: edits(), texts: texts() }),
    missing: () => ([...edits(), ...(texts() ?? [])].every((text) => text === null)
      ? "Nothing is changed yet. Change something, or skip the item." : null),
    focus: () => {
      if (!matchMedia("(pointer: fine)").matches) return;
      fields[0].focus({ preventScroll: true });
      fields[0].setSelectionRange(0, 0);
    },
    keys: fields.map((field, place) => ({
      keys: [String(place + 1)], label: `Edit answer ${String.fromCharCode(65 + place)}`, run: () => field.focus(),
    })),
  };
}
