// The labelling screen: shows an item, takes the answer, and has the next one ready before it is wanted.
import { diff, nodes } from "./diff.js";
import { setKeys, showKeys } from "./keys.js";
import { turnTheme } from "./page.js";
import { ask, drafts, outbox, Refused } from "./server.js";

const boot = JSON.parse(document.getElementById("boot").textContent);
const { mount } = await import(`./kinds/${boot.kind}.js`);

const stage = document.getElementById("stage");
const state = document.getElementById("saved");
const toast = document.getElementById("toast");
const dialogs = Object.fromEntries(["guidelines", "keys", "skip"].map((id) => [id, document.getElementById(id)]));
const seen = new Map(); // id -> task, so that one that is refused can be shown again
const ahead = [];
let current = null;
let fetching = null;
let finished = 0;

// --- words to the person ---------------------------------------------------------------------------------------------

let fading;
function say(text, { bad = false } = {}) {
  toast.textContent = text;
  toast.classList.toggle("bad", bad);
  toast.classList.add("shown");
  clearTimeout(fading);
  fading = setTimeout(() => toast.classList.remove("shown"), bad ? 8000 : 3500);
}

function tellSaved({ state: now, left = 0, why }) {
  state.dataset.state = now;
  state.textContent = { saving: "Saving…", saved: left ? "Saving…" : "Saved" }[now] ??
    `${left === 1 ? "1 answer" : `${left} answers`} not saved yet`;
  state.title = why ?? "";
}

function showProgress(progress) {
  if (!progress) return;
  finished = progress.done;
  drawProgress(progress.total);
}

function drawProgress(total = Number(document.getElementById("progress").max)) {
  const bar = document.getElementById("progress");
  bar.max = Math.max(total, finished, 1);
  bar.value = finished;
  document.getElementById("done").textContent = `${finished} done`;
}

// --- the clock: only time in which the page is seen counts -----------------------------------------------------------

const clock = {
  spent: 0,
  since: 0,
  start(spent = 0) {
    this.spent = spent;
    this.since = document.hidden ? 0 : performance.now();
  },
  get seconds() {
    return this.spent + (this.since ? (performance.now() - this.since) / 1000 : 0);
  },
};
addEventListener("visibilitychange", () => {
  if (document.hidden) clock.start(clock.seconds);
  else clock.start(clock.spent);
  if (document.hidden) clock.since = 0;
});

// --- one item --------------------------------------------------------------------------------------------------------

function show(task, { isThere = false } = {}) {
  seen.set(task.id, task);
  if (!isThere) stage.innerHTML = task.html; // made by the server; the content security policy lets no script run
  stage.inert = false;
  const root = stage.querySelector("[data-task]");
  const draft = drafts.read(task.id) ?? { value: task.draft, seconds: 0 };
  const comment = root.querySelector("[data-comment]");
  if (comment) {
    comment.value = draft.value?.comment ?? "";
    root.querySelector("[data-comment-box]").open = Boolean(comment.value);
  }
  current = { task, root, comment, isDiff: false };
  current.form = mount(root, {
    task,
    settings: boot.settings,
    draft: draft.value ?? {},
    changed,
    complete,
    say,
    ask,
  });
  comment?.addEventListener("input", changed);
  setKeys("Answer", current.form.keys);
  clock.start(draft.seconds);
  document.title = `${boot.title} · Truing`;
  if (!isThere) {
    root.querySelectorAll(".scroll").forEach((pane) => (pane.scrollTop = 0));
    scrollTo(0, 0);
    root.focus({ preventScroll: true });
  }
  current.form.focus?.();
  queueMicrotask(prefetch);
}

function value() {
  const answer = current.form.value();
  if (current.comment) answer.comment = current.comment.value.trim() || null;
  return answer;
}

function changed() {
  if (!current) return;
  const { task } = current;
  if (!task.paths.draft) return;
  // What a form needs to look as before a reload and the answer does not hold, stays in this browser.
  const kept = { ...value(), ...current.form.look?.() };
  drafts.keep(task.id, task.paths.draft, { value: kept, seconds: clock.seconds }, value());
}

const atOnce = {
  get on() {
    return localStorage.getItem("truing:at-once") !== "no";
  },
  turn() {
    localStorage.setItem("truing:at-once", atOnce.on ? "no" : "yes");
    atOnce.draw();
    say(atOnce.on ? "A complete answer is sent at once. U takes it back." : "Answers are sent with Enter.");
  },
  draw() {
    document.querySelectorAll("[data-act=at-once]").forEach((box) => box.setAttribute("aria-checked", String(atOnce.on)));
  },
};

// The last part of an answer was given by a key: with nothing else to say, it is the whole answer.
function complete() {
  if (current && atOnce.on && boot.mode === "work" && !current.root.querySelector("[data-comment-box]")?.open) submit();
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function submit() {
  if (!current || stage.inert) return;
  const missing = current.form.missing?.();
  if (missing) {
    say(missing, { bad: true });
    return;
  }
  const { task } = current;
  const key = newKey();
  const entry = { key, task: task.id, path: task.paths.submit, body: { answer: value(), key, seconds: clock.seconds } };
  // The draft stays until the answer is safe in the outbox.
  const sent = outbox.put(entry);
  drafts.drop(task.id);
  finished += 1;
  drawProgress();
  await moveOn(sent);
}

async function moveOn(sent) {
  current = null;
  if (!boot.next) {
    stage.inert = true;
    await sent;
    if (!outbox.entries.length) location.assign(boot.back);
    return;
  }
  if (ahead.length) {
    show(ahead.shift());
    return;
  }
  stage.inert = true;
  await fetching;
  if (!ahead.length) {
    // What comes next may depend on what was just said (a test passed, the last item): the server has to know it.
    await sent;
    await fetchNext({ insists: true });
  }
  if (ahead.length && !current) show(ahead.shift());
}

// --- the next item, before it is wanted ------------------------------------------------------------------------------

function prefetch() {
  if (!boot.next || ahead.length || fetching) return;
  fetching = fetchNext({ insists: false }).finally(() => {
    fetching = null;
  });
}

async function fetchNext({ insists }) {
  const known = [current?.task.id, ...ahead.map((task) => task.id), ...outbox.entries.map((entry) => entry.task)];
  const besides = known.filter((id) => id !== undefined).join(",");
  for (let pause = 500; ; pause = Math.min(pause * 2, 10_000)) {
    try {
      const said = await ask(`${boot.next}?besides=${besides}`);
      if (said.task) ahead.push(said.task);
      else if (insists) showEnd(said);
      return;
    } catch (refusal) {
      if (!(refusal instanceof Refused)) throw refusal;
      if (!insists) return;
      if (refusal.status === 401) location.assign("/sign-in");
      if (!refusal.passes) {
        say(refusal.message, { bad: true });
        return;
      }
      tellSaved({ state: "unsaved", left: outbox.entries.length, why: refusal.message });
      say(`${refusal.message} Trying again…`, { bad: true });
      await new Promise((done) => setTimeout(done, pause));
    }
  }
}

function showEnd(said) {
  stage.innerHTML = said.html;
  stage.inert = false;
  setKeys("Answer", []);
  stage.querySelector("h1")?.focus();
  showProgress(said.progress);
}

// --- what a key or a button does -------------------------------------------------------------------------------------

async function undo() {
  if (!boot.undo) return;
  await outbox.flush();
  try {
    const said = await ask(boot.undo, {});
    if (!said.task) {
      say("There is nothing to take back.");
      return;
    }
    drafts.drop(said.task.id);
    if (current) ahead.unshift(current.task);
    const again = ahead.findIndex((task) => task.id === said.task.id);
    if (again >= 0) ahead.splice(again, 1);
    show(said.task);
    finished = Math.max(0, finished - 1);
    drawProgress();
    say("Taken back. Change it, or press Enter to give it again.");
  } catch (refusal) {
    say(refusal.message, { bad: true });
  }
}

function openSkip() {
  if (current?.task.paths.skip) dialogs.skip.showModal();
}

async function skip(reason) {
  const { task } = current;
  dialogs.skip.close();
  const sent = outbox.put({ key: newKey(), task: task.id, path: task.paths.skip, body: { reason } });
  drafts.drop(task.id);
  await moveOn(sent);
}

function toggleDiff() {
  const { task, root } = current ?? {};
  if (!task || task.texts.length < 2 || !root.querySelector("[data-body]")) return;
  current.isDiff = !current.isDiff;
  root.classList.toggle("with-diff", current.isDiff);
  const bodies = [...root.querySelectorAll("[data-body]")];
  const one = Math.min(current.form.active?.() || 1, task.texts.length - 1);
  bodies.forEach((body, place) => {
    body.querySelector(".diff")?.remove();
    body.classList.remove("differs");
    if (!current.isDiff || (place !== 0 && place !== one)) return;
    const side = place === 0 ? "left" : "right";
    const made = document.createElement("div");
    made.className = "diff";
    made.append(...nodes(diff(task.texts[0], task.texts[one]), [side]));
    body.classList.add("differs");
    body.append(made);
  });
  root.querySelector("[data-act=diff]")?.setAttribute("aria-pressed", String(current.isDiff));
  say(current.isDiff ? "Words that only one answer has are marked." : "Answers as they are.");
}

function toggleFold() {
  current?.root.classList.toggle("folded");
}

function openComment() {
  const box = current?.root.querySelector("[data-comment-box]");
  if (!box) return;
  box.open = true;
  current.comment.focus();
}

const scrollPanes = (factor) => () => {
  const panes = [...(current?.root.querySelectorAll(".scroll") ?? [])].filter((p) => p.scrollHeight > p.clientHeight + 1);
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
  if (panes.length) panes.forEach((pane) => pane.scrollBy({ top: factor * pane.clientHeight, behavior }));
  else scrollBy({ top: factor * innerHeight, behavior });
};

const toggleGuidelines = () => (dialogs.guidelines.open ? dialogs.guidelines.close() : dialogs.guidelines.showModal());
const toggleKeys = () => (dialogs.keys.open ? dialogs.keys.close() : showKeys(dialogs.keys));

const acts = {
  submit, undo, skip: openSkip, diff: toggleDiff, fold: toggleFold, comment: openComment, guidelines: toggleGuidelines,
  keys: toggleKeys, "at-once": atOnce.turn, close: (button) => button.closest("dialog").close(),
  reason: (button) => skip(button.dataset.reason || document.getElementById("other-reason").value.trim() || "other"),
  rest: loadRest, answers: () => location.assign(boot.answers),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button && acts[button.dataset.act]) acts[button.dataset.act](button);
});

async function loadRest(button) {
  button.disabled = true;
  try {
    const said = await ask(button.dataset.path);
    const part = document.createElement("div");
    part.className = "part";
    part.innerHTML = said.html; // made by the server
    button.before(part);
    if (said.next) {
      button.dataset.path = said.next;
      button.querySelector("[data-left]").textContent = said.left;
      button.disabled = false;
    } else button.remove();
  } catch (refusal) {
    button.disabled = false;
    say(refusal.message, { bad: true });
  }
}

setKeys("Answer", []);
setKeys("Always", [
  { keys: ["Enter"], label: "Give the answer", run: submit },
  { keys: ["Ctrl+Enter"], label: "Give the answer, also from a text field", run: submit, typing: true, always: true },
  { keys: ["u"], label: "Undo: take the last answer back", run: undo },
  { keys: ["s"], label: "Skip, with a reason", run: openSkip },
  { keys: ["d"], label: "Differences of two answers, word by word", run: toggleDiff },
  { keys: ["f"], label: "Fold and unfold long answers", run: toggleFold },
  { keys: ["c"], label: "Comment", run: openComment },
  { keys: ["g"], label: "Guidelines", run: toggleGuidelines },
  { keys: ["h"], label: "My answers: go back and edit", run: acts.answers },
  { keys: [" "], label: "Scroll on", run: (event) => scrollPanes(event.shiftKey ? -0.8 : 0.8)(), repeats: true },
  { keys: ["q"], label: "Send complete answers at once, or with Enter", run: atOnce.turn },
  { keys: ["t"], label: "Dark or light", run: turnTheme },
  { keys: ["?"], label: "These keys", run: toggleKeys },
  { keys: ["Escape"], label: "Leave a text field or a panel" },
]);

dialogs.skip.addEventListener("keydown", (event) => {
  if (event.target.matches("input")) return;
  const button = dialogs.skip.querySelector(`[data-key="${event.key}"]`);
  if (button) {
    event.preventDefault();
    button.click();
  }
});
document.querySelectorAll("dialog").forEach((dialog) => {
  // A click beside the panel closes it.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
});

// --- begin -----------------------------------------------------------------------------------------------------------

outbox.listen((event) => {
  tellSaved(event);
  if (event.state === "saved" && event.said.note) say(event.said.note, { bad: event.said.bad });
  if (event.state === "refused") {
    const task = seen.get(event.entry.task);
    const { answer, seconds } = event.entry.body;
    if (answer) finished = Math.max(0, finished - 1);
    drawProgress();
    if (task) {
      if (answer && task.paths.draft) drafts.keep(task.id, task.paths.draft, { value: answer, seconds }, answer);
      if (current) ahead.unshift(current.task);
      show(task);
    }
    say(`Not saved: ${event.why}`, { bad: true });
  }
});

atOnce.draw();
showProgress(boot.progress);
if (boot.task) show(boot.task, { isThere: true });
if (outbox.entries.length) {
  tellSaved({ state: "saving", left: outbox.entries.length });
  outbox.flush();
}
if (boot.guidelines && boot.task && localStorage.getItem(`truing:read:${boot.project}`) !== boot.guidelines) {
  dialogs.guidelines.showModal();
}
dialogs.guidelines.addEventListener("close", () => {
  localStorage.setItem(`truing:read:${boot.project}`, boot.guidelines);
  current?.root.focus({ preventScroll: true });
  current?.form.focus?.();
});
document.documentElement.dataset.ready = "yes";
