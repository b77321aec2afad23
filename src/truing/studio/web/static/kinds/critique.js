// Words about each answer.
export function mount(root, { draft, settings, changed }) {
  const fields = [...root.querySelectorAll("[data-text]")];
  fields.forEach((field, place) => {
    field.value = draft.texts?.[place] ?? "";
    field.addEventListener("input", changed);
  });
  const texts = () => fields.map((field) => field.value.trim() || null);
  return {
    value: () => ({ texts: texts() }),
    missing: () => {
      const written = texts().filter((text) => text !== null);
      if (!written.length) return "Write about at least one answer.";
      return written.some((text) => text.length < settings.least) ? `At least ${settings.least} characters.` : null;
    },
    focus: () => matchMedia("(pointer: fine)").matches && fields[0].focus({ preventScroll: true }),
    keys: fields.map((field, place) => ({
      keys: [String(place + 1)], label: `Write about answer ${String.fromCharCode(65 + place)}`, run: () => field.focus(),
    })),
  };
}
