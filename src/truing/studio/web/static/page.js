// What every page has: the theme, forms that ask before they act, copying a link.
const dark = matchMedia("(prefers-color-scheme: dark)");

export function turnTheme() {
  const root = document.documentElement;
  const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  localStorage.setItem("truing:theme", root.dataset.theme);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  if (button.dataset.act === "theme") turnTheme();
  if (button.dataset.act === "copy") {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    button.textContent = "Copied";
  }
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
  // Somebody else may sit down here next.
  else if (event.target.dataset.signOut !== undefined) {
    for (const name of Object.keys(localStorage)) {
      if (name.startsWith("truing:draft:")) localStorage.removeItem(name);
    }
  }
});
