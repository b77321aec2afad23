// The personal key stands behind the # of the link: it never reaches a log, a proxy or another site.
import "./page.js";

function enter() {
  const key = location.hash.slice(1);
  if (!key) return;
  history.replaceState(null, "", location.pathname);
  document.querySelector("#key").value = decodeURIComponent(key);
  document.querySelector("#sign-in").submit();
}
addEventListener("hashchange", enter);
enter();
