// Lets a reader move the borders of a stream's policy: what would be where is counted here, at once; the server is
// asked for exact numbers when the border rests, and nothing changes before the form is sent.

const SVG = "http://www.w3.org/2000/svg";
const LARGE_STEP = 20; // steps, for the keys that page
const RESTS_MS = 350; // without another key or digit
const THOUSAND = 1000;

const part = () => document.getElementById("live-tiers");
const form = () => document.getElementById("policy");
const figure = () => document.getElementById("figure");

const countText = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const sizeText = (bytes) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (bytes >= THOUSAND && place < units.length - 1) [bytes, place] = [bytes / THOUSAND, place + 1];
  return `${place ? bytes.toFixed(1) : Math.round(bytes)} ${units[place]}`;
};

const read = () => {
  const data = JSON.parse(figure().dataset.figure);
  data.colours = Object.fromEntries(data.tiers.map(([tier, colour]) => [tier, colour]));
  return data;
};
const inputs = () => [...form().querySelectorAll('input[name="border"]')];
const wanted = () => inputs().map((input) => Number(input.value));
const isOrdered = (borders) => [0, ...borders, 1].every((one, place, all) => place === 0 || one > all[place - 1]);
const tierOf = (data, borders, score) => data.intervals[borders.filter((border) => border <= score).length];

// Where the images of a bin would be. One that is not where the present policy has its bin was put there by a
// person, an audit or a full tier, and stays; so do those of a bin that a border, not moved, goes through.
const wouldBe = (data, borders, tier, bin) => {
  const [low, middle] = [bin / data.bins, (bin + 0.5) / data.bins];
  const high = (bin + 1) / data.bins - 1e-9;
  const now = [tierOf(data, data.borders, low), tierOf(data, data.borders, high)];
  if (!now.includes(tier)) return tier;
  const isCut = borders.some((border) => border > low + 1e-9 && border < high && data.borders.includes(border));
  return isCut ? tier : tierOf(data, borders, now[0] === now[1] ? middle : now[0] === tier ? low : high);
};

// ---- what is shown

const count = (data, borders) => {
  const held = Object.fromEntries(data.tiers.map(([tier, , number, bytes]) => [tier, [number, bytes]]));
  const bars = data.tiers.map(() => new Array(data.bars).fill(0));
  const place = Object.fromEntries(data.tiers.map(([tier], number) => [tier, number]));
  let moving = 0;
  for (const [tier, bins] of Object.entries(data.spread)) {
    for (const [bin, number, bytes] of bins) {
      const after = wouldBe(data, borders, tier, bin);
      bars[place[after]][Math.floor((bin * data.bars) / data.bins)] += number;
      if (after === tier) continue;
      moving += number;
      held[tier] = [held[tier][0] - number, held[tier][1] - bytes];
      held[after] = [held[after][0] + number, held[after][1] + bytes];
    }
  }
  return { held, bars, moving };
};

const showHeld = (held) => {
  for (const row of part().querySelectorAll("tr[data-tier]")) {
    const [number, bytes] = held[row.dataset.tier] ?? [0, 0];
    row.querySelector('[data-would="images"]').textContent = countText(number);
    row.querySelector('[data-would="size"]').textContent = sizeText(bytes);
  }
};

const field = () => figure().querySelector("svg").dataset.field.split(" ").map(Number);

const drawBars = (data, bars) => {
  const [left, top, width, height] = field();
  const sums = bars[0].map((_, bar) => bars.reduce((sum, of) => sum + of[bar], 0));
  const highest = Math.max(1, ...sums);
  const drawn = [];
  for (let bar = 0; bar < data.bars; bar += 1) {
    let y = top + height;
    data.tiers.forEach(([tier, colour], number) => {
      const images = bars[number][bar];
      if (!images) return;
      const rect = document.createElementNS(SVG, "rect");
      const tall = (height * images) / highest;
      y -= tall;
      const shape = { x: left + (width * bar) / data.bars, y, width: width / data.bars - 1, height: tall, fill: colour };
      for (const [name, value] of Object.entries(shape)) rect.setAttribute(name, value);
      const title = document.createElementNS(SVG, "title");
      const [low, high] = [bar / data.bars, (bar + 1) / data.bars].map((value) => value.toFixed(3));
      title.textContent = `${low} to ${high}: ${images} images in ${tier}`;
      rect.append(title);
      drawn.push(rect);
    });
  }
  figure().querySelector(".bars").replaceChildren(...drawn);
};

const valueText = (value) => String(Number(value.toPrecision(3)));

const placeSliders = (borders) => {
  const [left, , width] = field();
  figure().querySelectorAll(".between").forEach((slider, number) => {
    slider.setAttribute("transform", `translate(${left + width * borders[number]} 0)`);
    slider.setAttribute("aria-valuenow", valueText(borders[number]));
    slider.querySelector("text").textContent = valueText(borders[number]);
  });
};

const movePictures = (data, borders) => {
  for (const item of part().querySelectorAll(".gallery > li")) {
    const score = Number(item.dataset.score);
    const { tier } = item.dataset;
    const follows = !("pinned" in item.dataset) && tierOf(data, data.borders, score) === tier;
    const after = follows ? tierOf(data, borders, score) : tier;
    item.classList.toggle("moving", after !== tier);
    item.querySelector(".moves").textContent = after === tier ? "" : `from ${tier}`;
    const list = [...part().querySelectorAll(".gallery")].find((one) => one.dataset.tier === after);
    if (!list || item.parentElement === list) continue;
    const next = [...list.children].find((other) => Number(other.dataset.score) < score);
    list.insertBefore(item, next ?? null);
  }
};

const say = (text) => {
  document.getElementById("foreseen").textContent = text;
};

const isChanged = () => [...form().elements].some((input) => input.defaultValue !== undefined
  && input.type !== "hidden" && input.tagName === "INPUT" && input.value !== input.defaultValue);

const show = () => {
  const changed = isChanged();
  part().toggleAttribute("data-busy", changed);
  form().querySelector('button[type="reset"]').hidden = !changed;
  if (!figure() || inputs().length === 0) return;
  const borders = wanted();
  if (!isOrdered(borders)) {
    say("Borders have to rise from 0 to 1.");
    return;
  }
  const data = read();
  const { held, bars, moving } = count(data, borders);
  placeSliders(borders);
  drawBars(data, bars);
  showHeld(held);
  movePictures(data, borders);
  say(changed ? `${countText(moving)} ${moving === 1 ? "image" : "images"} would move.` : "");
};

// ---- the server's exact numbers

let resting = 0;
let asked = 0;

const ask = async () => {
  const number = (asked += 1);
  if (!isChanged() || !form().checkValidity()) return;
  try {
    const answer = await fetch(form().dataset.preview, {
      method: "POST",
      body: new URLSearchParams(new FormData(form())),
      headers: { Accept: "application/json" },
    });
    if (number !== asked) return; // something else was asked meanwhile
    if (!answer.ok) throw new Error(String(answer.status));
    const found = await answer.json();
    if (number !== asked || !isChanged()) return;
    showHeld(found.tiers);
    const images = found.moving === 1 ? "image" : "images";
    say(`Exactly ${countText(found.moving)} ${images} would move (${sizeText(found.moving_bytes)}). `
      + "Nothing is changed yet.");
  } catch {
    if (number === asked) say("The server cannot tell now what would move; “What if” says why.");
  }
};

const changed = ({ rests = false } = {}) => {
  asked += 1;
  show();
  clearTimeout(resting);
  resting = setTimeout(ask, rests ? 0 : RESTS_MS);
};

// ---- moving

const place = (slider) => [...figure().querySelectorAll(".between")].indexOf(slider);

const set = (number, value, step) => {
  const borders = wanted();
  const least = (borders[number - 1] ?? 0) + step;
  const most = (borders[number + 1] ?? 1) - step;
  const within = Math.min(Math.max(value, least), most);
  inputs()[number].value = String(Number(within.toFixed(6)));
};

const valueAt = (event, bins) => {
  const svg = figure().querySelector("svg");
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const [left, , width] = field();
  return Math.round(((at.x - left) / width) * bins) / bins;
};

let dragged = null; // the number of the border

const sliderOf = (event) => (event.target instanceof Element ? event.target.closest("#figure .between") : null);

document.addEventListener("pointerdown", (event) => {
  const slider = sliderOf(event);
  if (!slider || event.button !== 0 || !form()) return;
  event.preventDefault();
  slider.setPointerCapture(event.pointerId);
  slider.focus({ preventScroll: true });
  dragged = place(slider);
});

document.addEventListener("pointermove", (event) => {
  if (dragged === null) return;
  const { bins } = read();
  set(dragged, valueAt(event, bins), 1 / bins);
  changed();
});

for (const kind of ["pointerup", "pointercancel"]) {
  document.addEventListener(kind, () => {
    if (dragged === null) return;
    dragged = null;
    changed({ rests: true });
  });
}

document.addEventListener("keydown", (event) => {
  const slider = sliderOf(event);
  if (!slider || !form()) return;
  const number = place(slider);
  const { bins } = read();
  const steps = {
    ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: LARGE_STEP, PageDown: -LARGE_STEP,
    Home: -bins, End: bins,
  }[event.key];
  if (steps === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  set(number, Math.round(wanted()[number] * bins + steps) / bins, 1 / bins);
  changed();
});

document.addEventListener("input", (event) => {
  if (form()?.contains(event.target)) changed();
});

document.addEventListener("reset", (event) => {
  if (event.target === form()) setTimeout(() => changed({ rests: true }));
});

document.addEventListener("submit", (event) => {
  if (event.target === form()) part().setAttribute("data-busy", ""); // no renewal before the answer comes
});

// Borders are pictures until this runs, and after each renewal of the page's part.
const makeSliders = () => {
  if (!figure() || !form()) return;
  const sliders = figure().querySelectorAll(".between:not([role])");
  if (sliders.length === 0) return;
  figure().querySelector("svg").setAttribute("role", "group");
  for (const slider of sliders) {
    slider.setAttribute("role", "slider");
    slider.setAttribute("tabindex", "0");
    slider.setAttribute("aria-orientation", "horizontal");
  }
};

makeSliders();
if (part()) new MutationObserver(makeSliders).observe(part(), { childList: true });
