// Word-level difference of two texts: Myers' greedy algorithm (1986) on words, after common ends are cut off.
const WORDS = /\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu;
const HIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const MOST_EDITS = 2500;

// Runs of {text, side}: side is "both", "left" (only in a) or "right" (only in b).
export function diff(a, b) {
  const left = a.match(WORDS) ?? [];
  const right = b.match(WORDS) ?? [];
  let head = 0;
  while (head < left.length && head < right.length && left[head] === right[head]) head += 1;
  let tail = 0;
  while (tail < left.length - head && tail < right.length - head && left.at(-1 - tail) === right.at(-1 - tail)) tail += 1;
  const runs = [];
  const add = (side, words) => {
    if (!words.length) return;
    if (runs.at(-1)?.side === side) runs.at(-1).text += words.join("");
    else runs.push({ side, text: words.join("") });
  };
  add("both", left.slice(0, head));
  const x = left.slice(head, left.length - tail);
  const y = right.slice(head, right.length - tail);
  for (const [side, word] of edits(x, y)) add(side, [word]);
  add("both", tail ? left.slice(-tail) : []);
  return runs;
}

function edits(x, y) {
  const most = Math.min(x.length + y.length, MOST_EDITS);
  // far[k + most + 1]: how far along x the best path on diagonal k has come.
  const far = new Int32Array(2 * most + 3);
  const middle = most + 1;
  const trace = [];
  for (let d = 0; d <= most; d += 1) {
    trace.push(far.slice(middle - d - 1, middle + d + 2));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && far[middle + k - 1] < far[middle + k + 1]);
      let i = down ? far[middle + k + 1] : far[middle + k - 1] + 1;
      while (i < x.length && i - k < y.length && x[i] === y[i - k]) i += 1;
      far[middle + k] = i;
      if (i >= x.length && i - k >= y.length) return walkBack(trace, x, y);
    }
  }
  // Two texts that share next to nothing: all of one, then all of the other.
  return [...x.map((word) => ["left", word]), ...y.map((word) => ["right", word])];
}

function walkBack(trace, x, y) {
  const found = [];
  let i = x.length;
  let j = y.length;
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const at = (k) => trace[d][k + d + 1];
    const k = i - j;
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const from = d ? at(down ? k + 1 : k - 1) : 0;
    const fromJ = d ? from - (down ? k + 1 : k - 1) : 0;
    while (i > from && j > fromJ) {
      i -= 1;
      j -= 1;
      found.push(["both", x[i]]);
    }
    if (d && down) found.push(["right", y[(j -= 1)]]);
    else if (d) found.push(["left", x[(i -= 1)]]);
  }
  return found.reverse();
}

// The runs of one side (or of both) as nodes; text stays text.
export function nodes(runs, sides) {
  const shown = runs.filter((run) => run.side === "both" || sides.includes(run.side));
  // A space between two words that are marked belongs to them.
  const joins = (run, at) => run.side === "both" && /^ +$/.test(run.text) && sides.length === 1 &&
    shown[at - 1]?.side === sides[0] && shown[at + 1]?.side === sides[0];
  const joined = shown.map((run, at) => (joins(run, at) ? { ...run, side: sides[0] } : run));
  return joined.map((run) => {
    const text = run.text.replace(HIDDEN, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
    if (run.side === "both") return document.createTextNode(text);
    const node = document.createElement(run.side === "left" ? "del" : "ins");
    node.textContent = text;
    return node;
  });
}
