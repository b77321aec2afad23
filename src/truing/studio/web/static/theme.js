// Before the first paint, so that a dark page never flashes white. Not a module: modules wait.
(() => {
  const chosen = localStorage.getItem("truing:theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
