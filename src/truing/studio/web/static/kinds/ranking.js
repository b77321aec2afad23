// K answers in order. Type their numbers from best to worst, or drag the chips; a tier with several is a tie.
const letter = (place) => String.fromCharCode(65 + place);

export function mount(root, { task, settings, draft, changed, complete, say }) {
  const size = task.texts.length;
  const tray = root.querySelector("[data-tiers]");
  const rest = root.querySelector("[data-unranked]");
  const badges = [...root.querySelectorAll("[data-rank]")];
  let tiers = fromRanks(draft.ranks ?? []);
  let tieNext = false;

  function fromRanks(ranks) {
    const found = new Map();
    ranks.forEach((rank, place) => rank && found.set(rank, [...(found.get(rank) ?? []), place]));
    return [...found.entries()].sort(([a], [b]) => a - b).map(([, places]) => places);
  }
  const ranks = () => {
    const found = Array(size).fill(null);
    let rank = 1;
    for (const tier of tiers) {
      for (const place of tier) found[place] = rank;
      rank += 1;
    }
    return found;
  };
  const tierOf = (place) => tiers.findIndex((tier) => tier.includes(place));
  const take = (place) => {
    tiers = tiers.map((tier) => tier.filter((p) => p !== place)).filter((tier) => tier.length);
  };
  const update = (focused) => {
    draw();
    changed();
    if (focused !== undefined) root.querySelector(`[data-chip="${focused}"]`)?.focus();
  };

  function chip(place) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "chip";
    made.dataset.chip = place;
    made.textContent = letter(place);
    const rank = ranks()[place];
    made.setAttribute("aria-label", `Answer ${letter(place)}, ${rank ? `place ${rank}` : "not ranked"}. Arrows move it.`);
    return made;
  }
  function gap(index) {
    const made = document.createElement("li");
    made.className = "gap";
    made.dataset.gap = index;
    made.setAttribute("aria-hidden", "true");
    return made;
  }
  function draw() {
    tray.replaceChildren(gap(0));
    tiers.forEach((tier, index) => {
      const row = document.createElement("li");
      row.className = "tier";
      row.dataset.tier = index;
      const number = document.createElement("span");
      number.className = "place";
      number.textContent = index + 1;
      row.append(number, ...tier.map(chip));
      tray.append(row, gap(index + 1));
    });
    const left = Array.from({ length: size }, (_, place) => place).filter((place) => tierOf(place) < 0);
    rest.replaceChildren(...left.map(chip));
    rest.dataset.empty = String(!left.length);
    root.querySelector("[data-act-tie]")?.setAttribute("aria-pressed", String(tieNext));
    ranks().forEach((rank, place) => {
      badges[place].textContent = rank ?? "";
      badges[place].hidden = rank === null;
    });
  }

  function type(place) {
    if (tierOf(place) >= 0) take(place);
    else if (tieNext && tiers.length) tiers.at(-1).push(place);
    else tiers.push([place]);
    tieNext = false;
    update();
    const left = size - tiers.flat().length;
    if (!left) complete();
  }
  function step(place, by) {
    const at = tierOf(place);
    if (at < 0) tiers.push([place]);
    else if (tiers[at].length > 1) {
      take(place);
      tiers.splice(by < 0 ? at : at + 1, 0, [place]);
    } else if (tiers[at + by]) {
      if (settings.ties) {
        tiers[at + by].push(place);
        tiers.splice(at, 1);
      } else [tiers[at], tiers[at + by]] = [tiers[at + by], tiers[at]];
    } else if (by > 0 && settings.unranked) take(place);
    update(place);
  }
  function drop(place, target) {
    const into = target?.closest("[data-tier], [data-gap], [data-unranked]");
    if (!into || !root.contains(into)) return;
    const before = tiers.map((tier) => [...tier]);
    if (into.dataset.unranked !== undefined) {
      take(place);
    } else if (into.dataset.gap !== undefined) {
      tiers = before.map((tier) => tier.filter((p) => p !== place));
      tiers.splice(Number(into.dataset.gap), 0, [place]);
      tiers = tiers.filter((tier) => tier.length);
    } else {
      const index = Number(into.dataset.tier);
      tiers = before.map((tier) => tier.filter((p) => p !== place));
      if (settings.ties) tiers[index].push(place);
      else tiers.splice(index, 0, [place]);
      tiers = tiers.filter((tier) => tier.length);
    }
    update(place);
  }

  // Dragging with mouse, pen or finger; without moving it is a click.
  root.addEventListener("pointerdown", (event) => {
    const held = event.target.closest("[data-chip]");
    if (!held || event.button) return;
    const place = Number(held.dataset.chip);
    const from = { x: event.clientX, y: event.clientY };
    let over = null;
    let moved = false;
    held.setPointerCapture(event.pointerId);
    const move = (now) => {
      const dx = now.clientX - from.x;
      const dy = now.clientY - from.y;
      if (!moved && Math.hypot(dx, dy) < 5) return;
      moved = true;
      held.classList.add("held");
      held.style.transform = `translate(${dx}px, ${dy}px)`;
      over?.classList.remove("over");
      over = document.elementFromPoint(now.clientX, now.clientY)?.closest("[data-tier], [data-gap], [data-unranked]");
      over?.classList.add("over");
    };
    const end = (now) => {
      held.removeEventListener("pointermove", move);
      held.classList.remove("held");
      held.style.transform = "";
      over?.classList.remove("over");
      if (now.type === "pointercancel") return;
      if (moved) drop(place, document.elementFromPoint(now.clientX, now.clientY));
      else type(place);
    };
    held.addEventListener("pointermove", move);
    held.addEventListener("pointerup", end, { once: true });
    held.addEventListener("pointercancel", end, { once: true });
  });
  root.addEventListener("keydown", (event) => {
    const held = event.target.closest("[data-chip]");
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!held || !by) return;
    event.preventDefault();
    event.stopPropagation();
    step(Number(held.dataset.chip), by);
  });
  // A chip with the focus, pressed with Enter or Space (detail 0: no pointer).
  root.addEventListener("click", (event) => {
    const held = event.target.closest("[data-chip]");
    if (held && event.detail === 0) type(Number(held.dataset.chip));
  });

  const tie = () => {
    if (!settings.ties) return;
    tieNext = !tieNext && tiers.length > 0;
    draw();
    if (tieNext) say("The next number is level with the last.");
  };
  root.querySelector("[data-act-tie]")?.addEventListener("click", tie);
  draw();
  return {
    value: () => ({ ranks: ranks() }),
    missing: () => {
      const number = tiers.flat().length;
      if (number < 2) return "Rank at least two answers: type their numbers from best to worst.";
      return !settings.unranked && number < size ? "Rank all of them." : null;
    },
    keys: [
      { keys: Array.from({ length: Math.min(size, 9) }, (_, n) => String(n + 1)),
        shown: ["1", "…", String(Math.min(size, 9))], label: "The next best is A, B, … (again: take it out)",
        run: (_, key) => type(Number(key) - 1) },
      ...(settings.ties ? [{ keys: ["="], label: "The next is level with the last (a tie)", run: tie }] : []),
      { keys: ["Backspace"], label: "Take the last one out", run: () => {
        if (tiers.length) take(tiers.at(-1).at(-1));
        update();
      } },
      { keys: [], shown: ["Tab", "ArrowLeft", "ArrowRight"], label: "Go to a chip; move it" },
    ],
  };
}
