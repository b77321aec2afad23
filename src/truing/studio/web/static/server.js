// Talking to the server. An answer that was given leaves this file only when the server has acknowledged it.
const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";
const person = document.querySelector('meta[name="person"]')?.content ?? "";

export class Refused extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
  // The server is away, busy or restarting: the same request may succeed later.
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export async function ask(path, body, { keepalive = false } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) Object.assign(headers, { "content-type": "application/json", "x-csrf-token": csrf });
  let response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      keepalive,
    });
  } catch {
    throw new Refused(0, "The server cannot be reached.");
  }
  const said = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Refused(response.status, said.error ?? `The server says ${response.status}.`,
      Number(response.headers.get("retry-after") ?? 0));
  }
  return said;
}

// The outbox: answers on their way. It lives in localStorage, so a closed tab or a dead battery loses nothing, and each
// answer has a key of its own, so sending it twice stores it once.
const box = `truing:outbox:${person}`;
const listeners = new Set();
let sending = null;

const read = () => JSON.parse(localStorage.getItem(box) ?? "[]");
const write = (entries) => localStorage.setItem(box, JSON.stringify(entries));
const tell = (state) => listeners.forEach((hear) => hear(state));
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export const outbox = {
  get entries() {
    return read();
  },
  listen(hear) {
    listeners.add(hear);
  },
  put(entry) {
    write([...read(), entry]);
    tell({ state: "saving", left: read().length });
    return outbox.flush();
  },
  // Sends all there is, oldest first; resolves when nothing is left. Only one tab sends at a time.
  flush() {
    sending ??= (navigator.locks ? navigator.locks.request(box, send) : send()).finally(() => {
      sending = null;
    });
    return sending;
  },
};

async function send() {
  let pause = 400;
  for (let entries = read(); entries.length; entries = read()) {
    const [first] = entries;
    const done = () => write(read().filter((entry) => entry.key !== first.key));
    try {
      const said = await ask(first.path, first.body);
      done();
      pause = 400;
      tell({ state: "saved", left: read().length, entry: first, said });
    } catch (refusal) {
      if (!(refusal instanceof Refused)) throw refusal;
      if (refusal.passes || refusal.status === 401 || refusal.status === 403) {
        // Signed out or an old page: the answer waits here until its person is back.
        tell({ state: "unsaved", left: entries.length, why: refusal.message });
        if (!refusal.passes) return;
        await wait(Math.max(pause, refusal.retryAfter * 1000));
        pause = Math.min(pause * 2, 10_000);
      } else {
        // It will never be taken: hand it back to the page, which shows it with the reason.
        done();
        tell({ state: "refused", left: read().length, entry: first, why: refusal.message });
      }
    }
  }
}

addEventListener("beforeunload", (event) => {
  if (read().length) event.preventDefault();
});
addEventListener("online", () => outbox.flush());

// Drafts: at once in this browser, a moment later on the server, so that they survive a reload and another machine.
const place = (task) => `truing:draft:${person}:${task}`;
const timers = new Map();

export const drafts = {
  read(task) {
    const found = localStorage.getItem(place(task));
    return found ? JSON.parse(found) : null;
  },
  keep(task, path, draft, value) {
    localStorage.setItem(place(task), JSON.stringify(draft));
    clearTimeout(timers.get(task)?.timer);
    const save = () => {
      timers.delete(task);
      // The copy in this browser is the one that counts; the next change tries again.
      ask(path, { value }, { keepalive: JSON.stringify(value).length < 60_000 }).catch(() => {});
    };
    timers.set(task, { timer: setTimeout(save, 700), save });
  },
  flush() {
    for (const { timer, save } of [...timers.values()]) {
      clearTimeout(timer);
      save();
    }
  },
  drop(task) {
    clearTimeout(timers.get(task)?.timer);
    timers.delete(task);
    localStorage.removeItem(place(task));
  },
};

addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") drafts.flush();
});
