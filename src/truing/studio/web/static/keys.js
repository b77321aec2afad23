// One table of keys for the whole page: what runs when one is pressed, and what `?` shows, are the same.
// {keys: ["s"], label: "Skip", run(event, key)}; `typing: true` also works while a field has the focus.
const names = { Enter: "Enter", Escape: "Esc", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓",
  Backspace: "⌫", "Ctrl+Enter": "Ctrl Enter", Tab: "Tab", " ": "Space" };
const tables = new Map();

export function setKeys(group, table) {
  tables.set(group, table);
}

export function isTyping(target = document.activeElement) {
  return target?.matches?.("textarea, select, input:not([type=checkbox], [type=radio], [type=button])") ?? false;
}

function pressed(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return event.ctrlKey || event.metaKey ? `Ctrl+${event.key}` : key;
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.altKey) return;
  const key = pressed(event);
  const typing = isTyping(event.target);
  if (key === "Escape") {
    // An open panel closes by itself.
    if (typing && !event.target.closest("dialog")) event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]:not(#guidelines, #keys)")) return;
  // A button that has the focus is pressed with Enter and Space, as everywhere; one that is chosen already lets Enter
  // give the answer.
  const held = event.target.closest?.("button, a, summary, input");
  const onControl = held && !(key === "Enter" && held.getAttribute("aria-pressed") === "true");
  for (const table of tables.values()) {
    for (const entry of table) {
      if (!entry.keys.includes(key) || (typing && !entry.typing)) continue;
      if (onControl && !typing && (key === "Enter" || key === " ") && !entry.always) continue;
      if (entry.run === undefined) return;
      if (event.repeat && !entry.repeats) return;
      event.preventDefault();
      entry.run(event, key);
      return;
    }
  }
});

export function showKeys(dialog) {
  const body = dialog.querySelector("[data-keys]");
  body.replaceChildren();
  for (const [group, table] of tables) {
    const title = document.createElement("h3");
    title.textContent = group;
    const list = document.createElement("dl");
    for (const entry of table) {
      const term = document.createElement("dt");
      for (const key of entry.shown ?? entry.keys) {
        const cap = document.createElement("kbd");
        cap.textContent = names[key] ?? (key.length === 1 ? key.toUpperCase() : key);
        term.append(cap);
      }
      const what = document.createElement("dd");
      what.textContent = entry.label;
      list.append(term, what);
    }
    body.append(title, list);
  }
  dialog.showModal();
}
